package chat_test

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/parleyhq/parley/chat"
)

func TestHistoryIsSeenFromJoiningOn(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	old := w.send("alice", id, "before carol")
	w.add("alice", id, "carol")
	v := w.view("carol", id)
	same(t, "last message", v.LastMessage.IsZero(), true)
	same(t, "unread", v.Unread, 0)
	same(t, "what others see", w.view("bob", id).LastMessage, old.ID)

	news := w.send("alice", id, "after")
	sameList(t, "carol's history", w.history("carol", id), "after")
	sameList(t, "bob's history", w.history("bob", id), "after", "before carol")
	same(t, "last message", w.view("carol", id).LastMessage, news.ID)
	same(t, "unread", w.view("carol", id).Unread, 1)

	page, err := w.HistorySince(t.Context(), as("carol"), id, chat.MessageID{}, chat.PageRequest{})
	must(t, err)
	sameList(t, "since the beginning", texts(page.Messages), "after")
}

// A page ends before the message with which its ciphertext would exceed 1 MiB, and the next
// one goes on there, so that following the cursors gives every message once.
func TestAPageHoldsOneMiBOfCiphertext(t *testing.T) {
	w := newWorldOf(t, setup{limits: chat.Limits{CiphertextBytes: 2 << 20}})
	id := w.newGroup("alice", "bob")
	sizes := []int{1 << 20, 1, 3 << 18, 1 << 18, 1, 2 << 20, 1}
	for _, size := range sizes {
		w.send("alice", id, strings.Repeat("x", size))
	}
	pages := func(what string, next func(chat.PageRequest) ([]chat.Event, string)) (counts []int) {
		t.Helper()
		var got []int
		for p := (chat.PageRequest{Size: 100}); ; {
			events, cursor := next(p)
			counts = append(counts, len(events))
			bytes := 0
			for _, e := range events {
				bytes += len(e.Message.Ciphertext)
				got = append(got, len(e.Message.Ciphertext))
			}
			if bytes > 1<<20 && len(events) > 1 {
				t.Errorf("%s: a page of %d has %d bytes", what, len(events), bytes)
			}
			if p.Cursor = cursor; cursor == "" {
				break
			}
		}
		want := slices.Clone(sizes)
		if what == "newest first" {
			slices.Reverse(want)
		}
		sameList(t, what, got, want...)
		return counts
	}
	sameList(t, "newest first", pages("newest first", func(p chat.PageRequest) ([]chat.Event, string) {
		page, err := w.History(t.Context(), as("bob"), id, p)
		must(t, err)
		return page.Messages, page.Next
	}), 1, 1, 2, 2, 1)
	sameList(t, "oldest first", pages("oldest first", func(p chat.PageRequest) ([]chat.Event, string) {
		page, err := w.HistorySince(t.Context(), as("bob"), id, chat.MessageID{}, p)
		must(t, err)
		return page.Messages, page.Next
	}), 1, 2, 2, 1, 1)
}

// The names in reactions count in a page, too: a message may have 6,400 of them.
func TestNamesInReactionsCountInAPage(t *testing.T) {
	w := newWorldOf(t, setup{limits: chat.Limits{CiphertextBytes: 1 << 20}})
	id := w.newGroup("alice", "bob")
	w.send("alice", id, strings.Repeat("x", 1<<20-chat.ReactionNameBytes-1))
	m := w.send("alice", id, "y")
	for _, step := range []struct {
		by    chat.UserID
		pages []int
	}{{"alice", []int{2}}, {"bob", []int{1, 1}}} {
		w.react(step.by, m, "+1")
		var got []int
		for p := (chat.PageRequest{}); len(got) == 0 || p.Cursor != ""; {
			page, err := w.History(t.Context(), as("bob"), id, p)
			must(t, err)
			got, p.Cursor = append(got, len(page.Messages)), page.Next
		}
		sameList(t, "the pages", got, step.pages...)
	}
}

// A page looks at 5,000 events of the log, however many of them are no messages.
func TestAPageLooksAtSoManyEvents(t *testing.T) {
	const look = 5000
	w := newWorld(t)
	id := w.newGroup("alice", "bob")   // seq 1
	w.send("alice", id, "first")       // seq 2
	w.changeTitle("alice", id, look-2) // the log has 5,000 events
	for _, more := range []int{0, 1} {
		if more > 0 {
			w.changeTitle("alice", id, more)
		}
		newest, err := w.History(t.Context(), as("bob"), id, chat.PageRequest{})
		must(t, err)
		oldest, err := w.HistorySince(t.Context(), as("bob"), id, chat.MessageID{}, chat.PageRequest{})
		must(t, err)
		same(t, "the pages go on, newest first and oldest first", [2]bool{newest.Next != "", oldest.Next != ""}, [2]bool{more > 0, more > 0})
		sameList(t, "newest first", texts(newest.Messages), "first")
		sameList(t, "oldest first", texts(oldest.Messages), "first")
	}
	w.changeTitle("alice", id, 1) // now the message is out of sight of the newest page
	page, err := w.History(t.Context(), as("bob"), id, chat.PageRequest{})
	must(t, err)
	same(t, "messages on the first page", len(page.Messages), 0)
	page, err = w.History(t.Context(), as("bob"), id, chat.PageRequest{Cursor: page.Next})
	must(t, err)
	sameList(t, "the next page", texts(page.Messages), "first")
	same(t, "its end", page.Next, "")
}

// changeTitle appends as many changes of a group's title to its log, in one write.
func (w *world) changeTitle(by chat.UserID, id chat.ThreadID, times int) {
	w.tb.Helper()
	head := w.view(by, id).Head
	events, last := make([]chat.Event, times), head.ID
	for i := range events {
		last = chat.NextInOrder(last)
		events[i] = chat.Event{
			Thread: id, Seq: head.Seq + 1 + chat.Seq(i), ID: last, At: w.clock.Now(), Kind: chat.KindThread, By: by,
			Change: &chat.ThreadChange{Event: chat.TitleChanged, Title: strconv.Itoa(i)},
		}
	}
	_, err := w.store.Append(w.tb.Context(), head, events)
	must(w.tb, err)
}

func TestHistoryOfOneWhoReJoins(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	first := w.send("alice", id, "while in")
	w.remove("alice", id, "bob")
	w.send("alice", id, "while away")

	_, err := w.History(t.Context(), as("bob"), id, chat.PageRequest{})
	refused(t, err, chat.CodeNotAParticipant)
	_, err = w.HistorySince(t.Context(), as("bob"), id, first.ID, chat.PageRequest{})
	refused(t, err, chat.CodeNotAParticipant)
	_, err = w.Thread(t.Context(), as("bob"), id)
	refused(t, err, chat.CodeNotAParticipant)
	refused(t, w.MarkRead(t.Context(), as("bob"), id, first.ID), chat.CodeNotAParticipant)
	_, err = w.Receipts(t.Context(), as("bob"), first.ID)
	refused(t, err, chat.CodeNotAParticipant)

	w.add("alice", id, "bob")
	sameList(t, "right after", w.history("bob", id))
	w.send("alice", id, "back again")
	sameList(t, "history", w.history("bob", id), "back again")
	same(t, "unread", w.view("bob", id).Unread, 1)
	page, err := w.HistorySince(t.Context(), as("bob"), id, first.ID, chat.PageRequest{})
	must(t, err)
	sameList(t, "since what it saw once", texts(page.Messages), "back again")
	refused(t, w.MarkRead(t.Context(), as("bob"), id, first.ID), chat.CodeMessageNotFound)
	_, err = w.Receipts(t.Context(), as("bob"), first.ID)
	refused(t, err, chat.CodeMessageNotFound)
}

func TestHistoryRefusals(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice")
	_, err := w.History(t.Context(), with("mallory", chat.ScopeWrite, chat.ScopeSystem), nowhere, chat.PageRequest{Size: -1})
	refused(t, err, chat.CodeMissingScope)
	_, err = w.History(t.Context(), as("alice"), nowhere, chat.PageRequest{})
	refused(t, err, chat.CodeThreadNotFound)
	_, err = w.History(t.Context(), as("mallory"), id, chat.PageRequest{})
	refused(t, err, chat.CodeNotAParticipant)
	for _, size := range []int{-1, 101} {
		_, err = w.History(t.Context(), as("alice"), nowhere, chat.PageRequest{Size: size})
		invalid(t, err, "page_size")
	}
}

// pages walks a listing to its end and gives the texts page by page.
func pages(t *testing.T, size int, list func(chat.PageRequest) (chat.MessagePage, error)) (all [][]string) {
	t.Helper()
	cursor := ""
	for {
		page, err := list(chat.PageRequest{Cursor: cursor, Size: size})
		must(t, err)
		all = append(all, texts(page.Messages))
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

func TestHistoryPages(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	want := texts(w.sendMany("alice", id, 110))
	newestFirst := func(p chat.PageRequest) (chat.MessagePage, error) {
		return w.History(t.Context(), as("bob"), id, p)
	}
	fromTheStart := func(p chat.PageRequest) (chat.MessagePage, error) {
		return w.HistorySince(t.Context(), as("bob"), id, chat.MessageID{}, p)
	}
	for size, count := range map[int]int{1: 110, 7: 16, 10: 11, 100: 2, 0: 3} {
		forward := pages(t, size, fromTheStart)
		same(t, "pages", len(forward), count) // no empty page at the end
		sameList(t, "oldest first", slices.Concat(forward...), want...)
		backward := slices.Concat(pages(t, size, newestFirst)...)
		slices.Reverse(backward)
		sameList(t, "newest first", backward, want...)
	}
	page, err := newestFirst(chat.PageRequest{})
	must(t, err)
	same(t, "page by default", len(page.Messages), chat.DefaultPageSize)
}

func TestHistoryCursorStandsWhileMessagesArrive(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice")
	w.sendMany("alice", id, 4)
	page, err := w.History(t.Context(), as("alice"), id, chat.PageRequest{Size: 2})
	must(t, err)
	w.send("alice", id, "newer")
	rest, err := w.History(t.Context(), as("alice"), id, chat.PageRequest{Size: 2, Cursor: page.Next})
	must(t, err)
	sameList(t, "second page", texts(rest.Messages), "message 2", "message 1")
	same(t, "end", rest.Next, "")
}

func TestSinceGoesOnFromItsCursor(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice")
	sent := w.sendMany("alice", id, 3)
	page, err := w.HistorySince(t.Context(), as("alice"), id, sent[0].ID, chat.PageRequest{Size: 1})
	must(t, err)
	sameList(t, "first page", texts(page.Messages), "message 2")
	page, err = w.HistorySince(t.Context(), as("alice"), id, sent[0].ID, chat.PageRequest{Size: 1, Cursor: page.Next})
	must(t, err)
	sameList(t, "second page", texts(page.Messages), "message 3")
	same(t, "end", page.Next, "")
}

func TestSincePositions(t *testing.T) {
	w := newWorld(t)
	id, other := w.newGroup("alice"), w.newGroup("alice")
	m1 := w.send("alice", id, "one")
	w.clock.advance(time.Second)
	elsewhere := w.send("alice", other, "elsewhere")
	w.clock.advance(time.Second)
	m2 := w.send("alice", id, "two")
	w.clock.advance(time.Second)
	m3 := w.send("alice", id, "three")
	highest := ulid.MustParseStrict("7ZZZZZZZZZZZZZZZZZZZZZZZZZ")
	for name, c := range map[string]struct {
		since chat.MessageID
		want  []string
	}{
		"a message":                     {m1.ID, []string{"two", "three"}},
		"the newest":                    {m3.ID, nil},
		"zero":                          {chat.MessageID{}, []string{"one", "two", "three"}},
		"a message of another thread":   {elsewhere.ID, []string{"two", "three"}},
		"an instant between two":        {chat.EventIDAt(m2.At.Add(time.Millisecond)), []string{"three"}},
		"the instant of a message":      {chat.EventIDAt(m2.At), []string{"two", "three"}},
		"before the thread was created": {chat.EventIDAt(m1.At.Add(-time.Hour)), []string{"one", "two", "three"}},
		"the far future":                {highest, nil},
		"the id after a message":        {chat.NextInOrder(m2.ID), []string{"three"}},
	} {
		t.Run(name, func(t *testing.T) {
			page, err := w.HistorySince(t.Context(), as("alice"), id, c.since, chat.PageRequest{})
			must(t, err)
			sameList(t, "messages", texts(page.Messages), c.want...)
		})
	}
}

func TestCursorsOfOtherListingsAndTamperedOnes(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice")
	w.newGroup("alice")
	w.sendMany("alice", id, 3)
	list := map[string]func(cursor string) (string, error){
		"history": func(c string) (string, error) {
			p, err := w.History(t.Context(), as("alice"), id, chat.PageRequest{Cursor: c, Size: 1})
			return p.Next, err
		},
		"since": func(c string) (string, error) {
			p, err := w.HistorySince(t.Context(), as("alice"), id, chat.MessageID{}, chat.PageRequest{Cursor: c, Size: 1})
			return p.Next, err
		},
		"threads": func(c string) (string, error) {
			p, err := w.Threads(t.Context(), as("alice"), chat.PageRequest{Cursor: c, Size: 1})
			return p.Next, err
		},
	}
	cursors := map[string]string{"none": "!", "spaces": " ", "padded": base64.URLEncoding.EncodeToString([]byte("h1234567"))}
	for name, f := range list {
		good, err := f("")
		must(t, err)
		same(t, "there is more", good != "", true)
		cursors[name] = good
		cursors[name+", cut"] = good[:len(good)-1]
		cursors[name+", longer"] = good + "A"
		cursors[name+", broken into lines"] = good[:4] + "\r\n" + good[4:]
		cursors[name+", kind changed"] = strings.Replace(good, good[:1], "z", 1)
		_, err = f(good)
		must(t, err)
	}
	for name, cursor := range cursors {
		for listing, f := range list {
			if name == listing || name == "since" && listing == "history" { // that one goes on in its own direction
				continue
			}
			t.Run(name+" given to "+listing, func(t *testing.T) {
				_, err := f(cursor)
				invalid(t, err, "cursor")
			})
		}
	}
}

func TestForeignSeqInACursorShowsNothingOlderThanJoining(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice")
	w.sendMany("alice", id, 3)
	// The cursors of one who sees all, given by one who does not.
	back, err := w.History(t.Context(), as("alice"), id, chat.PageRequest{Size: 1})
	must(t, err)
	forth, err := w.HistorySince(t.Context(), as("alice"), id, chat.MessageID{}, chat.PageRequest{Size: 1})
	must(t, err)
	w.add("alice", id, "bob")
	page, err := w.History(t.Context(), as("bob"), id, chat.PageRequest{Cursor: back.Next})
	must(t, err)
	sameList(t, "newest first", texts(page.Messages))
	page, err = w.HistorySince(t.Context(), as("bob"), id, chat.MessageID{}, chat.PageRequest{Cursor: forth.Next})
	must(t, err)
	sameList(t, "oldest first", texts(page.Messages))
}

// image makes a request one for an image.
func image(req chat.SendRequest) chat.SendRequest {
	req.ContentType, req.AttachmentID = chat.ImageRef, "a"
	return req
}

func TestHistoryOfOneContentType(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	send := func(req chat.SendRequest) chat.Event {
		t.Helper()
		res, err := w.Send(t.Context(), as("alice"), req)
		must(t, err)
		return res.Event
	}
	var sent []chat.Event
	for _, text := range []string{"i1", "t1", "i2", "i3", "t2", "i4"} {
		req := w.request(id, text)
		if text[0] == 'i' {
			req = image(req)
		}
		sent = append(sent, send(req))
	}
	_, err := w.Edit(t.Context(), as("alice"), sent[2].ID, chat.EditRequest{Ciphertext: []byte("t3"), ContentType: chat.Text})
	must(t, err)
	must(t, w.Delete(t.Context(), as("alice"), sent[3].ID))
	of := func(kind chat.ContentType, newestFirst bool) []string {
		return slices.Concat(pages(t, 1, func(p chat.PageRequest) (chat.MessagePage, error) {
			if p.ContentType = kind; newestFirst {
				return w.History(t.Context(), as("bob"), id, p)
			}
			return w.HistorySince(t.Context(), as("bob"), id, chat.MessageID{}, p)
		})...)
	}
	sameList(t, "images, newest first", of(chat.ImageRef, true), "i4", "", "i1") // a tombstone keeps its type
	sameList(t, "images, oldest first", of(chat.ImageRef, false), "i1", "", "i4")
	sameList(t, "texts", of(chat.Text, true), "t2", "t3", "t1") // an edited one has the type that it has now
	sameList(t, "videos", of(chat.VideoRef, true))

	images := chat.PageRequest{Size: 1, ContentType: chat.ImageRef}
	page, err := w.History(t.Context(), as("bob"), id, images)
	must(t, err)
	for _, other := range []chat.ContentType{"", chat.Text} {
		_, err = w.History(t.Context(), as("bob"), id, chat.PageRequest{Cursor: page.Next, ContentType: other})
		invalid(t, err, "cursor")
	}
	_, err = w.History(t.Context(), as("bob"), nowhere, chat.PageRequest{ContentType: "image"})
	invalid(t, err, "content_type")
}

// A page of one content type looks at 1,000 events of the log. What it finds there it gives,
// and its cursor goes on behind them, in both directions and to both ends of the log.
func TestAFilteredPageLooksAtSoManyEvents(t *testing.T) {
	const look = 1000
	w := newWorld(t)
	id := w.newGroup("alice", "bob")                                          // seq 1
	_, err := w.Send(t.Context(), as("alice"), image(w.request(id, "first"))) // seq 2
	must(t, err)
	ask := func(newestFirst bool) (messages []string, more bool) {
		t.Helper()
		p := chat.PageRequest{ContentType: chat.ImageRef}
		for lastPage := false; !lastPage; {
			var page chat.MessagePage
			var err error
			if newestFirst {
				page, err = w.History(t.Context(), as("bob"), id, p)
			} else {
				page, err = w.HistorySince(t.Context(), as("bob"), id, chat.MessageID{}, p)
			}
			must(t, err)
			messages = append(messages, strings.Join(texts(page.Messages), " "))
			p.Cursor, lastPage = page.Next, page.Next == ""
		}
		return messages, len(messages) > 1
	}
	w.sendMany("alice", id, look-2) // the log has 1,000 events
	for _, newestFirst := range []bool{true, false} {
		got, _ := ask(newestFirst)
		sameList(t, "a log of so many events takes one page", got, "first")
	}
	w.send("alice", id, "one more")
	got, _ := ask(true)
	sameList(t, "one more, newest first: the creation is looked at for itself", got, "first", "")
	got, _ = ask(false)
	sameList(t, "one more, oldest first", got, "first", "")

	w.send("alice", id, "and another")
	_, err = w.Send(t.Context(), as("alice"), image(w.request(id, "last"))) // seq 1,003
	must(t, err)
	got, _ = ask(true)
	sameList(t, "newest first", got, "last", "first")
	got, _ = ask(false)
	sameList(t, "oldest first", got, "first", "last")
}

package chat_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

func TestUnreadCounts(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	unread := func(want int) {
		t.Helper()
		same(t, "unread of the thread", w.view("bob", id).Unread, want)
		page, err := w.Threads(t.Context(), as("bob"), chat.PageRequest{})
		must(t, err)
		same(t, "unread in the list", page.Threads[0].Unread, want)
	}
	unread(0)
	sent := w.sendMany("alice", id, 99)
	w.send("bob", id, "one's own does not count")
	unread(99)
	w.send("alice", id, "the hundredth")
	unread(100)
	w.send("alice", id, "more")
	unread(100) // 100 means more
	w.read("bob", sent[98])
	unread(2)
	w.acknowledge("bob", w.send("alice", id, "delivered is not read"))
	unread(3)
	same(t, "for the sender", w.view("alice", id).Unread, 1)
}

// Changes without end neither hide the unread messages of others nor make them dear to count:
// those among the 5,000 events up to the last message count.
func TestUnreadCountLooksAtSoManyEvents(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	w.send("bob", id, "accepts the thread")
	w.send("alice", id, "first")
	unread := func(want int) {
		t.Helper()
		same(t, "unread of the thread", w.view("bob", id).Unread, want)
		page, err := w.Threads(t.Context(), as("bob"), chat.PageRequest{})
		must(t, err)
		same(t, "unread in the list", page.Threads[0].Unread, want)
		all, err := w.Unread(t.Context(), as("bob"))
		must(t, err)
		same(t, "unread in all", all.Messages, want)
	}
	w.changeTitle("alice", id, 5001)
	unread(1)
	w.changeTitle("alice", id, 1)
	unread(1)
	w.send("alice", id, "last")
	unread(1) // the first is out of sight
}

// names are the titles of a list of threads.
func (w *world) names(page chat.ThreadPage) []string {
	titles := make([]string, len(page.Threads))
	for i, v := range page.Threads {
		titles[i] = v.Title
	}
	return titles
}

func (w *world) titled(by chat.UserID, title string, others ...chat.UserID) chat.ThreadID {
	w.tb.Helper()
	return w.newThread(by, chat.CreateThread{Type: chat.Group, Title: title, Participants: others})
}

func TestThreadsByLatestActivity(t *testing.T) {
	w := newWorld(t)
	list := func(user chat.UserID) []string {
		t.Helper()
		page, err := w.Threads(t.Context(), as(user), chat.PageRequest{})
		must(t, err)
		same(t, "end", page.Next, "")
		return w.names(page)
	}
	sameList(t, "of nobody", list("alice"))
	one := w.titled("alice", "one", "bob")
	w.clock.advance(time.Second)
	w.titled("alice", "two", "bob")
	w.clock.advance(time.Second)
	w.titled("bob", "three", "alice")
	sameList(t, "by creation", list("alice"), "three", "two", "one")

	w.clock.advance(time.Second)
	m := w.send("alice", one, "news")
	sameList(t, "a message", list("alice"), "one", "three", "two")
	same(t, "last activity", w.view("bob", one).LastActivity(), m.At)

	w.clock.advance(time.Second)
	w.add("alice", one, "carol")
	w.titled("alice", "four")
	w.clock.advance(time.Second)
	w.add("bob", one, "dave") // membership is no activity
	sameList(t, "members", list("alice"), "four", "one", "three", "two")
	sameList(t, "carol's", list("carol"), "one")

	w.remove("alice", one, "bob")
	sameList(t, "of one who was removed", list("bob"), "three", "two")
	_, err := w.Threads(t.Context(), with("alice", chat.ScopeWrite), chat.PageRequest{})
	refused(t, err, chat.CodeMissingScope)
	_, err = w.Threads(t.Context(), as("alice"), chat.PageRequest{Size: 101})
	invalid(t, err, "page_size")
}

func TestListedThreadIsTheViewersOwn(t *testing.T) {
	w := newWorld(t)
	id := w.titled("alice", "group", "bob")
	m := w.send("alice", id, "before carol")
	w.read("bob", m)
	w.add("alice", id, "carol")
	for user, want := range map[chat.UserID]struct {
		last   chat.MessageID
		unread int
	}{"alice": {m.ID, 0}, "bob": {m.ID, 0}, "carol": {chat.MessageID{}, 0}} {
		page, err := w.Threads(t.Context(), as(user), chat.PageRequest{})
		must(t, err)
		same(t, "last message", page.Threads[0].LastMessage, want.last)
		same(t, "unread", page.Threads[0].Unread, want.unread)
		same(t, "participants", len(page.Threads[0].Participants), 3)
		same(t, "participants are not shown in lists", page.Threads[0].Views == nil, true)
	}
}

func TestThreadPages(t *testing.T) {
	w := newWorld(t)
	var want []string
	for i := range 25 {
		title := strconv.Itoa(i)
		w.titled("alice", title)
		want = append(want, title)
		if i%4 == 3 {
			w.clock.advance(time.Second) // several are of one instant: the order must be total
		}
	}
	for _, size := range []int{1, 3, 25, 100} {
		var got []string
		cursor := ""
		for {
			page, err := w.Threads(t.Context(), as("alice"), chat.PageRequest{Cursor: cursor, Size: size})
			must(t, err)
			if len(page.Threads) == 0 {
				t.Fatal("an empty page")
			}
			got = append(got, w.names(page)...)
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		sameList(t, "each once", got, want...)
	}
}

func TestThreadRefusals(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice")
	_, err := w.Thread(t.Context(), with("alice", chat.ScopeWrite), id)
	refused(t, err, chat.CodeMissingScope)
	_, err = w.Thread(t.Context(), as("alice"), nowhere)
	refused(t, err, chat.CodeThreadNotFound)
	_, err = w.Thread(t.Context(), as("mallory"), id)
	refused(t, err, chat.CodeNotAParticipant)
}

func TestShareThread(t *testing.T) {
	w := newWorld(t)
	w.newPair("alice", "bob")
	group := w.newGroup("alice", "carol", "dave")
	shared := func(a, b chat.UserID, want bool) {
		t.Helper()
		for _, pair := range [][2]chat.UserID{{a, b}, {b, a}} {
			got, err := w.ShareThread(t.Context(), pair[0], pair[1])
			must(t, err)
			same(t, fmt.Sprintf("%s and %s share a thread", pair[0], pair[1]), got, want)
		}
	}
	shared("alice", "bob", true)
	shared("carol", "dave", true)
	shared("bob", "carol", false)
	shared("alice", "nobody", false)
	shared("alice", "alice", true)
	w.remove("alice", group, "carol")
	shared("carol", "dave", false)
	w.add("alice", group, "carol")
	shared("carol", "dave", true)
	w.newPair("dave", "carol")
	w.remove("dave", group, "dave")
	shared("carol", "dave", true) // there is another one
}

func TestMayFollow(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	must(t, w.MayFollow(t.Context(), "bob", id))
	refused(t, w.MayFollow(t.Context(), "mallory", id), chat.CodeNotAParticipant)
	refused(t, w.MayFollow(t.Context(), "bob", nowhere), chat.CodeThreadNotFound)
	w.remove("alice", id, "bob")
	refused(t, w.MayFollow(t.Context(), "bob", id), chat.CodeNotAParticipant)
	w.add("alice", id, "bob")
	must(t, w.MayFollow(t.Context(), "bob", id))
}

func TestHealthNamesWhatCannotBeReached(t *testing.T) {
	w := newWorld(t)
	if h := w.Health(t.Context()); h.Store != nil || h.Bus != nil {
		t.Fatalf("all is well, and its health is %+v", h)
	}
	must(t, w.bus.Close())
	if h := w.Health(t.Context()); h.Store != nil || h.Bus == nil {
		t.Errorf("the bus is closed, and the health is %+v", h)
	}
}

// frozenStore answers nothing, as a database whose machine is suspended.
type frozenStore struct{ chat.Store }

func (frozenStore) Ping(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// endingBus ends a context once it has been asked.
type endingBus struct {
	chat.Bus
	end context.CancelFunc
}

func (b endingBus) Ping(ctx context.Context) error {
	defer b.end()
	return b.Bus.Ping(ctx)
}

func TestAFrozenStoreIsNoFaultOfTheBus(t *testing.T) {
	w := newWorld(t)
	ctx, end := context.WithTimeout(t.Context(), 5*time.Second)
	defer end()
	s := chat.New(chat.Config{Store: frozenStore{w.store}, Bus: endingBus{w.bus, end}})
	defer s.Close(t.Context())
	if h := s.Health(ctx); h.Store == nil || h.Bus != nil {
		t.Errorf("the store is frozen, and the health is %+v", h)
	}
}

func TestLimits(t *testing.T) {
	w := newWorldOf(t, setup{limits: chat.Limits{Participants: 3, PageSize: 2}})
	want := chat.DefaultLimits
	want.Participants, want.PageSize = 3, 2
	want.SendRate, want.SendBurst, want.SystemRate = 0, 0, 0 // zero is a setting: no limit
	want.ReadRate, want.ReadBurst = 0, 0
	want.PrekeyFetches, want.PrekeyFetchesOf, want.SignalRate, want.Strangers = 0, 0, 0, 0
	same(t, "zero fields take the default", w.Limits(), want)

	id := w.newGroup("alice", "bob", "carol")
	_, _, err := w.AddParticipant(t.Context(), as("alice"), id, "dave")
	refused(t, err, chat.CodeThreadFull)
	_, _, err = w.CreateThread(t.Context(), as("alice"), chat.CreateThread{Type: chat.Group, Participants: people(3)})
	invalid(t, err, "participants")

	w.sendMany("alice", id, 3)
	page, err := w.History(t.Context(), as("bob"), id, chat.PageRequest{})
	must(t, err)
	same(t, "page by default", len(page.Messages), 2)
	_, err = w.History(t.Context(), as("bob"), id, chat.PageRequest{Size: 3})
	invalid(t, err, "page_size")
}

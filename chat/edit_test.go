package chat_test

import (
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/parleyhq/parley/chat"
)

func TestEdit(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	first := w.send("alice", id, "frist")
	w.send("bob", id, "between")
	w.heard.drain()
	at := w.clock.advance(time.Minute)

	got := w.edit("alice", first, "first")
	same(t, "text", string(got.Message.Ciphertext), "first")
	same(t, "edited at", got.Message.EditedAt, at)
	same(t, "it keeps its id", got.ID, first.ID)
	same(t, "and its seq", got.Seq, first.Seq)
	same(t, "and its type", got.Message.ContentType, chat.Text)

	e, audience := w.heard.event(t)
	same(t, "told", brief(e), "4 edit of 2")
	sameList(t, "audience, the sender's other devices too", audience, "alice", "bob")
	same(t, "by", e.By, chat.UserID("alice"))
	same(t, "device", e.Device, chat.DeviceID("phone"))
	same(t, "target", e.Target, chat.Target{ID: first.ID, Seq: 2})
	same(t, "text told", string(e.Message.Ciphertext), "first")
	same(t, "edited at, told", e.Message.EditedAt, e.At)

	sameList(t, "history: it keeps its place", w.history("bob", id), "between", "first")
	same(t, "bob's", string(w.message("bob", first).Message.Ciphertext), "first")
	log := w.soundLog(id)
	same(t, "the log keeps no old content", string(log[1].Message.Ciphertext), "first")
	same(t, "last message", w.view("bob", id).LastMessage, log[2].ID)

	w.clock.advance(time.Minute)
	w.edit("alice", first, "first!") // and again
	page, err := w.Events(t.Context(), as("bob"), id, 3, chat.PageRequest{})
	must(t, err)
	sameList(t, "events", briefs(page.Events), "4 edit of 2", "5 edit of 2")
	sameList(t, "both show it as it is now", texts(page.Events), "first!", "first!")
}

func TestEditChangesNothingElse(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	first := w.send("bob", id, "hello")
	req := w.request(id, "look")
	req.ContentType, req.AttachmentID, req.AttachmentSHA256, req.ReplyTo, req.TTL = chat.ImageRef, "a", sha, first.ID, time.Hour
	sent, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	w.react("bob", sent.Event, "👍")
	w.acknowledge("bob", sent.Event)
	w.read("bob", sent.Event)
	before, unread := w.state(sent.Event, "bob"), w.view("bob", id).Unread
	w.clock.advance(time.Minute)

	m := w.edit("alice", sent.Event, "see").Message
	same(t, "attachment", m.AttachmentID+m.AttachmentSHA256, "a"+sha)
	same(t, "reply to", m.ReplyTo, first.ID)
	same(t, "expires at", m.ExpiresAt, sent.Event.Message.ExpiresAt)
	same(t, "client_seq", m.ClientSeq, sent.Event.Message.ClientSeq)
	same(t, "reactions", reactions(w.message("bob", sent.Event)), "👍 bob")
	same(t, "receipt", w.state(sent.Event, "bob"), before)
	same(t, "unread", w.view("bob", id).Unread, unread)
	again := w.resend("alice", req, chat.Replayed) // the key stands for what was sent
	same(t, "the retry shows it as it is", string(again.Message.Ciphertext), "see")
}

func TestEditWindow(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice")
	m := w.send("alice", id, "one")
	w.clock.advance(15 * time.Minute)
	w.edit("alice", m, "two") // at its very end
	w.clock.advance(time.Millisecond)
	_, err := w.Edit(t.Context(), as("alice"), m.ID, chat.EditRequest{Ciphertext: []byte("three")})
	refused(t, err, chat.CodeEditWindowClosed)
	refused(t, w.Delete(t.Context(), as("alice"), m.ID), chat.CodeEditWindowClosed)
	same(t, "text", string(w.message("alice", m).Message.Ciphertext), "two")

	short := newWorldOf(t, setup{limits: chat.Limits{EditWindow: time.Second}})
	m = short.send("alice", short.newGroup("alice"), "one")
	short.clock.advance(time.Second + time.Millisecond)
	_, err = short.Edit(t.Context(), as("alice"), m.ID, chat.EditRequest{Ciphertext: []byte("two")})
	refused(t, err, chat.CodeEditWindowClosed)
}

func TestEditBounds(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	plain := w.send("alice", id, "plain")
	req := w.request(id, "with an attachment")
	req.AttachmentID = "a"
	res, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	text := func(n int) chat.EditRequest { return chat.EditRequest{Ciphertext: make([]byte, n)} }
	kind := func(c chat.ContentType) chat.EditRequest {
		return chat.EditRequest{Ciphertext: []byte("x"), ContentType: c}
	}
	for name, c := range map[string]struct {
		of    chat.Event
		req   chat.EditRequest
		field string // refused as invalid_request for this field; "" is accepted
	}{
		"no ciphertext":            {plain, text(0), "ciphertext"},
		"1 byte":                   {plain, text(1), ""},
		"64 KiB":                   {plain, text(64 << 10), ""},
		"text":                     {plain, kind(chat.Text), ""},
		"unknown type":             {plain, kind("sticker"), "content_type"},
		"wrongly cased type":       {plain, kind("Text"), "content_type"},
		"image of nothing":         {plain, kind(chat.ImageRef), "content_type"},
		"file of nothing":          {plain, kind(chat.FileRef), "content_type"},
		"image of what was sent":   {res.Event, kind(chat.ImageRef), ""},
		"the type is kept":         {res.Event, text(1), ""},
		"video of what was sent":   {res.Event, kind(chat.VideoRef), ""},
		"audio of what was sent":   {res.Event, kind(chat.AudioRef), ""},
		"back to text":             {res.Event, kind(chat.Text), ""},
		"text without its content": {res.Event, chat.EditRequest{ContentType: chat.Text}, "ciphertext"},
	} {
		t.Run(name, func(t *testing.T) {
			before := w.message("alice", c.of)
			w.heard.drain()
			e, err := w.Edit(t.Context(), as("alice"), c.of.ID, c.req)
			if c.field != "" {
				invalid(t, err, c.field)
				w.heard.nothing(t)
				same(t, "text", string(w.message("alice", c.of).Message.Ciphertext), string(before.Message.Ciphertext))
				return
			}
			must(t, err)
			want := c.req.ContentType
			if want == "" {
				want = before.Message.ContentType
			}
			same(t, "type", e.Message.ContentType, want)
			same(t, "text", string(e.Message.Ciphertext), string(c.req.Ciphertext))
		})
	}
	_, err = w.Edit(t.Context(), as("alice"), plain.ID, text(64<<10+1))
	refused(t, err, chat.CodeCiphertextTooLarge)
	w.soundLog(id)
}

func TestWhoMayEditAndDelete(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	m, gone := w.send("alice", id, "hello"), w.send("alice", id, "gone")
	w.erase("alice", gone)
	w.add("alice", id, "carol") // who does not see either
	left := w.send("bob", id, "before leaving")
	w.remove("alice", id, "bob")
	created := w.log(id)[0]
	w.heard.drain()
	for name, c := range map[string]struct {
		by   chat.Caller
		of   chat.MessageID
		code chat.Code
	}{
		"1 no right to write":           {with("alice", chat.ScopeRead, chat.ScopeSystem, chat.ScopeAdmin), ulid.Make(), chat.CodeMissingScope},
		"2 no such message":             {as("alice"), ulid.Make(), chat.CodeMessageNotFound},
		"2 an event that is no message": {as("alice"), created.ID, chat.CodeMessageNotFound},
		"2 a message before joining":    {as("carol"), m.ID, chat.CodeMessageNotFound},
		"3 a stranger":                  {as("mallory"), m.ID, chat.CodeNotAParticipant},
		"3 its sender, who has left":    {as("bob"), left.ID, chat.CodeNotAParticipant},
		"4 another, an admin too":       {as("alice"), left.ID, chat.CodeNotTheSender},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.Edit(t.Context(), c.by, c.of, chat.EditRequest{Ciphertext: []byte("x")})
			refused(t, err, c.code)
			refused(t, w.Delete(t.Context(), c.by, c.of), c.code)
		})
	}
	_, err := w.Edit(t.Context(), with("alice"), m.ID, chat.EditRequest{})
	refused(t, err, chat.CodeMissingScope) // the token comes before the request
	_, err = w.Edit(t.Context(), as("mallory"), ulid.Make(), chat.EditRequest{})
	invalid(t, err, "ciphertext") // and the request before the message
	_, err = w.Edit(t.Context(), as("alice"), gone.ID, chat.EditRequest{Ciphertext: []byte("x")})
	refused(t, err, chat.CodeMessageDeleted)
	w.clock.advance(time.Hour)
	_, err = w.Edit(t.Context(), as("alice"), gone.ID, chat.EditRequest{Ciphertext: []byte("x")})
	refused(t, err, chat.CodeMessageDeleted) // which stays so, whatever the window
	_, err = w.Edit(t.Context(), as("alice"), left.ID, chat.EditRequest{Ciphertext: []byte("x")})
	refused(t, err, chat.CodeNotTheSender)
	w.heard.nothing(t)
}

func TestOneWhoReJoinedMayNotChangeWhatItSentBefore(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	m := w.send("bob", id, "before")
	w.remove("bob", id, "bob")
	w.add("alice", id, "bob")
	_, err := w.Edit(t.Context(), as("bob"), m.ID, chat.EditRequest{Ciphertext: []byte("after")})
	refused(t, err, chat.CodeMessageNotFound)
	refused(t, w.Delete(t.Context(), as("bob"), m.ID), chat.CodeMessageNotFound)
}

func TestEditOfSystemMessages(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	job := with("alice", chat.ScopeRead, chat.ScopeWrite, chat.ScopeSystem)
	m := w.send("alice", id, "as a person")
	toSystem := chat.EditRequest{Ciphertext: []byte("as a job"), ContentType: chat.System}
	_, err := w.Edit(t.Context(), as("alice"), m.ID, toSystem)
	refused(t, err, chat.CodeMissingScope)
	e, err := w.Edit(t.Context(), job, m.ID, toSystem)
	must(t, err)
	same(t, "type", e.Message.ContentType, chat.System)

	shipped := w.sendSystem(id, "your order has shipped")
	for _, by := range []chat.Caller{as("alice"), job} {
		_, err = w.Edit(t.Context(), by, shipped.ID, chat.EditRequest{Ciphertext: []byte("x")})
		refused(t, err, chat.CodeNotTheSender)
	}
	service := with("shop", chat.ScopeSystem, chat.ScopeWrite)
	_, err = w.Edit(t.Context(), service, shipped.ID, chat.EditRequest{Ciphertext: []byte("x")})
	refused(t, err, chat.CodeNotAParticipant)
}

func TestDelete(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	req := w.request(id, strings.Repeat("secret", 100))
	req.ContentType, req.AttachmentID, req.AttachmentSHA256, req.TTL = chat.FileRef, "a", sha, time.Hour
	res, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	m := res.Event
	w.react("bob", m, "👍")
	w.edit("alice", m, "still secret")
	w.pin("bob", m)
	w.acknowledge("bob", m)
	same(t, "unread", w.view("bob", id).Unread, 1)
	before := w.state(m, "bob")
	w.heard.drain()
	w.clock.advance(15 * time.Minute) // at the end of the window

	w.erase("alice", m)
	e, audience := w.heard.event(t)
	same(t, "told, with no unpinning of its own", brief(e), "6 del of 2")
	same(t, "reason", e.Reason, chat.DeletedBySender)
	same(t, "by", e.By, chat.UserID("alice"))
	sameList(t, "audience", audience, "alice", "bob")
	same(t, "a deletion carries no message", e.Message == nil, true)
	for _, user := range []chat.UserID{"alice", "bob"} {
		now := w.message(user, m)
		tombstone(t, "the message", now, chat.DeletedBySender)
		same(t, "its sender stays", now.By, chat.UserID("alice"))
		same(t, "its seq stays", now.Seq, m.Seq)
		sameList(t, "history: it stays", w.history(user, id), "")
		same(t, "unread", w.view(user, id).Unread, 0)
		same(t, "last message", w.view(user, id).LastMessage, m.ID)
		sameList(t, "pins", w.pins(user, id))
		for _, e := range w.events(user, id) {
			if e.Message != nil {
				tombstone(t, brief(e), e, chat.DeletedBySender)
			}
		}
	}
	for _, e := range w.soundLog(id) {
		if e.Message != nil {
			tombstone(t, "stored "+brief(e), e, chat.DeletedBySender)
		}
	}
	same(t, "its receipts stay", w.state(m, "bob"), before)
	tombstone(t, "the retry", w.resend("alice", req, chat.Replayed), chat.DeletedBySender)
	w.heard.drain()

	w.erase("alice", m)
	w.clock.advance(48 * time.Hour) // its window, its ttl and its key are long gone
	w.erase("alice", m)
	w.expireDue()
	w.heard.nothing(t)
	same(t, "repeating takes no seq", len(w.soundLog(id)), 6)
	refused(t, w.Delete(t.Context(), as("bob"), m.ID), chat.CodeNotTheSender)
	tombstone(t, "long after", w.message("bob", m), chat.DeletedBySender)
}

func TestDeletedMessageTakesNoMore(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	m := w.send("alice", id, "hello")
	w.react("bob", m, "👍")
	w.erase("alice", m)
	w.heard.drain()
	_, err := w.React(t.Context(), as("bob"), m.ID, "👎")
	refused(t, err, chat.CodeMessageDeleted)
	_, _, err = w.Pin(t.Context(), as("bob"), id, m.ID)
	refused(t, err, chat.CodeMessageDeleted)
	w.unreact("bob", m, "👍") // which went with the message
	refused(t, w.Unpin(t.Context(), as("bob"), id, m.ID), chat.CodePinNotFound)
	w.heard.nothing(t)
	w.read("bob", m) // it is still there to be read up to, replied to and reported
	same(t, "read up to", w.view("alice", id).Views[1].ReadUpTo, m.ID)
	reply := w.request(id, "what was it?")
	reply.ReplyTo = m.ID
	_, err = w.Send(t.Context(), as("bob"), reply)
	must(t, err)
	_, _, err = w.Report(t.Context(), as("bob"), m.ID, chat.ReportAbuse, "")
	must(t, err)
}

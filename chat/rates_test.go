package chat_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// rated is a world in which the default rates hold.
func rated(t *testing.T) *world {
	t.Helper()
	d := chat.DefaultLimits
	return newWorldOf(t, setup{limits: chat.Limits{
		SendRate: d.SendRate, SendBurst: d.SendBurst, SystemRate: d.SystemRate, ReadRate: d.ReadRate, ReadBurst: d.ReadBurst,
	}})
}

// left is how much of a rate a user has left.
func (w *world) left(c chat.Caller, name string) int {
	w.tb.Helper()
	for _, r := range w.Rates(c) {
		if r.Name == name {
			return r.Left
		}
	}
	w.tb.Fatalf("no rate %s", name)
	return 0
}

// Every durable write uses up the same rate, each by its weight; what changes nothing, and
// the read mark, uses up none of it.
func TestWhatEachWriteCosts(t *testing.T) {
	w := rated(t)
	group := w.newGroup("alice", "bob", "carol")
	w.newPair("bob", "alice")
	m := w.send("alice", group, "hello")
	theirs := w.send("bob", group, "hi")
	req := w.request(group, "again")
	_, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	keyed := chat.CreateThread{Type: chat.Group, Participants: people(30), IdempotencyKey: "k"}
	create := func(req chat.CreateThread) error {
		_, _, err := w.CreateThread(t.Context(), as("alice"), req)
		return err
	}
	ctx, alice := t.Context(), as("alice")
	for _, c := range []struct {
		what   string
		writes int
		do     func() error
	}{
		{"a message", 1, func() error { _, err := w.Send(ctx, alice, w.request(group, "x")); return err }},
		{"a replay", 0, func() error { _, err := w.Send(ctx, alice, req); return err }},
		{"an edit", 1, func() error {
			_, err := w.Edit(ctx, alice, m.ID, chat.EditRequest{Ciphertext: []byte("y")})
			return err
		}},
		{"a reaction", 1, func() error { _, err := w.React(ctx, alice, m.ID, "+"); return err }},
		{"the same reaction", 0, func() error { _, err := w.React(ctx, alice, m.ID, "+"); return err }},
		{"taking it back", 1, func() error { return w.Unreact(ctx, alice, m.ID, "+") }},
		{"taking it back again", 0, func() error { return w.Unreact(ctx, alice, m.ID, "+") }},
		{"a pin", 1, func() error { _, _, err := w.Pin(ctx, alice, group, m.ID); return err }},
		{"the same pin", 0, func() error { _, _, err := w.Pin(ctx, alice, group, m.ID); return err }},
		{"an unpin", 1, func() error { return w.Unpin(ctx, alice, group, m.ID) }},
		{"a deletion", 1, func() error { return w.Delete(ctx, alice, m.ID) }},
		{"the same deletion", 0, func() error { return w.Delete(ctx, alice, m.ID) }},
		{"a title", 1, func() error { _, err := w.SetTitle(ctx, alice, group, "t"); return err }},
		{"the same title", 0, func() error { _, err := w.SetTitle(ctx, alice, group, "t"); return err }},
		{"a role", 1, func() error { _, err := w.SetRole(ctx, alice, group, "bob", chat.Admin); return err }},
		{"the same role", 0, func() error { _, err := w.SetRole(ctx, alice, group, "bob", chat.Admin); return err }},
		{"one more", 1, func() error { _, _, err := w.AddParticipant(ctx, alice, group, "dave"); return err }},
		{"the same one", 0, func() error { _, _, err := w.AddParticipant(ctx, alice, group, "dave"); return err }},
		{"a removal", 1, func() error { return w.RemoveParticipant(ctx, alice, group, "dave") }},
		{"a block", 1, func() error { return w.Block(ctx, alice, "carol") }},
		{"the same block", 0, func() error { return w.Block(ctx, alice, "carol") }},
		{"an unblock", 1, func() error { return w.Unblock(ctx, alice, "carol") }},
		{"the same unblock", 0, func() error { return w.Unblock(ctx, alice, "carol") }},
		{"an upload of keys", 5, func() error { _, err := w.UploadPrekeys(ctx, alice, upload(1, 2)); return err }},
		{"a report", 5, func() error { _, _, err := w.Report(ctx, alice, theirs.ID, chat.ReportSpam, ""); return err }},
		{"a read mark", 0, func() error { return w.MarkRead(ctx, alice, group, theirs.ID) }},
		{"a 1:1", 1, func() error { return create(chat.CreateThread{Type: chat.OneToOne, Participants: people(1)}) }},
		{"the same 1:1", 0, func() error { return create(chat.CreateThread{Type: chat.OneToOne, Participants: people(1)}) }},
		{"a group of 25", 1, func() error { return create(chat.CreateThread{Type: chat.Group, Participants: people(24)}) }},
		{"a group of 26", 2, func() error { return create(chat.CreateThread{Type: chat.Group, Participants: people(25)}) }},
		{"a group of 250", 10, func() error { return create(chat.CreateThread{Type: chat.Group, Participants: people(249)}) }},
		{"a group with a key", 2, func() error { return create(keyed) }},
		{"its replay", 0, func() error { return create(keyed) }},
	} {
		w.clock.advance(time.Minute) // the burst is whole
		before := w.left(alice, chat.RateOfWrites)
		must(t, c.do())
		if cost := before - w.left(alice, chat.RateOfWrites); cost != c.writes {
			t.Errorf("%s costs %d writes, want %d", c.what, cost, c.writes)
		}
	}
}

func TestEveryReadCostsOne(t *testing.T) {
	w := rated(t)
	id := w.newGroup("alice", "bob")
	m := w.send("alice", id, "hello")
	req := w.request(id, "again")
	_, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	ctx, alice := t.Context(), as("alice")
	must(t, func() error { _, err := w.UploadPrekeys(ctx, as("bob"), upload(1, 2)); return err }())
	for what, read := range map[string]func() error{
		"a thread":   func() error { _, err := w.Thread(ctx, alice, id); return err },
		"threads":    func() error { _, err := w.Threads(ctx, alice, chat.PageRequest{}); return err },
		"history":    func() error { _, err := w.History(ctx, alice, id, chat.PageRequest{}); return err },
		"since":      func() error { _, err := w.HistorySince(ctx, alice, id, m.ID, chat.PageRequest{}); return err },
		"events":     func() error { _, err := w.Events(ctx, alice, id, 0, chat.PageRequest{}); return err },
		"a message":  func() error { _, err := w.Message(ctx, alice, m.ID); return err },
		"receipts":   func() error { _, err := w.Receipts(ctx, alice, m.ID); return err },
		"pins":       func() error { _, err := w.Pins(ctx, alice, id); return err },
		"own keys":   func() error { _, err := w.OwnPrekeys(ctx, alice); return err },
		"their keys": func() error { _, err := w.FetchPrekeys(ctx, alice, "bob"); return err },
		"blocks":     func() error { _, err := w.Blocks(ctx, alice, chat.PageRequest{}); return err },
		"presence":   func() error { _, err := w.Presence(ctx, alice, "bob"); return err },
		"a replay":   func() error { _, err := w.Send(ctx, alice, req); return err },
	} {
		w.clock.advance(time.Minute)
		before := w.left(alice, chat.RateOfReads)
		must(t, read())
		if cost := before - w.left(alice, chat.RateOfReads); cost != 1 {
			t.Errorf("%s costs %d reads, want 1", what, cost)
		}
	}
	w.clock.advance(time.Minute)
	for range 200 {
		_, err := w.Message(ctx, alice, m.ID)
		must(t, err)
	}
	_, err = w.Message(ctx, alice, m.ID)
	refused(t, err, chat.CodeRateLimited)
	_, err = w.History(ctx, alice, id, chat.PageRequest{Size: -1})
	invalid(t, err, "page_size") // before the rate
	_, err = w.History(ctx, alice, nowhere, chat.PageRequest{})
	refused(t, err, chat.CodeRateLimited) // which is before the thread
	_, err = w.Send(ctx, alice, req)
	refused(t, err, chat.CodeRateLimited) // a replay costs a read
	w.send("alice", id, "a write costs none")
	w.clock.advance(20 * time.Millisecond)
	_, err = w.Message(ctx, alice, m.ID)
	must(t, err)
}

// A retry is answered though its sender may write nothing more, and whatever it retries.
func TestARetryDoesNotWaitForTheRateOfWrites(t *testing.T) {
	w := rated(t)
	id := w.newGroup("alice", "bob")
	req := w.request(id, "once")
	first, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	keyed := chat.CreateThread{Type: chat.Group, Participants: people(3), IdempotencyKey: "k"}
	made := w.newThread("alice", keyed)
	w.sendMany("alice", id, 37)
	_, err = w.Send(t.Context(), as("alice"), w.request(id, "too fast"))
	refused(t, err, chat.CodeRateLimited)
	same(t, "by key", w.resend("alice", req, chat.Replayed).ID, first.Event.ID)
	other := req
	other.IdempotencyKey = "another"
	same(t, "by client_seq", w.resend("alice", other, chat.ClientSeqTaken).ID, first.Event.ID)
	changed := req
	changed.Ciphertext = []byte("other")
	_, err = w.Send(t.Context(), as("alice"), changed)
	refused(t, err, chat.CodeIdempotencyKeyReused)
	v, outcome, err := w.CreateThread(t.Context(), as("alice"), keyed)
	must(t, err)
	same(t, "outcome", outcome, chat.Recreated)
	same(t, "the thread", v.ID, made)
	keyed.IdempotencyKey = "k2"
	_, _, err = w.CreateThread(t.Context(), as("alice"), keyed)
	refused(t, err, chat.CodeRateLimited)
	same(t, "writes left", w.left(as("alice"), chat.RateOfWrites), 0)
	same(t, "reads left", w.left(as("alice"), chat.RateOfReads), 196)
}

func TestSystemMessagesHaveARateOfTheirOwn(t *testing.T) {
	w := rated(t)
	id := w.newGroup("alice")
	service := with("backend", chat.ScopeSystem)
	send := func() error {
		req := w.request(id, "notice")
		req.ContentType = chat.System
		_, err := w.Send(t.Context(), service, req)
		return err
	}
	for range 1000 {
		must(t, send())
	}
	refused(t, send(), chat.CodeRateLimited)
	same(t, "writes of a user are another rate", w.left(service, chat.RateOfWrites), 40)
	w.clock.advance(time.Millisecond)
	must(t, send())
}

// Sends that wait take their turns one after the other, and before any other write of the
// user. Whoever would wait too long is refused.
func TestAdmissionsWaitInTurn(t *testing.T) {
	w := rated(t)
	id := w.newGroup("alice", "bob")
	w.sendMany("alice", id, 39)
	admit := func(most time.Duration) (*chat.Admission, error) {
		return w.Admit(t.Context(), as("alice"), w.request(id, "waiting"), most)
	}
	var waiting []*chat.Admission
	for i := range 600 {
		a, err := admit(time.Minute)
		must(t, err)
		same(t, "wait", a.Wait(), time.Duration(i+1)*50*time.Millisecond)
		waiting = append(waiting, a)
	}
	_, err := admit(time.Minute) // it would have to wait for more than 30 s
	refused(t, err, chat.CodeRateLimited)
	w.clock.advance(29 * time.Second)
	_, err = w.Send(t.Context(), as("alice"), w.request(id, "not before those that wait"))
	refused(t, err, chat.CodeRateLimited)
	for i, a := range waiting[:580] {
		same(t, fmt.Sprint("the time of ", i, " has come"), a.Wait() <= 0, true)
	}
	same(t, "that of the next has not", waiting[580].Wait() > 0, true)
	sending, err := waiting[0].Begin(t.Context(), nil)
	must(t, err)
	_, err = sending.Result(t.Context())
	must(t, err)
	for _, a := range waiting[1:] {
		a.Cancel()
		a.Cancel() // once more changes nothing
	}
	same(t, "left when all but one are cancelled", w.left(as("alice"), chat.RateOfWrites), 40)
}

package chat_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// control is a control message of one byte; an epoch of zero is none.
func (w *world) control(thread chat.ThreadID, epoch chat.Epoch) chat.SendRequest {
	req := w.request(thread, "c")
	req.ContentType, req.Epoch = chat.Control, epoch
	return req
}

// conflict checks that err refuses an epoch, and gives what it says.
func conflict(tb TB, err error) chat.EpochConflict {
	tb.Helper()
	refused(tb, err, chat.CodeEpochConflict)
	e, _ := errors.AsType[*chat.Error](err)
	return *e.Epoch
}

func TestAnEpochIsTheNextOne(t *testing.T) {
	w := newWorld(t)
	thread := w.newGroup("ann", "bob")
	_, err := w.Send(t.Context(), as("ann"), w.control(thread, 2))
	if c := conflict(t, err); c.Epoch != 0 || c.Message != nil {
		t.Fatalf("at first the refusal tells of %+v", c)
	}
	same(t, "the epoch at first", w.view("bob", thread).Head.Epoch, 0)
	req := w.control(thread, 1)
	req.Ciphertext = make([]byte, chat.MaxControlBytes)
	first, err := w.Send(t.Context(), as("ann"), req)
	must(t, err)
	same(t, "what is sent is told whole", len(first.Event.Message.Ciphertext), chat.MaxControlBytes)
	for _, epoch := range []chat.Epoch{1, 3, chat.MaxEpoch} {
		_, err := w.Send(t.Context(), as("bob"), w.control(thread, epoch))
		c := conflict(t, err)
		if c.Epoch != 1 || c.Message == nil || c.Message.ID != first.Event.ID || !c.Message.Message.Omitted || len(c.Message.Message.Ciphertext) > 0 {
			t.Fatalf("epoch %d is refused with %+v", epoch, c)
		}
	}
	same(t, "the epoch then", w.view("bob", thread).Head.Epoch, 1)
	replay, err := w.Send(t.Context(), as("ann"), req) // a retry is recognised first
	must(t, err)
	same(t, "a retry of the winner", replay.Outcome, chat.Replayed)
	req.IdempotencyKey = "another"
	replay, err = w.Send(t.Context(), as("ann"), req)
	must(t, err)
	same(t, "a retry by its client_seq", replay.Outcome, chat.ClientSeqTaken)
	req.IdempotencyKey, req.Epoch = "key-2", 2
	_, err = w.Send(t.Context(), as("ann"), req)
	refused(t, err, chat.CodeIdempotencyKeyReused)

	must(t, w.Delete(t.Context(), as("ann"), first.Event.ID)) // which gives no epoch back
	_, err = w.Send(t.Context(), as("bob"), w.control(thread, 1))
	if c := conflict(t, err); c.Epoch != 1 || c.Message.Message.Deleted == "" || c.Message.Message.Epoch != 1 || c.Message.Message.Omitted {
		t.Fatalf("of a tombstone the refusal tells %+v", c.Message.Message)
	}
	w.add("ann", thread, "cid") // who does not see what came before
	_, err = w.Send(t.Context(), as("cid"), w.control(thread, 1))
	if c := conflict(t, err); c.Epoch != 1 || c.Message != nil {
		t.Fatalf("who joined later is told %+v", c)
	}
	w.soundLog(thread)
}

// A refused send uses up neither its key nor its client_seq.
func TestARefusedEpochUsesNothingUp(t *testing.T) {
	w := newWorld(t)
	thread := w.newGroup("ann", "bob")
	req := w.control(thread, 2)
	_, err := w.Send(t.Context(), as("ann"), req)
	conflict(t, err)
	req.Epoch = 1
	res, err := w.Send(t.Context(), as("ann"), req)
	must(t, err)
	same(t, "the same key and client_seq with the right epoch", res.Outcome, chat.Sent)
}

func TestWhomTheOtherBlocksTakesNoEpoch(t *testing.T) {
	w := newWorld(t)
	thread := w.newPair("ann", "bob")
	first := w.control(thread, 1)
	_, err := w.Send(t.Context(), as("bob"), first)
	must(t, err)
	must(t, w.Block(t.Context(), as("ann"), "bob"))
	for _, epoch := range []chat.Epoch{1, 2} {
		_, err = w.Send(t.Context(), as("bob"), w.control(thread, epoch))
		refused(t, err, chat.CodeBlocked)
	}
	res, err := w.Send(t.Context(), as("bob"), first)
	must(t, err)
	same(t, "a retry of what was stored before", res.Outcome, chat.Replayed)
	res, err = w.Send(t.Context(), as("bob"), w.control(thread, 0))
	must(t, err)
	same(t, "without an epoch it is hidden", res.Event.Message.HiddenFrom, "ann")
	_, err = w.Send(t.Context(), as("ann"), w.control(thread, 2)) // the blocker may
	must(t, err)
}

// Control messages of two nodes for the same epoch: one is stored, the others are told
// which.
func TestOneOfManyCommitsOfAnEpochWins(t *testing.T) {
	w := newWorldOf(t, setup{limits: chat.Limits{ReadRate: 0, SendRate: 0}, realClock: true})
	other := chat.New(chat.Config{Store: w.store, Bus: w.bus})
	defer other.Close(t.Context())
	members := people(32)
	thread := w.newGroup(members[0], members[1:]...)
	for epoch := chat.Epoch(1); epoch <= 3; epoch++ {
		var mu sync.Mutex
		var won []chat.MessageID
		told := make(map[chat.MessageID]int)
		var wg sync.WaitGroup
		for i, u := range members {
			node, req := w.Service, w.control(thread, epoch)
			if i%2 == 1 {
				node = other
			}
			wg.Go(func() {
				res, err := node.Send(t.Context(), as(u), req)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won = append(won, res.Event.ID)
					return
				}
				if e, ok := errors.AsType[*chat.Error](err); ok && e.Epoch != nil && e.Epoch.Epoch == epoch && e.Epoch.Message != nil {
					told[e.Epoch.Message.ID]++
					return
				}
				t.Errorf("%s is refused with %v", u, err)
			})
		}
		wg.Wait()
		if len(won) != 1 || told[won[0]] != 31 {
			t.Fatalf("epoch %d: %d won, and the others were told %v", epoch, len(won), told)
		}
	}
	same(t, "the epoch", w.view(members[0], thread).Head.Epoch, 3)
	same(t, "events in the log", len(w.soundLog(thread)), 4)
}

func TestControlCountsNowhere(t *testing.T) {
	w := newWorld(t)
	thread := w.newGroup("ann", "bob")
	before := w.send("ann", thread, "text")
	w.clock.advance(time.Minute)
	res, err := w.Send(t.Context(), as("ann"), w.control(thread, 1))
	must(t, err)
	v := w.view("bob", thread)
	if v.LastMessage != before.ID || !v.LastActivity().Equal(before.At) || v.Unread != 1 {
		t.Fatalf("the thread shows %s of %s, %d unread; want the text", v.LastMessage, v.LastActivity(), v.Unread)
	}
	w.read("bob", res.Event) // it is receipted like any
	v = w.view("ann", thread)
	if bob := v.Views[1]; bob.ReadUpTo != res.Event.ID || bob.DeliveredUpTo != res.Event.ID {
		t.Fatalf("bob has read up to %s, want the control message", bob.ReadUpTo)
	}
	same(t, "unread then", w.view("bob", thread).Unread, 0)
}

func TestWhatControlTakes(t *testing.T) {
	w := newWorldOf(t, setup{limits: chat.Limits{SendRate: 1, SendBurst: 5}})
	thread := w.newGroup("ann", "bob")
	w.clock.advance(time.Hour)
	text := w.send("ann", thread, "text")
	req := w.control(thread, 1)
	req.TTL = time.Minute
	res, err := w.Send(t.Context(), as("ann"), req)
	must(t, err)
	m := res.Event
	for name, err := range map[string]error{
		"edit": func() error {
			_, err := w.Edit(t.Context(), as("ann"), m.ID, chat.EditRequest{Ciphertext: []byte("x")})
			return err
		}(),
		"reaction": func() error { _, err := w.React(t.Context(), as("bob"), m.ID, "x"); return err }(),
		"pin":      func() error { _, _, err := w.Pin(t.Context(), as("bob"), thread, m.ID); return err }(),
		"edit of a text to control": func() error {
			_, err := w.Edit(t.Context(), as("ann"), text.ID, chat.EditRequest{Ciphertext: []byte("x"), ContentType: chat.Control})
			return err
		}(),
	} {
		if chat.CodeOf(err) != chat.CodeInvalidRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.clock.advance(time.Hour)
	refuse := func(field string, change func(*chat.SendRequest)) {
		t.Helper()
		req := w.control(thread, 2)
		change(&req)
		_, err := w.Send(t.Context(), as("ann"), req)
		invalid(t, err, field)
	}
	refuse("reply_to_msg_id", func(r *chat.SendRequest) { r.ReplyTo = text.ID })
	refuse("epoch", func(r *chat.SendRequest) { r.ContentType = chat.Text })
	refuse("epoch", func(r *chat.SendRequest) { r.Epoch = chat.MaxEpoch + 1 })
	req = w.control(thread, 2)
	req.Ciphertext = make([]byte, chat.MaxControlBytes+1)
	_, err = w.Send(t.Context(), as("ann"), req)
	refused(t, err, chat.CodeCiphertextTooLarge)
	// It costs one for each 64 KiB begun: four of the burst of five, and then one is left.
	req = w.control(thread, 2)
	req.Ciphertext = make([]byte, chat.MaxControlBytes)
	_, err = w.Send(t.Context(), as("ann"), req)
	must(t, err)
	req = w.control(thread, 3)
	req.Ciphertext = make([]byte, 64<<10+1)
	_, err = w.Send(t.Context(), as("ann"), req)
	refused(t, err, chat.CodeRateLimited)
	_, err = w.Send(t.Context(), as("ann"), w.control(thread, 3))
	must(t, err)
}

func TestLargeControlIsShownAloneOnly(t *testing.T) {
	w := newWorld(t)
	thread := w.newGroup("ann", "bob")
	for i := range 6 { // more than the bytes of a page, were they in it
		req := w.control(thread, chat.Epoch(i+1))
		req.Ciphertext = make([]byte, chat.MaxControlBytes)
		w.clock.advance(time.Minute)
		w.heard.drain()
		_, err := w.Send(t.Context(), as("ann"), req)
		must(t, err)
		if told := w.heard.one(t).Event.Message; !told.Omitted || len(told.Ciphertext) > 0 || told.Epoch != req.Epoch {
			t.Fatalf("the notice has %d bytes of it", len(told.Ciphertext))
		}
	}
	page, err := w.History(t.Context(), as("bob"), thread, chat.PageRequest{})
	must(t, err)
	events, err := w.Events(t.Context(), as("bob"), thread, 1, chat.PageRequest{})
	must(t, err)
	for _, list := range [][]chat.Event{page.Messages, events.Events} {
		same(t, "how many", len(list), 6)
		for _, m := range list {
			if !m.Message.Omitted || len(m.Message.Ciphertext) > 0 {
				t.Fatalf("message %d is shown with its ciphertext", m.Seq)
			}
		}
	}
	m, err := w.Message(t.Context(), as("bob"), page.Messages[0].ID)
	must(t, err)
	same(t, "bytes of it alone", len(m.Message.Ciphertext), chat.MaxControlBytes)
}

// unsearched is a store of which no message is looked for in all threads.
type unsearched struct{ chat.Store }

func (unsearched) Message(context.Context, chat.MessageID) (chat.Event, error) {
	return chat.Event{}, errDisk
}

func TestTheHolderOfAnEpochIsLookedUpInItsThread(t *testing.T) {
	w := newWorld(t)
	thread := w.newGroup("ann", "bob")
	first, err := w.Send(t.Context(), as("ann"), w.control(thread, 1))
	must(t, err)
	s := chat.New(chat.Config{Store: unsearched{w.store}, Bus: w.bus, Now: w.clock.Now})
	t.Cleanup(func() { s.Close(context.Background()) })
	_, err = s.Send(t.Context(), as("bob"), w.control(thread, 1))
	same(t, "the holder", conflict(t, err).Message.ID, first.Event.ID)
}

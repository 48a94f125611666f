package chat_test

import (
	"slices"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/parleyhq/parley/chat"
)

// receipts are those of a message by recipient.
func (w *world) receipts(m chat.Event) map[chat.UserID]chat.RecipientReceipt {
	w.tb.Helper()
	list, err := w.Receipts(w.tb.Context(), as("alice"), m.ID)
	must(w.tb, err)
	byUser := make(map[chat.UserID]chat.RecipientReceipt)
	for _, r := range list {
		if _, twice := byUser[r.User]; twice {
			w.tb.Fatalf("%s is listed twice", r.User)
		}
		byUser[r.User] = r
	}
	return byUser
}

// acknowledge lets a user's phone acknowledge messages that came one after the other.
func (w *world) acknowledge(user chat.UserID, messages ...chat.Event) {
	w.tb.Helper()
	must(w.tb, w.Acknowledge(w.tb.Context(), user, "phone", ackOf(messages...)))
}

// ackOf is what a session makes of acknowledged messages.
func ackOf(messages ...chat.Event) chat.Ack {
	first, last := messages[0], messages[len(messages)-1]
	a := chat.Ack{Thread: first.Thread, From: first.Seq, Seq: last.Seq, Message: last.ID}
	newest := make(map[chat.UserID]int)
	for _, m := range messages {
		i, known := newest[m.By]
		if !known {
			i = len(a.Senders)
			newest[m.By], a.Senders = i, append(a.Senders, chat.AckedSender{})
		}
		a.Senders[i] = chat.AckedSender{User: m.By, Message: m.ID, Seq: m.Seq}
	}
	return a
}

func TestMarkRead(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob", "carol")
	sent := w.sendMany("alice", id, 3)
	w.heard.drain()
	at := w.clock.advance(time.Minute)

	w.read("bob", sent[1])
	r, audience := w.heard.receipt(t)
	same(t, "kind", r.Kind, chat.Read)
	same(t, "by", r.User, chat.UserID("bob"))
	same(t, "device", r.Device, chat.DeviceID("phone"))
	same(t, "thread", r.Thread, id)
	same(t, "up to", r.Message, sent[1].ID)
	same(t, "at", r.At, at)
	sameList(t, "audience, the reader's other devices too", audience, "alice", "bob", "carol")
	same(t, "unread", w.view("bob", id).Unread, 1)

	w.clock.advance(time.Minute)
	w.read("bob", sent[1])
	w.read("bob", sent[0]) // never backwards
	w.heard.nothing(t)
	same(t, "read up to", w.view("alice", id).Views[1].ReadUpTo, sent[1].ID)
	same(t, "read at", w.receipts(sent[1])["bob"].ReadAt, at)

	w.read("bob", sent[2])
	w.heard.receipt(t)
	same(t, "unread", w.view("bob", id).Unread, 0)
	same(t, "a receipt takes no seq", w.view("bob", id).Head.Seq, sent[2].Seq)
}

func TestMarkReadRefusals(t *testing.T) {
	w := newWorld(t)
	id, other := w.newGroup("alice"), w.newGroup("alice", "bob")
	m, elsewhere := w.send("alice", id, "early"), w.sendMany("alice", other, 9)[8]
	w.add("alice", id, "bob") // to whom a seq as high as that of elsewhere would be visible
	w.heard.drain()
	for name, c := range map[string]struct {
		by   chat.Caller
		in   chat.ThreadID
		upTo chat.MessageID
		code chat.Code
	}{
		"1 no right to write":           {with("bob", chat.ScopeRead), nowhere, m.ID, chat.CodeMissingScope},
		"2 no such thread":              {as("bob"), nowhere, m.ID, chat.CodeThreadNotFound},
		"3 a stranger":                  {as("mallory"), id, ulid.Make(), chat.CodeNotAParticipant},
		"4 no such message":             {as("bob"), id, ulid.Make(), chat.CodeMessageNotFound},
		"4 a message of another thread": {as("bob"), id, elsewhere.ID, chat.CodeMessageNotFound},
		"4 a message before joining":    {as("bob"), id, m.ID, chat.CodeMessageNotFound},
		"4 an event that is no message": {as("alice"), id, w.log(id)[0].ID, chat.CodeMessageNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, w.MarkRead(t.Context(), c.by, c.in, c.upTo), c.code)
		})
	}
	w.heard.nothing(t)
}

func TestReceiptThatCannotBeStored(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	m := w.send("alice", id, "hello")
	w.heard.drain()
	fault := markFault(func(func() (chat.Mark, bool, error)) (chat.Mark, bool, error) { return chat.Mark{}, false, errDisk })
	w.store.onPutMark.Store(&fault)
	unavailable(t, w.MarkRead(t.Context(), as("bob"), id, m.ID), errDisk)
	unavailable(t, w.Acknowledge(t.Context(), "bob", "phone", ackOf(m)), errDisk)
	w.heard.nothing(t)
	same(t, "state", w.receipts(m)["bob"].State, chat.StateSent)

	w.store.onPutMark.Store(nil)
	w.acknowledge("bob", m)
	w.heard.receipt(t)
	w.read("bob", m)
	w.heard.receipt(t)
}

func TestReceiptsOfEachRecipientWithTimes(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob", "carol", "dave", "erin")
	m := w.send("alice", id, "hello")
	delivered := w.clock.advance(time.Second)
	w.acknowledge("bob", m)
	w.acknowledge("dave", m)
	read := w.clock.advance(time.Second + 7*time.Millisecond)
	w.read("bob", m)
	w.read("carol", m) // with nothing acknowledged: READ implies DELIVERED
	w.clock.advance(time.Hour)
	later := w.send("alice", id, "later")
	w.acknowledge("carol", later)
	w.read("bob", later)

	got := w.receipts(m)
	same(t, "recipients", len(got), 4)
	for user, want := range map[chat.UserID]chat.RecipientReceipt{
		"bob":   {User: "bob", State: chat.StateRead, DeliveredAt: delivered, ReadAt: read},
		"carol": {User: "carol", State: chat.StateRead, DeliveredAt: read, ReadAt: read},
		"dave":  {User: "dave", State: chat.StateDelivered, DeliveredAt: delivered},
		"erin":  {User: "erin", State: chat.StateSent},
	} {
		same(t, "receipt", got[user], want)
	}
	same(t, "of the later one", w.receipts(later)["carol"], chat.RecipientReceipt{
		User: "carol", State: chat.StateDelivered, DeliveredAt: w.clock.Now(),
	})
}

// What was told of a receipt stays as it is when the clock goes back between
// acknowledging and reading, in either order.
func TestReceiptsStayWhenTheClockGoesBack(t *testing.T) {
	for _, readFirst := range []bool{false, true} {
		w := newWorld(t)
		id := w.newPair("alice", "bob")
		sent := w.sendMany("alice", id, 3)
		marks := []func(...chat.Event){
			func(m ...chat.Event) { w.acknowledge("bob", m...) },
			func(m ...chat.Event) { w.read("bob", m[len(m)-1]) },
		}
		if readFirst {
			slices.Reverse(marks)
		}
		want := chat.RecipientReceipt{User: "bob", State: chat.StateDelivered, DeliveredAt: w.clock.advance(time.Second)}
		marks[0](sent...)
		if readFirst {
			want.State, want.ReadAt = chat.StateRead, want.DeliveredAt
		}
		same(t, "the receipt", w.receipts(sent[1])["bob"], want)

		back := w.clock.advance(-time.Hour)
		marks[1](sent...)
		if !readFirst {
			want.State, want.ReadAt = chat.StateRead, back
		}
		for _, m := range sent {
			same(t, "the receipt after the clock went back", w.receipts(m)["bob"], want)
		}
	}
}

// Marks that do not tell which of the two came first are those of an earlier version. The
// earlier time decides.
func TestReceiptsOfMarksThatDoNotKnowEachOther(t *testing.T) {
	w := newWorld(t)
	id := w.newPair("alice", "bob")
	m := w.send("alice", id, "hello")
	at := w.clock.Now()
	for _, mark := range []chat.Mark{
		{Kind: chat.Read, At: at.Add(time.Minute)},
		{Kind: chat.Delivered, At: at.Add(time.Second)},
	} {
		mark.Thread, mark.User, mark.Seq, mark.Message = id, "bob", m.Seq, m.ID
		_, _, err := w.store.PutMark(t.Context(), mark)
		must(t, err)
	}
	same(t, "the receipt", w.receipts(m)["bob"], chat.RecipientReceipt{
		User: "bob", State: chat.StateRead, DeliveredAt: at.Add(time.Second), ReadAt: at.Add(time.Minute),
	})
}

func TestMarksCoverWhatIsOlder(t *testing.T) {
	w := newWorld(t)
	id := w.newPair("alice", "bob")
	sent := w.sendMany("alice", id, 5)
	at := w.clock.advance(time.Second)
	w.acknowledge("bob", sent...)
	for _, m := range sent {
		same(t, "receipt", w.receipts(m)["bob"], chat.RecipientReceipt{User: "bob", State: chat.StateDelivered, DeliveredAt: at})
	}
}

func TestRecipientsAreThoseOfTheMomentOfSending(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob", "carol")
	m := w.send("alice", id, "to bob and carol")
	at := w.clock.advance(time.Second)
	w.read("bob", m)
	w.remove("alice", id, "bob")
	w.add("alice", id, "dave")
	later := w.send("alice", id, "to carol and dave")
	w.read("dave", later)

	got := w.receipts(m)
	same(t, "recipients", len(got), 2)
	same(t, "who has left keeps its state", got["bob"], chat.RecipientReceipt{
		User: "bob", State: chat.StateRead, DeliveredAt: at, ReadAt: at,
	})
	same(t, "carol", got["carol"].State, chat.StateSent)
	got = w.receipts(later)
	same(t, "recipients", len(got), 2)
	same(t, "carol", got["carol"].State, chat.StateSent)
	same(t, "dave", got["dave"].State, chat.StateRead)
}

// A message that a recipient did not acknowledge in the stint it was sent in is not
// delivered by an acknowledgement of a later stint, in which the recipient cannot see it.
func TestReJoiningDeliversNothingOld(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	missed := w.send("alice", id, "bob's phone is off")
	w.remove("alice", id, "bob")
	w.add("alice", id, "bob")
	seen := w.send("alice", id, "welcome back")
	w.acknowledge("bob", seen)
	w.read("bob", seen)
	same(t, "the one seen", w.receipts(seen)["bob"].State, chat.StateRead)
	same(t, "the one missed", w.receipts(missed)["bob"], chat.RecipientReceipt{User: "bob", State: chat.StateSent})
}

// The receipts of a message count the recipient's marks of the stint it was sent in, and
// none of a later one.
func TestReceiptsOverSeveralStints(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob", "carol")
	var received, missed, away []chat.Event
	var times []time.Time
	for stay := range 3 {
		if stay > 0 {
			w.add("alice", id, "bob")
		}
		m := w.send("alice", id, "received")
		times = append(times, w.clock.advance(time.Second))
		if stay == 1 {
			w.read("bob", m)
		} else {
			w.acknowledge("bob", m)
		}
		w.clock.advance(time.Second)
		received, missed = append(received, m), append(missed, w.send("carol", id, "missed"))
		w.remove("alice", id, "bob")
		away = append(away, w.send("alice", id, "away"))
		w.clock.advance(time.Second)
	}
	for stay, m := range received {
		want := chat.RecipientReceipt{User: "bob", State: chat.StateDelivered, DeliveredAt: times[stay]}
		if stay == 1 {
			want.State, want.ReadAt = chat.StateRead, times[stay]
		}
		same(t, "received", w.receipts(m)["bob"], want)
		same(t, "missed", w.receipts(missed[stay])["bob"], chat.RecipientReceipt{User: "bob", State: chat.StateSent})
		_, recipient := w.receipts(away[stay])["bob"]
		same(t, "bob is a recipient of what was sent while he was away", recipient, false)
	}
}

func TestReceiptsRefusals(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice")
	m := w.send("alice", id, "early")
	w.add("alice", id, "bob")
	for name, c := range map[string]struct {
		by   chat.Caller
		of   chat.MessageID
		code chat.Code
	}{
		"no right to read":            {with("alice", chat.ScopeWrite), ulid.Make(), chat.CodeMissingScope},
		"no such message":             {as("mallory"), ulid.Make(), chat.CodeMessageNotFound},
		"a stranger":                  {as("mallory"), m.ID, chat.CodeNotAParticipant},
		"a message before joining":    {as("bob"), m.ID, chat.CodeMessageNotFound},
		"an event that is no message": {as("alice"), w.log(id)[0].ID, chat.CodeMessageNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.Receipts(t.Context(), c.by, c.of)
			refused(t, err, c.code)
		})
	}
	got := w.receipts(m)
	same(t, "recipients of a message to nobody", len(got), 0)
}

package chat_test

import (
	"errors"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// strange checks that err refuses too many strangers, and when it may be tried again.
func strange(t *testing.T, err error, retryAfter time.Duration) {
	t.Helper()
	refused(t, err, chat.CodeTooManyStrangers)
	e, _ := errors.AsType[*chat.Error](err)
	same(t, "retry after", e.RetryAfter, retryAfter)
}

// A person may put so many into threads in a day who have accepted no 1:1 with it, by creating
// threads and by adding to them; what is refused counts nothing.
func TestStrangersAreCounted(t *testing.T) {
	w := newWorldOf(t, setup{limits: chat.Limits{Strangers: 4}})
	create := func(kind chat.ThreadType, key string, users ...chat.UserID) (chat.ThreadID, error) {
		v, _, err := w.CreateThread(t.Context(), as("ann"), chat.CreateThread{Type: kind, Participants: users, IdempotencyKey: key})
		return v.ID, err
	}
	add := func(id chat.ThreadID, user chat.UserID) error {
		_, _, err := w.AddParticipant(t.Context(), as("ann"), id, user)
		return err
	}
	const day, hour = chat.StrangersSpan, time.Hour
	pair := w.newPair("ann", "bob")
	w.clock.advance(hour)
	group, err := create(chat.Group, "first", "bob", "cid", "dan") // three, bob is one
	must(t, err)
	w.clock.advance(hour)
	_, err = create(chat.Group, "", "eve", "fay")
	strange(t, err, day-2*hour)
	must(t, w.Block(t.Context(), as("gus"), "ann"))
	_, err = create(chat.Group, "", "eve", "gus")
	refused(t, err, chat.CodeCannotAdd)
	refused(t, add(group, "gus"), chat.CodeCannotAdd)
	must(t, add(group, "eve")) // four
	strange(t, add(group, "fay"), day-2*hour)
	_, err = create(chat.OneToOne, "", "fay")
	strange(t, err, day-2*hour)
	_, err = create(chat.Group, "", "f", "g", "h", "i", "j") // more than ever may be
	strange(t, err, day)

	// Those who count already, who are there already, and retries, are no more.
	_, err = create(chat.OneToOne, "", "cid")
	must(t, err)
	again, err := create(chat.OneToOne, "", "bob")
	must(t, err)
	same(t, "the 1:1 that is there", again, pair)
	again, err = create(chat.Group, "first", "bob", "cid", "dan")
	must(t, err)
	same(t, "the retry", again, group)
	_, err = create(chat.Group, "first", "bob", "cid", "fay")
	refused(t, err, chat.CodeIdempotencyKeyReused)
	must(t, add(group, "eve"))

	// Whoever has accepted a 1:1 is no stranger; being in a group of hers is not enough.
	other := w.newPair("fay", "ann")
	_, err = create(chat.Group, "", "fay")
	must(t, err)
	w.change("fay", other, chat.StateChange{Accepted: new(false)})
	_, err = create(chat.Group, "", "fay")
	strange(t, err, day-2*hour)
	must(t, w.accept("eve", group))
	strange(t, add(group, "hal"), day-2*hour)
	_, _, err = w.AddParticipant(t.Context(), as("cid"), group, "hal") // another may
	must(t, err)

	// The first counts no more after a day; the others still do.
	w.clock.advance(day - 2*hour - time.Millisecond)
	strange(t, add(group, "ida"), time.Millisecond)
	w.clock.advance(time.Millisecond)
	must(t, add(group, "ida"))
	strange(t, add(group, "jon"), hour)
	w.clock.advance(day)
	_, err = create(chat.Group, "", "k1", "k2", "k3", "k4")
	must(t, err)
	_, err = create(chat.Group, "", "k5")
	strange(t, err, day)
}

// Without a limit nobody is counted.
func TestNoLimitOfStrangers(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		w.newGroup("ann", people(249)...)
	}
	wait, err := w.store.PutStrangers(t.Context(), "ann", people(1), 1, w.clock.Now())
	must(t, err)
	same(t, "the wait for the first that counts", wait, 0)
}

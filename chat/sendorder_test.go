package chat_test

import (
	"context"
	"testing"

	"github.com/parleyhq/parley/chat"
)

func (w *world) admit(req chat.SendRequest) *chat.Admission {
	w.tb.Helper()
	a, err := w.Admit(w.tb.Context(), as("alice"), req, 0)
	must(w.tb, err)
	return a
}

// Once the store has failed to take a message, none of the order behind it is stored, though
// the store works again; others' are. Begun again, both are stored in their order.
func TestNothingOvertakesWhatTheStoreFailedToTake(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	entered, failing := make(chan struct{}), make(chan struct{})
	heal := w.store.failAppends(func(context.Context, []chat.Event, appendCall) (int, error) {
		close(entered)
		<-failing
		return 0, errDisk
	})
	first, second := w.admit(w.request(id, "first")), w.admit(w.request(id, "second"))
	var order chat.SendOrder
	begin := func(r *chat.Admission) *chat.Sending {
		sending, err := r.Begin(t.Context(), &order)
		must(t, err)
		return sending
	}
	one := begin(first)
	<-entered
	heal()
	two := begin(second)
	others, err := w.BeginSend(t.Context(), as("bob"), w.request(id, "bob's"))
	must(t, err)
	close(failing)
	_, err = one.Result(t.Context())
	unavailable(t, err, errDisk)
	_, err = two.Result(t.Context())
	refused(t, err, chat.CodeUnavailable)
	_, err = others.Result(t.Context())
	must(t, err)
	sameList(t, "history", w.history("alice", id), "bob's")
	order.Mend()
	one, two = begin(first), begin(second)
	for _, s := range []*chat.Sending{one, two} {
		_, err := s.Result(t.Context())
		must(t, err)
	}
	sameList(t, "history", w.history("alice", id), "second", "first", "bob's")
	w.soundLog(id)
}

// Binary keys are taken as they are: any byte counts, and visible ASCII is the same key as
// text. No text is the same as another binary key.
func TestBinaryKeys(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	send := func(key string, binary []byte, text string) (chat.SendOutcome, error) {
		req := w.request(id, text)
		req.IdempotencyKey, req.BinaryKey = key, binary
		result, err := w.Send(t.Context(), as("alice"), req)
		if err != nil {
			return 0, err
		}
		again, err := w.Send(t.Context(), as("alice"), req)
		must(t, err)
		same(t, "again", again.Outcome, chat.Replayed)
		same(t, "again", again.Event.ID, result.Event.ID)
		return result.Outcome, nil
	}
	for i, key := range [][]byte{{0}, {0, 0}, {0xFF}, []byte("a b"), []byte("é"), make([]byte, 64), []byte("text")} {
		outcome, err := send("", key, string(rune('a'+i)))
		must(t, err)
		same(t, "outcome", outcome, chat.Sent)
	}
	_, err := send("text", nil, "the same key")
	refused(t, err, chat.CodeIdempotencyKeyReused)
	_, err = send("", make([]byte, 65), "too long")
	invalid(t, err, "correlation data")
	_, err = send(" AA==", nil, "no text is a binary key")
	invalid(t, err, "Idempotency-Key")
}

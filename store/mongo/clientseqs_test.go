package mongo

import (
	"testing"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

// A device that has sent more messages in the threads of a page than are read at once takes a
// command for each thread that was not reached, and one that has sent less takes one for all.
func TestLastClientSeqsOfABusyDevice(t *testing.T) {
	server := mongod.Shared(t)
	sent := new(commands)
	s := open(t, server, server.URI(), Options{Now: testNow, monitor: sent.monitor()})
	const each = clientSeqsAtOnce / 4
	var threads []chat.ThreadID
	for n := range 5 {
		thread := mustCreate(t, s, creationOf(chat.Group, "ann", "bob"))
		threads = append(threads, thread)
		for from := 0; from < each+n; from += insertBatch {
			var more []chat.Event
			for i := from; i < min(from+insertBatch, each+n); i++ {
				m := messageFrom("ann", "x")
				m.Message.ClientSeq = int64(i)
				more = append(more, m)
			}
			mustAppend(t, s, thread, more...)
		}
	}
	for n, most := range map[int]int64{1: 1, 3: 1, 5: 1 + 2} {
		sent.take()
		lasts, err := s.LastClientSeqs(t.Context(), "ann", "phone", threads[:n])
		if err != nil {
			t.Fatal(err)
		}
		if got := sent.take(); got.Reads < 1 || got.Reads > most {
			t.Errorf("of %d threads: %+v, want at most %d reads", n, got, most)
		}
		for i, last := range lasts {
			if want := int64(each + i - 1); last == nil || *last != want {
				t.Errorf("of %d threads: the last in thread %d is %v, want %d", n, i, last, want)
			}
		}
	}
}

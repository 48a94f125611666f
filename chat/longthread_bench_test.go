package chat_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/parleyhq/parley/chat"
)

var longMessages = flag.Int("long.messages", 20_000, "messages of the long thread in BenchmarkLongThread")

// longThread is a group of ten that alice has sent messages to.
type longThread struct {
	id             chat.ThreadID
	messages       int
	newest, middle chat.MessageID
}

func (w *world) longThread(messages int) longThread {
	w.tb.Helper()
	t := longThread{id: w.newGroup("alice", people(9)...), messages: messages}
	payload := strings.Repeat("x", 300)
	for i := range messages {
		t.newest = w.send("alice", t.id, payload).ID
		if i == messages/2 {
			t.middle = t.newest
		}
	}
	return t
}

// BenchmarkLongThread asks the same of a thread of 1,000 messages and of a long one,
// in a store in memory. The metric "x" says how many times as long it takes in the
// long one.
func BenchmarkLongThread(b *testing.B) {
	w := newWorld(b)
	must(b, w.bus.Close()) // nobody listens: the recorder would only grow
	const short = 1000
	threads := []longThread{w.longThread(short), w.longThread(*longMessages)}
	by := as("user-1")
	for _, op := range []struct {
		name string
		do   func(t longThread) error
	}{
		{"newest page", func(t longThread) error {
			_, err := w.History(b.Context(), by, t.id, chat.PageRequest{Size: 50})
			return err
		}},
		{"page in the middle", func(t longThread) error {
			_, err := w.HistorySince(b.Context(), by, t.id, t.middle, chat.PageRequest{Size: 50})
			return err
		}},
		{"thread with its unread", func(t longThread) error {
			_, err := w.Thread(b.Context(), by, t.id)
			return err
		}},
		{"state of the newest", func(t longThread) error {
			_, err := w.Receipts(b.Context(), by, t.newest)
			return err
		}},
		{"state of the middle", func(t longThread) error {
			_, err := w.Receipts(b.Context(), by, t.middle)
			return err
		}},
		{"send", func(t longThread) error {
			_, err := w.Send(b.Context(), as("alice"), w.request(t.id, "one more"))
			return err
		}},
	} {
		var each [2]float64 // ns, in the short and in the long one
		for i, t := range threads {
			b.Run(fmt.Sprintf("%s, of %d", op.name, t.messages), func(b *testing.B) {
				b.ReportAllocs()
				for n := 1; b.Loop(); n++ {
					if op.name == "send" && n%(short/2) == 0 {
						b.StopTimer()
						if fresh := w.longThread(short); i == 0 { // it stays short
							t = fresh
						}
						b.StartTimer()
					}
					must(b, op.do(t))
				}
				each[i] = float64(b.Elapsed().Nanoseconds()) / float64(b.N)
				if i == 1 && each[0] > 0 {
					b.ReportMetric(each[1]/each[0], "x")
				}
			})
		}
	}
}

package chat_test

import (
	"sync/atomic"
	"testing"

	"github.com/parleyhq/parley/chat"
)

// BenchmarkSend runs on the disk that holds the temporary directory: what it
// costs is mostly the sync, shared by those who send at the same time.
func BenchmarkSend(b *testing.B) {
	for name, threads := range map[string]int{"hot thread": 1, "1000 threads": 1000} {
		b.Run(name, func(b *testing.B) {
			w := newWorldOf(b, setup{dir: b.TempDir(), realClock: true})
			ids := make([]chat.ThreadID, threads)
			for i := range ids {
				ids[i] = w.newGroup("alice", people(9)...)
			}
			must(b, w.bus.Close()) // nobody listens: the recorder would only grow
			payload := string(make([]byte, 300))
			var next atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(64) // senders per core, most of whom wait for the disk
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				by := as("alice")
				for pb.Next() {
					id := ids[int(next.Add(1))%threads]
					if _, err := w.Send(b.Context(), by, w.request(id, payload)); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

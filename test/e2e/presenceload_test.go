package e2e

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A user with many threads connects with four devices again and again, each time with 50 filters
// of presence. Whoever else connects meanwhile is told who is online. The long run has ten times
// as many threads.
func TestManyFiltersOfPresenceHoldNobodyUp(t *testing.T) {
	threads, filters := bulk(300), 50
	if longRun {
		threads = bulk(3270)
	}
	s := startServer(t)
	ann, bob, heavy := s.device(t, "ann", "a"), s.device(t, "bob", "b"), s.device(t, "heavy", "h0")
	ann.createGroup(t, bob.user)
	heavy.bulk = true
	var making sync.WaitGroup
	for first := range 8 {
		making.Go(func() {
			for i := first; i < threads; i += 8 {
				heavy.createGroup(t, fmt.Sprint("peer-", i))
			}
		})
	}
	making.Wait()
	asked := make([]string, filters)
	for i := range asked {
		asked[i] = fmt.Sprint("v1/presence/peer-", i%threads)
	}
	mqtt5TCP.live(t, bob, options{})

	done := make(chan struct{})
	var storm sync.WaitGroup
	var connects, refused atomic.Int64
	for n := range 4 {
		storm.Go(func() {
			d := s.device(t, heavy.user, fmt.Sprint("h", n))
			for {
				select {
				case <-done:
					return
				default:
				}
				c, err := mqtt5TCP.connect(d, options{filters: asked})
				switch {
				case err == nil:
					connects.Add(1)
					c.drop()
				case strings.HasPrefix(err.Error(), "subscribing:"): // with 0x80, if the store was slow
					refused.Add(1)
				default:
					t.Errorf("the user of many threads: %v", err)
					return
				}
			}
		})
	}
	began := time.Now()
	const greetings = 10
	for range greetings {
		c := mqtt5TCP.live(t, ann, options{filters: []string{"v1/devices/a/frames", "v1/threads/+/frames", "v1/presence/" + bob.user}})
		eventually(t, "the greeting", func() bool { return len(c.presences(bob.user)) > 0 })
		c.close()
	}
	took := time.Since(began)
	eventually(t, "a connect of the user of many threads", func() bool { return connects.Load() > 0 })
	close(done)
	storm.Wait()
	t.Logf("%d threads, %d connects with %d filters of presence, %d more whose filters were refused; another user was greeted %d times meanwhile, each after %v with connecting",
		threads, connects.Load(), filters, refused.Load(), greetings, (took / greetings).Round(time.Millisecond))
}

package session

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// wakes counts.
type wakes struct{ n atomic.Int32 }

func (w *wakes) Wake()        { w.n.Add(1) }
func (w *wakes) Close(Reason) {}

// The first receipt wakes the connection at once; those that come soon after it wake it
// once, and none is left behind.
func TestReceiptsWakeTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := new(wakes)
		reg := new(Registry)
		s := &Session{reg: reg, params: Params{Transport: transport}, interest: interest{everything: true}}
		receipt := func(by chat.UserID) {
			reg.tell([]*Session{s}, receiptKey{by: by, kind: contracts.FrameDelivered}, contracts.Frame("{}"))
		}
		want := func(when string, woken int32, waiting int) {
			t.Helper()
			synctest.Wait()
			if n, w := transport.n.Load(), len(s.inbox.receipts.waiting); n != woken || w != waiting {
				t.Errorf("%s: woken %d times, %d receipts wait; want %d, %d", when, n, w, woken, waiting)
			}
		}
		receipt("bob")
		want("the first", 1, 1)
		time.Sleep(receiptWakes / 2)
		receipt("cid")
		receipt("dan")
		want("soon after it", 1, 3)
		time.Sleep(receiptWakes / 2)
		want("when the time is over", 2, 3)
		s.inbox.receipts.drain()
		time.Sleep(receiptWakes - time.Millisecond)
		receipt("eve")
		want("soon after that", 2, 1)
		time.Sleep(time.Millisecond)
		want("at its end", 3, 1)
		time.Sleep(10 * receiptWakes)
		want("nothing new", 3, 1)
		receipt("fay")
		want("after a while", 4, 2)
	})
}

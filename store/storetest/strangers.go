package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var strangerScenarios = []scenario{
	{"strangers count once in their span, and no more than may be", testStrangers},
	{"strangers that are put at once count as if one came after the other", testStrangersAtOnce},
}

func (f *fixture) putStrangers(what string, most int, want time.Duration, strangers ...chat.UserID) {
	f.tb.Helper()
	wait, err := f.store.PutStrangers(f.tb.Context(), "ann", strangers, most, f.clock.Now())
	if err != nil || wait != want {
		f.tb.Errorf("%s: PutStrangers = %v, %v; want %v", what, wait, err, want)
	}
}

func testStrangers(t *testing.T, f *fixture) {
	const span, hour = chat.StrangersSpan, time.Hour
	f.putStrangers("the first", 3, 0, "bob")
	f.clock.Advance(hour)
	f.putStrangers("one who counts, and another", 3, 0, "bob", "cid")
	f.clock.Advance(hour)
	f.putStrangers("one too many", 3, span-2*hour, "dan", "eve")
	f.putStrangers("the last, as the refused count nothing", 3, 0, "dan")
	f.putStrangers("one more", 3, span-2*hour, "eve")
	f.putStrangers("those who count", 3, 0, "bob", "cid", "dan")
	f.putStrangers("those who count, though fewer may be now", 1, 0, "bob", "dan")
	f.putStrangers("more than may ever be", 3, span, "eve", "fay", "gus", "hal")
	f.putStrangers("two, behind the second", 3, span-hour, "eve", "fay")
	f.putStrangers("one who counts and two, behind the third", 3, span, "bob", "eve", "fay")
	if wait, err := f.store.PutStrangers(t.Context(), "bob", []chat.UserID{"eve"}, 1, f.clock.Now()); wait != 0 || err != nil {
		t.Errorf("of another user: %v, %v", wait, err)
	}
	f.clock.Advance(span - 2*hour - time.Millisecond)
	f.putStrangers("a millisecond early", 3, time.Millisecond, "eve")
	f.clock.Advance(time.Millisecond)
	f.putStrangers("once the first counts no more", 3, 0, "eve")
	f.putStrangers("who does not count any more", 3, hour, "bob")
	f.clock.Advance(span)
	f.putStrangers("a day later", 3, 0, "bob", "hal", "ida")
}

func testStrangersAtOnce(t *testing.T, f *fixture) {
	const calls, most = 12, 10
	var putting sync.WaitGroup
	var put atomic.Int64
	for i := range calls {
		putting.Go(func() {
			two := []chat.UserID{chat.UserID(fmt.Sprint("a", i)), chat.UserID(fmt.Sprint("b", i))}
			wait, err := f.store.PutStrangers(t.Context(), "ann", two, most, f.clock.Now())
			if err != nil {
				t.Error(err)
			}
			if wait == 0 {
				put.Add(2)
			}
		})
	}
	putting.Wait()
	if put.Load() != most {
		t.Errorf("%d were put, want %d", put.Load(), most)
	}
}

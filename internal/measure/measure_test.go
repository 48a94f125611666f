package measure

import (
	"maps"
	"sync"
	"testing"
	"time"
)

func TestTallyCountsForManyAtOnce(t *testing.T) {
	var tally Tally[[2]string]
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				tally.Add([2]string{"a", "b"}, 2)
				tally.Add([2]string{"a", "c"}, -1)
			}
		})
	}
	wg.Wait()
	want := map[[2]string]int64{{"a", "b"}: 16000, {"a", "c"}: -8000}
	if got := tally.All(); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestHistogramCountsUpToEachBound(t *testing.T) {
	h := NewTimes(100*time.Millisecond, 200*time.Millisecond)
	var b Batch
	for _, d := range []time.Duration{0, 100 * time.Millisecond, 100*time.Millisecond + 1, 3 * time.Second} {
		h.Observe(int64(d))
		h.Collect(&b, int64(d))
	}
	h.AddBatch(&b)
	h.AddBatch(new(Batch))
	count, sum, upTo := h.Snapshot()
	if want := map[float64]uint64{0.1: 4, 0.2: 6}; count != 8 || !maps.Equal(upTo, want) {
		t.Errorf("%d values, %v; want 8, %v", count, upTo, want)
	}
	if sum < 6.4 || sum > 6.401 {
		t.Errorf("the sum is %v s", sum)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	h, tally := NewSizes(1, 2, 3), new(Tally[string])
	tally.Add("known", 1)
	if n := testing.AllocsPerRun(100, func() {
		var b Batch
		h.Collect(&b, 2)
		h.AddBatch(&b)
		h.Observe(9)
		tally.Add("known", 1)
	}); n != 0 {
		t.Errorf("it allocates %v times", n)
	}
}

func BenchmarkCollect(b *testing.B) {
	h := NewTimes(time.Millisecond, 5*time.Millisecond, 10*time.Millisecond, 25*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond)
	var batch Batch
	for b.Loop() {
		h.Collect(&batch, int64(8*time.Millisecond))
	}
}

func BenchmarkObserve(b *testing.B) {
	h := NewTimes(time.Millisecond, 5*time.Millisecond, 10*time.Millisecond, 25*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			h.Observe(int64(8 * time.Millisecond))
		}
	})
}

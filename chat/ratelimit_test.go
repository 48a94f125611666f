package chat

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRateAllowsABurstAndThenTheRate(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	r := newRates(20, 40)
	for i := range 40 {
		if err := r.take("ann", now); err != nil {
			t.Fatalf("send %d of the burst: %v", i+1, err)
		}
	}
	err := r.take("ann", now)
	refusal, ok := errors.AsType[*Error](err)
	if !ok || refusal.Code != CodeRateLimited || refusal.RetryAfter != 50*time.Millisecond {
		t.Fatalf("the 41st: %v, want %s for 50 ms", err, CodeRateLimited)
	}
	if err := r.take("bob", now); err != nil {
		t.Errorf("another user: %v", err)
	}
	if err := r.take("ann", now.Add(49*time.Millisecond)); err == nil {
		t.Error("a send went through before its time: refused ones must cost nothing, and give nothing")
	}
	if err := r.take("ann", now.Add(50*time.Millisecond)); err != nil {
		t.Errorf("after 50 ms: %v", err)
	}
}

func TestRateOfZeroIsNoLimit(t *testing.T) {
	r := newRates(0, 0)
	for range 1000 {
		if err := r.take("ann", time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRateForgetsThoseAtRest(t *testing.T) {
	r := newRates(1, 1)
	now := time.Unix(1_000_000, 0)
	for i := range 3 * maxRated * len(r.shards) {
		now = now.Add(time.Second)
		if err := r.take(fmt.Sprint("u", i), now); err != nil {
			t.Fatal(err)
		}
	}
	for i := range r.shards {
		if n := len(r.shards[i].rated); n > maxRated {
			t.Errorf("shard %d remembers %d users", i, n)
		}
	}
}

func TestAWindowAllowsSoManyInAnySpan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const times, span = 3, 10 * time.Second
		w := newWindows(times, span)
		now := time.Unix(1_000_000, 0)
		taken := map[string][]time.Time{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 6).Draw(t, "later")) * time.Second)
			who := rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "who")
			recent := slices.DeleteFunc(slices.Clone(taken[who]), func(at time.Time) bool { return now.Sub(at) >= span })
			err := w.take(who, now)
			if len(recent) < times {
				if err != nil {
					t.Fatalf("%s was refused after %d of %d", who, len(recent), times)
				}
				taken[who] = append(taken[who], now)
				continue
			}
			refusal, ok := errors.AsType[*Error](err)
			if !ok || refusal.Code != CodeRateLimited || refusal.RetryAfter != recent[0].Add(span).Sub(now) {
				t.Fatalf("%s took %v, now is %v: %v", who, recent, now, err)
			}
		}
	})
}

func TestAWindowOfZeroIsNoLimit(t *testing.T) {
	w := newWindows(0, time.Minute)
	for range 1000 {
		if err := w.take("ann", time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAWindowForgetsThoseAtRest(t *testing.T) {
	w := newWindows(2, time.Minute)
	now := time.Unix(1_000_000, 0)
	for i := range 3 * maxRated * len(w.shards) {
		now = now.Add(time.Second)
		if err := w.take(fmt.Sprint("u", i), now); err != nil {
			t.Fatal(err)
		}
	}
	for i := range w.shards {
		if n := len(w.shards[i].taken); n > maxRated {
			t.Errorf("shard %d remembers %d callers", i, n)
		}
	}
}

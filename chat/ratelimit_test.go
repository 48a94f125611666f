package chat

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRateLimitAllowsABurstAndThenTheRate(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	r := newRateLimits(20, 40)
	for i := range 40 {
		if err := r.spend("ann", 1, now); err != nil {
			t.Fatalf("send %d of the burst: %v", i+1, err)
		}
	}
	err := r.spend("ann", 1, now)
	refusal, ok := errors.AsType[*Error](err)
	if !ok || refusal.Code != CodeRateLimited || refusal.RetryAfter != 50*time.Millisecond {
		t.Fatalf("the 41st: %v, want %s for 50 ms", err, CodeRateLimited)
	}
	if err := r.spend("bob", 1, now); err != nil {
		t.Errorf("another user: %v", err)
	}
	if err := r.spend("ann", 1, now.Add(49*time.Millisecond)); err == nil {
		t.Error("a send went through before its time: refused ones must cost nothing, and give nothing")
	}
	if err := r.spend("ann", 1, now.Add(50*time.Millisecond)); err != nil {
		t.Errorf("after 50 ms: %v", err)
	}
}

func TestRateLimitOfZeroIsNoLimit(t *testing.T) {
	r := newRateLimits(0, 0)
	for range 1000 {
		if err := r.spend("ann", 1, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRateLimitForgetsThoseAtRest(t *testing.T) {
	r := newRateLimits(1, 1)
	now := time.Unix(1_000_000, 0)
	for i := range 3 * maxRated * len(r.shards) {
		now = now.Add(time.Second)
		if err := r.spend(fmt.Sprint("u", i), 1, now); err != nil {
			t.Fatal(err)
		}
	}
	for i := range r.shards {
		if n := len(r.shards[i].whole); n > maxRated {
			t.Errorf("shard %d keeps %d users", i, n)
		}
	}
}

func TestSpanLimitAllowsSoManyInAnySpan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const times, span = 3, 10 * time.Second
		w := newSpanLimits(times, span)
		now := time.Unix(1_000_000, 0)
		spent := map[string][]time.Time{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 6).Draw(t, "later")) * time.Second)
			who := rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "who")
			recent := slices.DeleteFunc(slices.Clone(spent[who]), func(at time.Time) bool { return now.Sub(at) >= span })
			err := w.spend(t.Context(), who, now)
			if len(recent) < times {
				if err != nil {
					t.Fatalf("%s was refused after %d of %d", who, len(recent), times)
				}
				spent[who] = append(spent[who], now)
				continue
			}
			refusal, ok := errors.AsType[*Error](err)
			if !ok || refusal.Code != CodeRateLimited || refusal.RetryAfter != recent[0].Add(span).Sub(now) {
				t.Fatalf("%s spent %v, now is %v: %v", who, recent, now, err)
			}
		}
	})
}

func TestSpanLimitOfZeroIsNoLimit(t *testing.T) {
	w := newSpanLimits(0, time.Minute)
	for range 1000 {
		if err := w.spend(t.Context(), "ann", time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSpanLimitForgetsThoseAtRest(t *testing.T) {
	w := newSpanLimits(2, time.Minute)
	now := time.Unix(1_000_000, 0)
	for i := range 3 * maxRated * len(w.shards) {
		now = now.Add(time.Second)
		if err := w.spend(t.Context(), fmt.Sprint("u", i), now); err != nil {
			t.Fatal(err)
		}
	}
	for i := range w.shards {
		if n := len(w.shards[i].spent); n > maxRated {
			t.Errorf("shard %d keeps %d callers", i, n)
		}
	}
}

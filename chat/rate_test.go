package chat

import (
	"errors"
	"fmt"
	"testing"
	"time"
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

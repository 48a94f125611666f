package chat

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestSendRateAllowsABurstAndThenTheRate(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	r := newSendRates(Limits{SendRate: 20, SendBurst: 40})
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

func TestSendRateOfZeroIsNoLimit(t *testing.T) {
	r := newSendRates(Limits{})
	for range 1000 {
		if err := r.take("ann", time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSendRateForgetsThoseAtRest(t *testing.T) {
	r := newSendRates(Limits{SendRate: 1, SendBurst: 1})
	now := time.Unix(1_000_000, 0)
	for i := range 3 * maxRatedUsers * len(r.shards) {
		now = now.Add(time.Second)
		if err := r.take(UserID(fmt.Sprint("u", i)), now); err != nil {
			t.Fatal(err)
		}
	}
	for i := range r.shards {
		if n := len(r.shards[i].users); n > maxRatedUsers {
			t.Errorf("shard %d remembers %d users", i, n)
		}
	}
}

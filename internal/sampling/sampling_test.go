package sampling

import (
	"testing"
	"time"
)

func TestSamplerLetsSoManyPassInASecond(t *testing.T) {
	s := New(10)
	now := time.Unix(1000, 0)
	pass := func(n int) (passed, skipped int) {
		for range n {
			before, ok := s.Pass(now)
			if ok {
				passed++
			}
			skipped += before
		}
		return passed, skipped
	}
	if passed, _ := pass(10); passed != 10 {
		t.Errorf("%d of 10 passed", passed)
	}
	if passed, _ := pass(25); passed != 0 {
		t.Errorf("%d passed beyond 10 in one second", passed)
	}
	now = now.Add(time.Second)
	if passed, skipped := pass(1); passed != 1 || skipped != 25 {
		t.Errorf("in the next second %d passed and %d were said to be skipped, want 1 and 25", passed, skipped)
	}
	if _, skipped := pass(1); skipped != 0 {
		t.Errorf("%d skipped ones are told twice", skipped)
	}
}

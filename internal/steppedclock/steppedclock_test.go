package steppedclock

import (
	"path/filepath"
	"testing"
	"time"
)

func TestOnlyTheWallClockIsSet(t *testing.T) {
	name := filepath.Join(t.TempDir(), "clock")
	if err := Write(name, 0); err != nil {
		t.Fatal(err)
	}
	other, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	own := New()
	for _, by := range []time.Duration{0, time.Second, -time.Hour, 30 * 24 * time.Hour, -30*24*time.Hour - 1} {
		own.Set(by)
		if err := Write(name, by); err != nil {
			t.Fatal(err)
		}
		for _, clock := range []Clock{own, other} {
			before, got, after := time.Now(), clock.Now(), time.Now()
			if got.Before(before) || got.After(after) {
				t.Errorf("set by %v, the monotonic reading is set too", by)
			}
			if wall := got.Round(0); wall.Before(before.Round(0).Add(by)) || wall.After(after.Round(0).Add(by)) {
				t.Errorf("set by %v, it tells %v; the machine's clock tells %v", by, wall, after)
			}
		}
	}
	if since := time.Since(Clock{}.Now()); since < 0 {
		t.Errorf("the zero clock is %v ahead", -since)
	}
}

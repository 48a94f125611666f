package chat

import (
	"testing"
	"time"
)

// The time in ids never goes back. While the wall clock is behind it, it goes on at the
// clock's pace less one part in a hundred.
func TestIDClockGoesOnWhenTheWallClockIsSetBack(t *testing.T) {
	for _, step := range []time.Duration{-5 * time.Second, -time.Minute, -time.Hour, -30 * 24 * time.Hour} {
		now := time.Date(2026, 5, 30, 17, 42, 11, 0, time.UTC)
		start := now
		c := newIDClock(func() time.Time { return now }, EventID{}, func(time.Duration) {})
		now = now.Add(step)
		if got := c.Now(); !got.Equal(start) {
			t.Errorf("set back by %v it tells %v, want %v", step, got, start)
		}
		now = now.Add(100 * time.Second)
		if got, want := c.Now(), start.Add(99*time.Second); step < -time.Minute && !got.Equal(want) {
			t.Errorf("%v and 100 s later it tells %v, want %v", step, got, want)
		}
		now = start.Add(time.Hour)
		if got := c.Now(); got.Before(now) {
			t.Errorf("it tells %v when the wall clock has passed, which tells %v", got, now)
		}
	}
}

func TestIDClockGoesOnFromTheNewestIDHeardOf(t *testing.T) {
	now := time.Date(2026, 5, 30, 17, 42, 11, 0, time.UTC)
	ahead := EventIDAt(now.Add(time.Minute))
	c := newIDClock(func() time.Time { return now }, ahead, func(time.Duration) {})
	if got := c.Now(); !got.Equal(IDTime(ahead)) || c.Newest() != ahead {
		t.Errorf("it tells %v and %v, want %v", got, c.Newest(), IDTime(ahead))
	}
	c.hear(EventIDAt(now))
	farther := EventIDAt(now.Add(time.Hour))
	c.HandleNotice(Notice{Event: &Event{ID: farther}})
	c.HandleNotice(Notice{})
	if got := c.Now(); !got.Equal(IDTime(farther)) || c.Newest() != farther {
		t.Errorf("it tells %v and %v, want %v", got, c.Newest(), IDTime(farther))
	}
}

// What it hears after a while is not put on top of that while.
func TestIDClockHearsOfThePresent(t *testing.T) {
	now := time.Date(2026, 5, 30, 17, 42, 11, 0, time.UTC)
	c := newIDClock(func() time.Time { return now }, EventID{}, func(time.Duration) {})
	now = now.Add(time.Hour)
	c.hear(EventIDAt(now))
	if got := c.Now(); !got.Equal(now) {
		t.Errorf("it tells %v, want %v", got, now)
	}
}

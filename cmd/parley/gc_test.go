package main

import "testing"

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0:         usualPace, // nothing collected yet
		1 << 20:   slowestGC, // 6400 would be the room
		16 << 20:  400,
		heapRoom:  usualPace,
		200 << 20: usualPace,
	} {
		if got := gcPercent(live); got != want {
			t.Errorf("with %d bytes live: %d %%, want %d", live, got, want)
		}
	}
}

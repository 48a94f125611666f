package broker

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// The frames of a new subscription are written behind its SUBACK, also when the SUBACK is queued
// while the writing goroutine makes another batch: the session is held from before the SUBACK
// is queued until it is in a batch.
func TestFramesFollowTheirSuback(t *testing.T) {
	client, socket := net.Pipe()
	var held atomic.Int32
	pulled := 0
	w := &writer{conn: socket, release: func() { held.Add(-1) }}
	w.fill = func(dst []byte) []byte {
		if pulled++; pulled == 1 {
			for range 2 {
				held.Add(1)
				if err := w.sendHeld([]byte("SUBACK ")); err != nil {
					t.Error(err)
				}
			}
		}
		if held.Load() == 0 && pulled < 4 {
			dst = append(dst, "frame "...)
		}
		return dst
	}
	w.wake()
	got := make([]byte, len("SUBACK SUBACK frame "))
	if _, err := io.ReadFull(client, got); err != nil {
		t.Fatal(err)
	}
	if string(got) != "SUBACK SUBACK frame " {
		t.Errorf("on the wire: %q", got)
	}
	go w.finish([]byte("bye"))
	rest, err := io.ReadAll(client)
	if n := len(rest); err != nil || n < 3 || string(rest[n-3:]) != "bye" {
		t.Errorf("then %q, %v", rest, err)
	}
}

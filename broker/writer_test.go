package broker

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// What a SUBSCRIBE brings goes out behind its SUBACK, also when that is queued while
// the writing goroutine makes a batch that it is not part of: frames are held from
// before it is queued until it is taken.
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

package broker

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// What a SUBSCRIBE brings goes out behind its SUBACK, also when that is queued while
// the writing goroutine pulls frames for a batch that it is not part of.
func TestFramesFollowTheirSuback(t *testing.T) {
	client, socket := net.Pipe()
	var subscribed atomic.Bool
	pulled := 0
	w := &writer{conn: socket, effect: func() { subscribed.Store(true) }}
	w.fill = func(dst []byte) []byte {
		if pulled++; pulled == 1 {
			if err := w.sendAnswer([]byte("SUBACK ")); err != nil {
				t.Error(err)
			}
		}
		if subscribed.Swap(false) {
			dst = append(dst, "frame "...)
		}
		return dst
	}
	w.wake()
	got := make([]byte, len("SUBACK frame "))
	if _, err := io.ReadFull(client, got); err != nil {
		t.Fatal(err)
	}
	if string(got) != "SUBACK frame " {
		t.Errorf("on the wire: %q", got)
	}
	w.finish([]byte("bye"))
	if rest, err := io.ReadAll(client); err != nil || string(rest) != "bye" {
		t.Errorf("then %q, %v", rest, err)
	}
}

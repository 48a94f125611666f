package session

import (
	"bytes"
	"strconv"
	"testing"

	"github.com/parleyhq/parley/contracts"
)

type deaf struct{}

func (deaf) Wake()        {}
func (deaf) Close(Reason) {}

// A client that does not read meanwhile is told of each thing its last state, whatever else waits.
func TestStatesThatWaitAreTheLast(t *testing.T) {
	s := &Session{params: Params{Transport: deaf{}}}
	frame := func(text string) contracts.Frame { return contracts.ErrorFrame("x", text) }
	for round := range 2 {
		for i := range 40 {
			s.tellState("thread "+strconv.Itoa(i), frame("round "+strconv.Itoa(round)))
		}
	}
	if len(s.inbox.control) != 40 {
		t.Fatalf("%d frames wait, want 40", len(s.inbox.control))
	}
	for range maxControl + 1 {
		s.tell(frame("beside them"))
	}
	if n := len(s.inbox.control) - 40; n != maxControl {
		t.Errorf("%d others wait beside them, want %d", n, maxControl)
	}
	for i, c := range s.inbox.control[:40] {
		if want := frame("round 1"); c.about != "thread "+strconv.Itoa(i) || !bytes.Equal(c.frame, want) {
			t.Errorf("frame %d about %s is %s, want %s", i, c.about, c.frame, want)
		}
	}
	for i := range maxStates {
		s.tellState("device "+strconv.Itoa(i), frame("one more"))
	}
	if len(s.inbox.control) != maxStates {
		t.Errorf("%d frames wait, want %d at most", len(s.inbox.control), maxStates)
	}
}

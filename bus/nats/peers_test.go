package nats

import (
	"slices"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

func TestPeersNoticeWhatIsMissing(t *testing.T) {
	now := time.Unix(1, 0)
	p := newPeers()
	check := func(what string, lost, want bool) {
		t.Helper()
		if lost != want {
			t.Errorf("%s: lost %v, want %v", what, lost, want)
		}
	}
	check("the first notice ever", p.hint(1, 0, 1, now), false)
	check("the next one", p.hint(1, 0, 2, now), false)
	check("one twice", p.hint(1, 0, 2, now), false)
	check("an old one", p.hint(1, 0, 1, now), false)
	check("another subject", p.hint(1, 5, 1, now), false)
	check("a hole", p.hint(1, 0, 4, now), true)
	check("the one behind it", p.hint(1, 0, 5, now), false)
	check("a heartbeat of what was heard", p.beat(1, []uint64{5, 0, 0, 0, 0, 1}, false, now), false)
	check("a heartbeat of one more", p.beat(1, []uint64{5, 0, 0, 0, 0, 2}, false, now), true)
	check("the same again", p.beat(1, []uint64{5, 0, 0, 0, 0, 2}, false, now), false)
	check("what comes behind it", p.hint(1, 5, 3, now), false)
	check("another process", p.hint(2, 0, 1, now), false)
	check("one that sent before it was heard", p.hint(3, 0, 2, now), true)
	check("a first heartbeat with nothing sent", p.beat(4, make([]uint64, subjects), false, now), false)
	check("more subjects than are known", p.beat(4, make([]uint64, 2*subjects), false, now), false)
	check("a goodbye with notices not heard", p.beat(2, []uint64{2}, true, now), true)
	if n := p.count(now); n != 3 {
		t.Errorf("%d peers after one has left, want 3", n)
	}
}

func TestSilentPeers(t *testing.T) {
	at := func(d time.Duration) time.Time { return time.Unix(1, 0).Add(d) }
	p := newPeers()
	check := func(d time.Duration, want bool) {
		t.Helper()
		if got := p.silent(at(d)); got != want {
			t.Errorf("after %v somebody is silent: %v, want %v", d, got, want)
		}
	}
	p.beat(1, nil, false, at(0))
	check(silentAfter, false)
	check(silentAfter+1, true)
	check(goneAfter, true)
	check(goneAfter+1, true) // for the last time
	check(goneAfter+2, false)

	p.listed([]chat.NodeID{2}, at(time.Minute)) // and not heard yet
	check(time.Minute+silentAfter, false)
	check(time.Minute+silentAfter+1, true)
	p.listed([]chat.NodeID{2}, at(2*time.Minute))
	check(2*time.Minute, true)
	p.beat(2, nil, false, at(2*time.Minute))
	p.listed([]chat.NodeID{2}, at(2*time.Minute))
	check(2*time.Minute, false)
	p.beat(2, nil, true, at(2*time.Minute))
	check(3*time.Minute, false)
}

// A node is dead once it is neither heard nor listed for long. It may come back, and die again.
func TestDeadPeersAreToldOnce(t *testing.T) {
	at := func(d time.Duration) time.Time { return time.Unix(1, 0).Add(d) }
	p := newPeers()
	check := func(d time.Duration, want ...chat.NodeID) {
		t.Helper()
		got := p.died(at(d))
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("after %v %v are dead, want %v", d, got, want)
		}
	}
	for node := range chat.NodeID(3) {
		p.beat(node+1, nil, false, at(0))
	}
	check(deadAfter)
	p.listed([]chat.NodeID{2}, at(deadAfter)) // not heard, and alive
	p.beat(3, nil, true, at(deadAfter))       // has said goodbye
	check(deadAfter+1, 1)
	check(deadAfter + 2)
	p.hint(1, 0, 1, at(deadAfter+3))
	check(deadAfter + silentAfter)
	check(deadAfter+silentAfter+1, 2)
	check(2*deadAfter+4, 1)
}

func TestPeersAreBounded(t *testing.T) {
	p := newPeers()
	for i := range chat.NodeID(3 * maxPeers) {
		p.hint(i, 0, 1, time.Unix(int64(i), 0))
	}
	if len(p.all) != maxPeers || p.all[3*maxPeers-1] == nil || p.all[0] != nil {
		t.Errorf("%d peers are known", len(p.all))
	}
}

// What does not fit uses up its number, and what comes later has the next one.
func TestOutboxIsBounded(t *testing.T) {
	o := newOutbox()
	big := func() []byte { return make([]byte, maxWaitingBytes/4+1) }
	for range 5 {
		o.put(7, big())
	}
	if got := o.take(nil); len(got) != 3 || o.overflowed.Load() != 2 {
		t.Fatalf("%d wait and %d did not fit, want 3 and 2", len(got), o.overflowed.Load())
	}
	o.put(7, nil)
	o.put(7, big())
	o.put(8, big())
	got := o.take(nil)
	for i, want := range []byte{7, 1} {
		if n := got[i].data[16]; n != want {
			t.Errorf("notice %d has number %d, want %d", i, n, want)
		}
	}
}

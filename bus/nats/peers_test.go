package nats

import (
	"slices"
	"testing"
	"time"

	"github.com/parleyhq/parley/bus/wire"
	"github.com/parleyhq/parley/chat"
)

// scene is what a node knows of one other, number 1, with a clock that the test sets.
type scene struct {
	t  *testing.T
	p  *peers
	at time.Duration
}

func newScene(t *testing.T) *scene { return &scene{t: t, p: newPeers()} }

func (s *scene) now() time.Time { return time.Unix(1000, 0).Add(s.at) }

// id is the closed id of so many seconds.
func id(seconds int) chat.EventID { return chat.EventIDAt(time.Unix(int64(seconds), 0)) }

func (s *scene) hint(subject int, n uint64) {
	s.t.Helper()
	if s.p.hint(1, subject, n, s.now()) {
		s.t.Error("a notice tells of a loss")
	}
}

func (s *scene) beat(closed int, numbers ...uint64) {
	s.t.Helper()
	if s.p.beat(wire.Beat{From: 1, Began: id(1000), Closed: id(closed), Numbers: numbers}, s.now()) {
		s.t.Error("a heartbeat tells of a loss")
	}
}

// look makes the look that there should be, from one closed id to another, and ends it.
func (s *scene) look(from, next int, found map[chat.ThreadID]chat.Seq) {
	s.t.Helper()
	s.p.looked(s.begin(from, next), found)
}

func (s *scene) begin(from, next int) look {
	s.t.Helper()
	looks := s.p.looks()
	want := look{node: 1, from: id(from)}
	if next != 0 {
		want.next = id(next)
	}
	if len(looks) != 1 || looks[0].node != 1 || looks[0].from != want.from || looks[0].next != want.next {
		s.t.Fatalf("the looks are %+v, want %+v", looks, want)
	}
	return looks[0]
}

func (s *scene) nothing(what string) {
	s.t.Helper()
	if looks := s.p.looks(); len(looks) > 0 {
		s.t.Errorf("%s: there are the looks %+v", what, looks)
	}
}

var none = map[chat.ThreadID]chat.Seq{}

func TestPeersNoticeWhatIsMissing(t *testing.T) {
	s := newScene(t)
	s.hint(0, 1)
	s.hint(0, 2)
	s.hint(0, 2)
	s.hint(5, 1)
	s.beat(1001, 2, 0, 0, 0, 0, 1)
	s.nothing("all was heard")
	s.hint(0, 4)
	s.nothing("a hole is looked for with the next heartbeat")
	s.beat(1002, 4, 0, 0, 0, 0, 1)
	s.look(1001, 1002, none)
	s.beat(1003, 4, 0, 0, 0, 0, 1)
	s.nothing("the same numbers again")
	s.beat(1004, 4, 0, 0, 0, 0, 2)
	s.look(1003, 1004, none)
	s.hint(5, 3)
	s.beat(1005, 4, 0, 0, 0, 0, 3)
	s.nothing("what comes behind it")
	s.beat(1006, append(make([]uint64, subjects), 7)...)
	s.nothing("more subjects than are known")
	if n := s.p.count(s.now()); n != 1 {
		t.Errorf("%d peers, want 1", n)
	}
}

// What is missing of a node that has just begun is all that it made; of one that began long
// ago nobody can tell.
func TestPeersThatAreNew(t *testing.T) {
	s := newScene(t)
	s.beat(1060, 3)
	s.look(1000, 1060, none)
	s.p = newPeers()
	if !s.p.beat(wire.Beat{From: 1, Began: id(1000), Closed: id(1061), Numbers: []uint64{3}}, s.now()) {
		t.Error("a node that began long ago misses nothing")
	}
	s.nothing("the handlers look at everything")
	s.beat(1062, 4)
	s.look(1061, 1062, none)
	if !s.p.beat(wire.Beat{From: 2, Numbers: []uint64{3}}, s.now()) || s.p.beat(wire.Beat{From: 2, Numbers: []uint64{3}}, s.now()) {
		t.Error("what is missing of an older build is no loss, or what is not is one")
	}
}

// A look that fails is made again, and covers what is missing by then; one that is under way
// brings no more than was known when it began.
func TestLooksThatFail(t *testing.T) {
	s := newScene(t)
	s.beat(1001)
	s.beat(1002, 1)
	l := s.begin(1001, 1002)
	s.beat(1003, 1)
	s.nothing("one is under way")
	s.p.looked(l, nil)
	l = s.begin(1001, 1003)
	s.beat(1004, 2)
	s.nothing("one is under way")
	s.p.looked(l, none)
	s.look(1003, 1004, none)
	s.beat(1005, 3)
	s.p.looked(s.begin(1004, 1005), nil)
	if s.p.beat(wire.Beat{From: 1, Began: id(1000), Closed: id(1064), Numbers: []uint64{3}}, s.now()) {
		t.Error("60 s are too long")
	}
	s.p.looked(s.begin(1004, 1064), nil)
	if !s.p.beat(wire.Beat{From: 1, Began: id(1000), Closed: id(1065), Numbers: []uint64{3}}, s.now()) {
		t.Error("what was missed over a minute ago is looked for")
	}
	s.nothing("the handlers look at everything")
}

func TestSilentPeers(t *testing.T) {
	s := newScene(t)
	watch := func(d time.Duration) {
		t.Helper()
		s.at = d
		if s.p.watch(s.now()) {
			t.Error("the watch tells of a loss")
		}
	}
	listed := func(d time.Duration, closed int) {
		t.Helper()
		s.at = d
		if s.p.listed([]chat.Standing{{Node: 1, Began: id(1000), Closed: id(closed)}}, s.now()) {
			t.Error("the list tells of a loss")
		}
	}
	s.beat(1001)
	watch(silentAfter)
	s.nothing("heard a moment ago")
	watch(silentAfter + 1)
	s.look(1001, 0, map[chat.ThreadID]chat.Seq{{15: 1}: 5})
	watch(silentAfter + 2)
	if l := s.begin(1001, 0); l.seen[chat.ThreadID{15: 1}] != 5 {
		t.Errorf("the look before has found %v", l.seen)
	} else {
		s.p.looked(l, none)
	}
	listed(4*time.Second, 1004)
	watch(4 * time.Second)
	s.look(1001, 1004, none)
	listed(6*time.Second, 1006)
	s.look(1004, 1006, none)
	s.beat(1007)
	s.nothing("heard again, and nothing was missing")
	listed(7*time.Second, 1007)
	watch(7 * time.Second)
	s.nothing("listed and heard")
	watch(6*time.Second + goneAfter)
	s.look(1007, 0, none)
	watch(6*time.Second + goneAfter + 1)
	s.nothing("gone for long")
	if len(s.p.all) > 0 {
		t.Error("it is remembered")
	}

	listed(time.Hour, 1010)
	s.look(1000, 1010, none) // nothing of it was heard: NATS may have gone since it began
	s.beat(1011)
	if s.p.beat(wire.Beat{From: 1, Closed: id(1012), Numbers: []uint64{1}, Leaving: true}, s.now()) {
		t.Error("a goodbye tells of a loss")
	}
	s.look(1011, 1012, none)
	listed(time.Hour+1, 1012)
	watch(time.Hour + silentAfter + 1)
	s.nothing("it has left")
	if n := s.p.count(s.now()); n != 0 {
		t.Errorf("%d peers after it has left", n)
	}
}

// A node is forgotten once a look for what it stored before its end has succeeded. Without one
// that has, anything may be missing.
func TestPeersAreForgottenWhenTheyWereLookedFor(t *testing.T) {
	gone := func(s *scene, want bool, what string) {
		t.Helper()
		s.at += goneAfter + 1
		if lost := s.p.watch(s.now()); lost != want || len(s.p.all) > 0 {
			t.Errorf("%s: lost is %v, want %v, and %d peers are remembered", what, lost, want, len(s.p.all))
		}
	}
	silent := func() *scene {
		s := newScene(t)
		s.beat(1001)
		s.at = silentAfter + 1
		s.p.watch(s.now())
		return s
	}
	s := newScene(t)
	s.beat(1001)
	gone(s, true, "nobody has looked")
	s = silent()
	s.p.looked(s.begin(1001, 0), nil)
	gone(s, true, "the look has failed")
	s = silent()
	s.look(1001, 0, none)
	gone(s, false, "the look has succeeded")
	s = silent()
	s.look(1001, 0, none)
	s.p.listed([]chat.Standing{{Node: 1, Began: id(1000)}}, s.now())
	gone(s, true, "nobody has looked since it was listed")

	s = silent()
	l := s.begin(1001, 0)
	s.at += goneAfter
	if s.p.watch(s.now()) || len(s.p.all) == 0 {
		t.Error("the node is forgotten, or something is lost, while a look is under way")
	}
	s.p.looked(l, none)
	gone(s, false, "the look has succeeded late")

	s = newScene(t)
	s.beat(1001)
	leave := func(numbers ...uint64) {
		if s.p.beat(wire.Beat{From: 1, Closed: id(1002), Numbers: numbers, Leaving: true}, s.now()) {
			t.Error("a goodbye tells of a loss")
		}
	}
	leave()
	gone(s, false, "it has left, and nothing is missing")
	s.beat(1001)
	leave(1)
	s.p.looked(s.begin(1001, 1002), nil)
	gone(s, true, "it has left, and the look for what is missing has failed")
}

// Who could not tell for long who lives looks for those that are silent as if they had ended
// just now, and has the handlers look: there may have been nodes that it never heard of.
func TestNodesThatCameAndWentUnseen(t *testing.T) {
	s := newScene(t)
	b := &Bus{peers: s.p, lost: make(chan struct{}, 1), missing: make(chan struct{}, 1), listed: s.now()}
	list := func(after time.Duration, want bool) {
		t.Helper()
		s.at += after
		b.noteLive(nil, s.now(), s.now())
		select {
		case <-b.lost:
			if !want {
				t.Error("a loss is told")
			}
		default:
			if want {
				t.Error("no loss is told")
			}
		}
	}
	s.beat(1001)
	list(chat.LiveFor, false)
	s.look(1001, 0, none)
	list(chat.LiveFor+1, true)
	s.look(1001, 0, none)
	list(goneAfter+1, true)
	s.look(1001, 0, none)
	list(chat.LiveFor, false)
	s.look(1001, 0, none)
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
		p.beat(wire.Beat{From: node + 1}, at(0))
	}
	check(deadAfter)
	p.listed([]chat.Standing{{Node: 2}}, at(deadAfter))      // not heard, and alive
	p.beat(wire.Beat{From: 3, Leaving: true}, at(deadAfter)) // has said goodbye
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
	if got := o.drain(nil); len(got) != 3 || o.overflowed.Load() != 2 {
		t.Fatalf("%d wait and %d did not fit, want 3 and 2", len(got), o.overflowed.Load())
	}
	o.put(7, nil)
	o.put(7, big())
	o.put(8, big())
	got := o.drain(nil)
	for i, want := range []byte{7, 1} {
		if n := got[i].data[16]; n != want {
			t.Errorf("notice %d has number %d, want %d", i, n, want)
		}
	}
}

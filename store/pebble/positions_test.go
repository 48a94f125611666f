package pebble

import (
	"encoding/binary"
	"maps"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parleyhq/parley/chat"
)

// A position of format 3 says by its cursors, and by its time for all other threads, what the
// device has acknowledged. It is converted once, when it is read first.
func TestPositionsOfFormat3AreConverted(t *testing.T) {
	s := open(t, Options{FS: vfs.NewMem()})
	thread := func(n byte) chat.ThreadID { return chat.ThreadID{15: n} }
	for n := byte(1); n <= 3; n++ { // each with events 1 to 4, a second apart in the times of their ids
		create(t, s, creationOf(chat.Group, n, "ann", "bob"))
		for seq := chat.Seq(2); seq <= 4; seq++ {
			e := messageOf(n, seq, "")
			if n != 2 { // the events of thread 2 are all older than the window
				_ = e.ID.SetTime(uint64(testTime.UnixMilli()) + 60_000 + uint64(seq)*1000)
			}
			mustAppend(t, s, e)
		}
	}
	old := binary.AppendUvarint(append([]byte{oldestPositionVersion}, at(63_500+chat.OverlapWindow.Milliseconds()).Bytes()...), 1)
	first := thread(1)
	old = binary.AppendUvarint(append(old, first[:]...), 2)
	if err := s.db.Set(positionKey("bob", "phone"), old, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	// Thread 1 by its cursor, thread 2 whole, thread 3 up to the event before the time less the window.
	want := map[chat.ThreadID]chat.Seq{thread(1): 2, thread(2): 4, thread(3): 3}
	for range 2 {
		p, found, err := s.Position(t.Context(), "bob", "phone")
		if err != nil || !found || !p.Acknowledged || !maps.Equal(p.Through, want) {
			t.Fatalf("the position is %+v, %v, %v; want %v", p, found, err, want)
		}
	}
	if record, _, err := lookupUnsynced(s, positionKey("bob", "phone"), decodePosition); err != nil || record.old != nil {
		t.Errorf("what is stored is %+v, %v; want it converted", record, err)
	}
}

// at is the lowest id of so many milliseconds behind the test's time.
func at(ms int64) chat.EventID {
	var id chat.EventID
	_ = id.SetTime(uint64(testTime.UnixMilli() + ms))
	return id
}

// What an acknowledgement writes does not grow with the threads in the device's position.
func TestAnAcknowledgementWritesTheSameHoweverManyThreads(t *testing.T) {
	var wrote [2]uint64
	for i, threads := range []int{1, 3000} {
		s := open(t, Options{FS: vfs.NewMem()})
		p := chat.Position{Through: map[chat.ThreadID]chat.Seq{}}
		for n := range threads {
			p.Through[chat.ThreadID{byte(n >> 8), byte(n), 15: 1}] = 1_000_000
		}
		empty := s.db.Metrics().WAL.BytesIn
		if _, err := s.BeginPosition(t.Context(), "bob", "phone", p); err != nil {
			t.Fatal(err)
		}
		whole := s.db.Metrics().WAL.BytesIn - empty
		raise := func(seq chat.Seq) {
			to := chat.Position{Through: map[chat.ThreadID]chat.Seq{{15: 1}: seq}, Acknowledged: true}
			if err := s.RaisePosition(t.Context(), "bob", "phone", 0, to); err != nil {
				t.Fatal(err)
			}
		}
		raise(1_000_001) // the first one sets that the device has acknowledged
		before := s.db.Metrics().WAL.BytesIn
		raise(1_000_002)
		wrote[i] = s.db.Metrics().WAL.BytesIn - before
		t.Logf("an acknowledgement in a position of %d threads, of %d bytes, writes %d bytes, in one write", threads, whole, wrote[i])
	}
	if wrote[0] != wrote[1] || wrote[0] == 0 {
		t.Errorf("%d bytes with 1 thread, %d with 3,000", wrote[0], wrote[1])
	}
}

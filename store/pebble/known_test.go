package pebble

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/parleyhq/parley/chat"
)

// Whatever order a device counts in, and whatever is forgotten in between, each
// client_seq is taken once, and what was taken is recognised.
func TestClientSeqsAreTakenOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fs := vfs.NewMem()
		now := func() time.Time { return testTime }
		s := openFor(rt, fs, now)
		head := chat.Seq(1)
		taken := make(map[string]chat.Seq)
		if err := s.CreateThread(rt.Context(), creationOf(chat.Group, 1, "ann", "bob")); err != nil {
			rt.Fatal(err)
		}
		for step := range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0:
				s.known.clientSeqs.Purge()
			case 1:
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				s = openFor(rt, fs, now)
			default:
				e := messageOf(1, head+1, fmt.Sprint("key", step))
				e.By = rapid.SampledFrom([]chat.UserID{"ann", "bob", "b"}).Draw(rt, "user")
				e.Device = rapid.SampledFrom([]chat.DeviceID{"d", "ob"}).Draw(rt, "device")
				e.Message.ClientSeq = rapid.Int64Range(0, 6).Draw(rt, "client_seq")
				name := fmt.Sprintf("%s/%s/%d", e.By, e.Device, e.Message.ClientSeq)
				n, err := s.Append(rt.Context(), chat.Head{Seq: head}, []chat.Event{e})
				duplicate, _ := errors.AsType[*chat.DuplicateError](err)
				switch seq, again := taken[name]; {
				case again && (duplicate == nil || duplicate.By != chat.ByClientSeq || duplicate.Existing.Seq != seq):
					rt.Fatalf("%s once more: %d, %v; it is at %d", name, n, err, seq)
				case !again && (n != 1 || err != nil):
					rt.Fatalf("%s for the first time: %d, %v", name, n, err)
				case !again:
					head++
					taken[name] = head
				}
			}
		}
		if err := s.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

func openFor(rt *rapid.T, fs vfs.FS, now func() time.Time) *Store {
	s, err := Open("db", Options{FS: fs, Now: now})
	if err != nil {
		rt.Fatal(err)
	}
	return s
}

// A key of tomorrow, by a clock ahead, is found again: at once, after a restart, and
// in a store that has had no other since.
func TestKeysOfTomorrowAreFound(t *testing.T) {
	fs := vfs.NewMem()
	options := Options{FS: fs, Now: func() time.Time { return testTime.Add(-20 * time.Hour) }}
	s, err := Open("db", options)
	if err != nil {
		t.Fatal(err)
	}
	create(t, s, creationOf(chat.Group, 1, "ann", "bob"))
	mustAppend(t, s, messageOf(1, 2, "key"))
	for _, when := range []string{"at once", "after a restart"} {
		again := messageOf(1, 3, "key")
		again.Device = "another"
		_, err := s.Append(t.Context(), chat.Head{Seq: 2}, []chat.Event{again})
		if duplicate, _ := errors.AsType[*chat.DuplicateError](err); duplicate == nil || duplicate.By != chat.ByIdempotencyKey || duplicate.Existing.Seq != 2 {
			t.Errorf("%s: %v, want that the key is known", when, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if when == "at once" {
			if s, err = Open("db", options); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What was asked before a block says nothing after it.
func TestABlockEndsWhatIsKnown(t *testing.T) {
	k := newKnown()
	_, seen := k.blocksNobody("ann")
	k.blocked("ann")
	seen() // read before the block
	if is, _ := k.blocksNobody("ann"); is {
		t.Error("what was read before a block is remembered after it")
	}
	_, seen = k.blocksNobody("ann")
	seen()
	if is, _ := k.blocksNobody("ann"); !is {
		t.Error("it is not remembered at all")
	}
	k.blocked("ann")
	if is, _ := k.blocksNobody("ann"); is {
		t.Error("it is remembered after a block")
	}
}

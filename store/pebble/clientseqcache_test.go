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
				s.clientSeqs.highest.Purge()
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

// A client that is forgotten while a batch is made is known by what the batch has.
func TestABatchIsKnownThoughItsClientsAreForgotten(t *testing.T) {
	s := open(t, Options{FS: vfs.NewMem(), Now: func() time.Time { return testTime }})
	s.clientSeqs.highest.Resize(1)
	create(t, s, creationOf(chat.Group, 1, "ann", "bob"))
	var batch []chat.Event
	for i, from := range []struct {
		user chat.UserID
		seq  int64
	}{{"ann", 5}, {"bob", 1}, {"ann", 3}} {
		e := messageOf(1, chat.Seq(i+2), fmt.Sprint("key", i))
		e.By, e.Message.ClientSeq = from.user, from.seq
		batch = append(batch, e)
	}
	mustAppend(t, s, batch...)
	again := messageOf(1, 5, "another key")
	again.Message.ClientSeq = 5
	_, err := s.Append(t.Context(), chat.Head{Seq: 4}, []chat.Event{again})
	if duplicate, _ := errors.AsType[*chat.DuplicateError](err); duplicate == nil || duplicate.Existing.Seq != 2 {
		t.Errorf("a client_seq used again: %v", err)
	}
}

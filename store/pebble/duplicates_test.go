package pebble

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parleyhq/parley/chat"
)

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

// A retry is recognised however far the clock was set back since, and the key of a day in
// the future is kept until that day has passed.
func TestRetryIsRecognisedAfterTheClockWasSetBack(t *testing.T) {
	disk := vfs.NewMem()
	ahead := testTime.AddDate(0, 0, 30)
	s, err := Open("db", Options{FS: disk, Now: func() time.Time { return ahead }})
	if err != nil {
		t.Fatal(err)
	}
	create(t, s, creationOf(chat.Group, 1, "ann", "bob"))
	early := messageOf(1, 2, "early")
	early.At = ahead
	mustAppend(t, s, early)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	var later atomic.Int64
	s = open(t, Options{FS: disk, Now: func() time.Time { return testTime.AddDate(0, 0, int(later.Load())) }})
	again := messageOf(1, 3, "early")
	for range 2 {
		n, err := s.Append(t.Context(), chat.Head{Seq: 2}, []chat.Event{again})
		dup, ok := errors.AsType[*chat.DuplicateError](err)
		if n != 0 || !ok || dup.By != chat.ByIdempotencyKey || dup.Existing.ID != early.ID {
			t.Fatalf("the retry: %d, %v; want a duplicate of %s by its key", n, err, early.ID)
		}
		if err := s.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	later.Store(32)
	if err := s.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	again.Message.ClientSeq = 99
	mustAppend(t, s, again)
}

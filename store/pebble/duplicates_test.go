package pebble

import (
	"errors"
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

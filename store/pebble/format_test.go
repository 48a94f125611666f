package pebble

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parleyhq/parley/chat"
)

// load puts keys and values, a line of hexadecimal each, into an empty store.
func load(t *testing.T, disk vfs.FS, file string) {
	t.Helper()
	lines, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	db, err := pebble.Open("db", tuned(Options{FS: disk}.orDefaults(), nil))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(lines)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		k, keyErr := hex.DecodeString(key)
		v, valueErr := hex.DecodeString(value)
		if err := errors.Join(keyErr, valueErr, db.Set(k, v, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(db.LogData(nil, pebble.Sync), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// A store of format 5, as the last build that wrote it has left it in testdata, keeps every
// message, receipt and position. A file is never changed; each format gets one of its own.
func TestStoreOfFormat5(t *testing.T) {
	disk := vfs.NewMem()
	load(t, disk, "testdata/format5.hex")
	for range 2 { // opened for the first time, and when it has the new format
		s, err := Open("db", Options{FS: disk, Now: func() time.Time { return testTime }})
		if err != nil {
			t.Fatal(err)
		}
		checkFormat5(t, s)
		checkRetryOfFormat5(t, s)
		if s.ID() == (chat.StoreID{}) {
			t.Error("the store has got no id")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, Options{FS: disk, Now: func() time.Time { return testTime }})
	mustAppend(t, s, messageOf(1, 11, "after the upgrade"))
}

func checkFormat5(t *testing.T, s *Store) {
	t.Helper()
	ctx, group := t.Context(), chat.ThreadID{15: 1}
	got, err := s.Thread(ctx, group)
	if err != nil || got.Head.Seq != 10 || !slices.Equal(got.Users(), []chat.UserID{"ann", "bob"}) || len(got.Pins) != 1 || got.Pins[0].Seq != 3 {
		t.Errorf("the thread is %+v, %v", got, err)
	}
	if line, err := s.UserThread(ctx, "cid", group); err != nil || line.LeftSeq != 10 {
		t.Errorf("who left has %+v, %v", line, err)
	}
	if lines, err := s.UserThreads(ctx, "bob"); err != nil || len(lines) != 2 {
		t.Errorf("bob is in %+v, %v", lines, err)
	}
	var exists *chat.PairExistsError
	if err := s.CreateThread(ctx, creationOf(chat.OneToOne, 3, "bob", "ann")); !errors.As(err, &exists) || exists.Thread != (chat.ThreadID{15: 2}) {
		t.Errorf("the pair has %v", err)
	}
	events, err := s.Events(ctx, group, 0, 10, chat.Limit{Count: 100, Bytes: 1 << 20})
	if err != nil || len(events) != 10 {
		t.Fatalf("the log is %+v, %v", events, err)
	}
	for seq, want := range map[chat.Seq]string{2: "edited", 3: "sealed", 4: "", 5: "sealed"} {
		if m := events[seq-1].Message; m == nil || string(m.Ciphertext) != want || (m.Deleted != "") != (want == "") {
			t.Errorf("message %d is %+v, want %q", seq, m, want)
		}
	}
	if r := events[2].Message.Reactions; len(r) != 1 || r[0].Emoji != "+1" || r[0].By[0].User != "bob" {
		t.Errorf("the reactions are %+v", r)
	}
	marks, err := s.MarksAt(ctx, group, 2, []chat.UserID{"bob"})
	if err != nil || marks[0].Delivered.Seq != 3 || !marks[0].Delivered.At.Equal(testTime) || marks[0].Read.Seq != 2 {
		t.Errorf("the first marks are %+v, %v", marks, err)
	}
	if marks, err = s.Marks(ctx, group, []chat.UserID{"bob"}); err != nil || marks[0].Delivered.Seq != 5 {
		t.Errorf("the present marks are %+v, %v", marks, err)
	}
	if p, found, err := s.Position(ctx, "bob", "phone"); err != nil || !found || p.Through[group] != 5 || !p.Acknowledged {
		t.Errorf("the position is %+v, %v, %v", p, found, err)
	}
	if at, err := s.LastSeen(ctx, "bob"); err != nil || !at.Equal(testTime) {
		t.Errorf("bob was seen at %v, %v", at, err)
	}
	if keys, err := s.PrekeyDevices(ctx, []chat.UserID{"bob"}); err != nil || len(keys) != 1 || !bytes.Equal(keys[0].Identity, []byte("identity")) {
		t.Errorf("the prekeys are %+v, %v", keys, err)
	} else if left, err := s.CountPrekeys(ctx, keys); err != nil || left[0][0] != 2 {
		t.Errorf("of the one-time prekeys are left %v, %v", left, err)
	}
	if blocked, err := s.HasBlocked(ctx, "bob", "eve"); err != nil || !blocked {
		t.Errorf("bob blocks eve: %v, %v", blocked, err)
	}
	if denied, err := s.AttachmentDenied(ctx, strings.Repeat("0f", 32)); err != nil || !denied {
		t.Errorf("the attachment is denied: %v, %v", denied, err)
	}
	if due, err := s.Expired(ctx, testTime.Add(time.Hour), 10); err != nil || len(due) != 1 || due[0].Seq != 5 {
		t.Errorf("due are %+v, %v", due, err)
	}
}

func checkRetryOfFormat5(t *testing.T, s *Store) {
	t.Helper()
	again := messageOf(1, 11, "key-1")
	var dup *chat.DuplicateError
	if err := s.SentBefore(t.Context(), again); !errors.As(err, &dup) || dup.Existing.Seq != 2 {
		t.Errorf("a retry is %v", err)
	}
}

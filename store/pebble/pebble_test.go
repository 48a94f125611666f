package pebble

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parleyhq/parley/chat"
)

func TestOpenRefusesADirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second Open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if s, err = Open(dir, Options{}); err != nil {
		t.Fatalf("Open after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func TestOpenRefusesOtherFormats(t *testing.T) {
	for name, tt := range map[string]struct {
		stored []byte
		want   string
	}{
		"older":      {binary.AppendUvarint(nil, oldestFormat-1), "written by a build before the first release"},
		"newer":      {binary.AppendUvarint(nil, formatVersion+1), "written by a newer version"},
		"unreadable": {[]byte{0x80}, "unreadable"},
	} {
		disk := vfs.NewMem()
		s, err := Open("db", Options{FS: disk})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.db.Set(formatKey(), tt.stored, pebble.Sync); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		for range 2 { // the second finds no lock left behind
			_, err = Open("db", Options{FS: disk})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: Open = %v; want one line with %q", name, err, tt.want)
			}
		}
	}
}

func TestPebbleLogsToSlog(t *testing.T) {
	var out bytes.Buffer
	l := logger{slog.New(slog.NewTextHandler(&out, nil))}
	l.Infof("flushed %d", 1)
	if out.Len() > 0 {
		t.Errorf("what is information to pebble is logged above debug: %s", &out)
	}
	l.Errorf("lost %d", 2)
	if got := out.String(); !strings.Contains(got, "ERROR") || !strings.Contains(got, "lost 2") {
		t.Errorf("logged %q", got)
	}
}

// The sweep drops whole days outside the window, and no key that still counts.
func TestSweepDropsOldDays(t *testing.T) {
	var later atomic.Int64 // the store's own sweep looks at the clock, too
	s := open(t, Options{FS: vfs.NewMem(), Now: func() time.Time { return testTime.Add(time.Duration(later.Load())) }})
	create(t, s, creationOf(chat.Group, 1, "ann", "bob"))
	for seq := chat.Seq(2); seq <= 6; seq++ {
		e := messageOf(1, seq, "key"+string(rune('0'+seq)))
		e.At = testTime.AddDate(0, 0, int(seq)-6)
		mustAppend(t, s, e)
	}
	for _, want := range []struct {
		later time.Duration
		keys  int
	}{{0, 2}, {6 * time.Hour, 2}, {7 * time.Hour, 1}, {24 * time.Hour, 1}, {31 * time.Hour, 0}} {
		later.Store(int64(want.later))
		if err := s.sweep(t.Context()); err != nil {
			t.Fatalf("sweep: %v", err)
		}
		keys := 0
		for key := range dump(t, s) {
			if key[0] == prefixIdempotency {
				keys++
			}
		}
		if keys != want.keys {
			t.Errorf("after %v: %d idempotency keys, want %d", want.later, keys, want.keys)
		}
	}
}

func TestKeysThatWouldBeAmbiguousAreRefused(t *testing.T) {
	s := open(t, Options{FS: vfs.NewMem()})
	if err := s.CreateThread(t.Context(), creationOf(chat.Group, 1, "ann", "b\x00b")); err == nil {
		t.Error("a user id with a zero byte is taken")
	}
	create(t, s, creationOf(chat.Group, 1, "ann", "bob"))
	e := messageOf(1, 2, "key")
	e.Device = "\x00"
	if n, err := s.Append(t.Context(), chat.Head{Seq: 1}, []chat.Event{e}); n != 0 || err == nil {
		t.Errorf("a device id with a zero byte: %d, %v", n, err)
	}
}

// What only one may decide at a time waits for whoever does.
func TestDecisionsTakeTheirLocks(t *testing.T) {
	s := open(t, Options{FS: vfs.NewMem()})
	waits := func(name string, key []byte, write func(context.Context) error) {
		t.Helper()
		unlock, err := s.locks.Lock(t.Context(), string(key))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		if err := write(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v; want that it waits for its lock", name, err)
		}
		unlock()
	}
	upload := func(ctx context.Context) error {
		_, err := s.PutPrekeys(ctx, "ann", "phone", chat.PrekeyUpload{})
		return err
	}
	waits("an upload of another device", devicesPrefix(prefixPrekeys, "ann"), upload)
	waits("an upload, by a taker", deviceKey(prefixPrekeys, "ann", "phone"), upload)
	waits("a taker", deviceKey(prefixPrekeys, "ann", "phone"), func(ctx context.Context) error {
		_, err := takeOne(ctx, s, "phone")
		return err
	})
	waits("a sighting", lastSeenKey("ann"), func(ctx context.Context) error { return s.PutLastSeen(ctx, "ann", testTime) })
	waits("a block", blockKey("ann", "bob"), func(ctx context.Context) error {
		return s.PutBlock(ctx, chat.Block{User: "ann", Blocked: "bob", At: testTime})
	})
}

package pebble

import (
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parleyhq/parley/chat"
)

// Memtables at their full size leave the block cache its room: what is read again is
// not read from the file again.
func TestMemtablesLeaveTheBlockCacheItsRoom(t *testing.T) {
	s := open(t, Options{FS: vfs.NewMem(), Now: func() time.Time { return testTime }})
	create(t, s, creationOf(chat.Group, 1, "ann", "bob"))
	first := messageOf(1, 2, "key2")
	mustAppend(t, s, first)
	for seq := chat.Seq(3); s.db.Metrics().MemTable.Size+s.db.Metrics().MemTable.ZombieSize < 2*memTableBytes; seq++ {
		if seq > 2000 {
			t.Fatalf("the memtables never grow: %d bytes", s.db.Metrics().MemTable.Size)
		}
		e := messageOf(1, seq, "")
		e.Message.Ciphertext = make([]byte, 64<<10)
		mustAppend(t, s, e)
	}
	// Compacted, too: it would move what was read to another file between two looks.
	if err := errors.Join(s.db.Flush(), s.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false)); err != nil {
		t.Fatal(err)
	}
	read := func() (misses int64) {
		before := s.db.Metrics().BlockCache.Misses
		if _, err := s.Message(t.Context(), first.ID); err != nil {
			t.Fatal(err)
		}
		return s.db.Metrics().BlockCache.Misses - before
	}
	if read() == 0 {
		t.Fatal("the first look reads no file: the test shows nothing")
	}
	if n := read(); n > 0 {
		t.Errorf("the second look reads %d blocks again, of a cache of %d bytes", n, s.db.Metrics().BlockCache.Size)
	}
}

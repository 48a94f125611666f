package pebble

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parleyhq/parley/chat"
)

func TestEventsAboutNoMessageAreRefused(t *testing.T) {
	s := open(t, Options{FS: vfs.NewMem(), Now: func() time.Time { return testTime }})
	create(t, s, creationOf(chat.Group, 1, "ann", "bob"))
	create(t, s, creationOf(chat.Group, 2, "ann", "bob"))
	sent, elsewhere := messageOf(1, 2, "key"), messageOf(2, 2, "key2")
	mustAppend(t, s, sent, pinOf(sent, 3))
	mustAppend(t, s, elsewhere)
	before := dump(t, s)

	other := sent
	other.ID = elsewhere.ID
	none, change, unborn := sent, sent, messageOf(1, 4, "unborn")
	none.Seq, change.Seq = 99, 3
	for name, events := range map[string][]chat.Event{
		"one that is not there":      {editOf(none, 4, "x")},
		"an event that is none":      {deletionOf(change, 4)},
		"another id":                 {reactionOf(other, 4, "+1")},
		"the same append":            {editOf(unborn, 4, "x")},
		"nothing":                    {{Thread: sent.Thread, Seq: 4, ID: numberedID(4), Kind: chat.KindRedelivery, Message: sent.Message}},
		"a message without contents": {{Thread: sent.Thread, Seq: 4, ID: numberedID(4), Kind: chat.KindMessage}},
	} {
		if n, err := s.Append(t.Context(), chat.Head{Seq: 3}, events); n != 0 || err == nil {
			t.Errorf("about %s: Append = %d, %v; want an error", name, n, err)
		}
	}
	if after := dump(t, s); len(after) != len(before) {
		t.Errorf("%d keys became %d", len(before), len(after))
	}
}

// The port asks for less: nobody appends two events about one message at once.
func TestEventsOfOneAppendBuildOnEachOther(t *testing.T) {
	s := open(t, Options{FS: vfs.NewMem(), Now: func() time.Time { return testTime }})
	create(t, s, creationOf(chat.Group, 1, "ann", "bob"))
	sent := messageOf(1, 2, "key")
	mustAppend(t, s, sent)
	mustAppend(t, s, editOf(sent, 3, "edited"), reactionOf(sent, 4, "+1"), pinOf(sent, 5), aboutOf(sent, 6, chat.KindRedelivery))
	e, err := s.Message(t.Context(), sent.ID)
	if m := e.Message; err != nil || string(m.Ciphertext) != "edited" || len(m.Reactions) != 1 || m.RedeliveredSeq != 6 {
		t.Errorf("the message is %+v, %v", m, err)
	}
}

// Every message that will expire has its key in the index, as long as it is not
// deleted, and no other has one.
func TestExpiryIndexHoldsWhatWillExpire(t *testing.T) {
	s := open(t, Options{FS: vfs.NewMem(), Now: func() time.Time { return testTime }})
	create(t, s, creationOf(chat.Group, 1, "ann", "bob"))
	keys := func() (n int) {
		for key := range dump(t, s) {
			if key[0] == prefixExpiry {
				n++
			}
		}
		return n
	}
	for seq := chat.Seq(2); seq <= 4; seq++ {
		e := messageOf(1, seq, "")
		e.Message.ExpiresAt = testTime.Add(time.Duration(seq-3) * time.Second) // one is past already
		mustAppend(t, s, e)
	}
	first := messageOf(1, 2, "")
	mustAppend(t, s, messageOf(1, 5, ""), editOf(first, 6, "new"))
	if n := keys(); n != 3 {
		t.Errorf("%d keys for 3 messages that expire", n)
	}
	mustAppend(t, s, deletionOf(first, 7), deletionOf(messageOf(1, 5, ""), 8))
	mustAppend(t, s, deletionOf(first, 9))
	if n := keys(); n != 2 {
		t.Errorf("%d keys for 2 messages that expire still", n)
	}
	long := messageOf(1, 10, "")
	long.Message.ExpiresAt = time.Unix(-1, 0)
	mustAppend(t, s, long)
	if expired, err := s.Expired(t.Context(), testTime, 1); err != nil || len(expired) != 1 || expired[0].Seq != 10 {
		t.Errorf("of what expired before the epoch there is %+v, %v", expired, err)
	}
}

// What is deleted is in no table once its file has been compacted.
func TestDeletedContentLeavesTheDisk(t *testing.T) {
	disk := vfs.NewMem()
	s := open(t, Options{FS: disk, Now: func() time.Time { return testTime }})
	create(t, s, creationOf(chat.Group, 1, "ann", "bob"))
	secrets := make([][]byte, 2) // random: no compression hides their middles
	for i := range secrets {
		secrets[i] = make([]byte, 64)
		_, _ = rand.Read(secrets[i])
	}
	sent := messageOf(1, 2, "key")
	sent.Message.Ciphertext = secrets[0]
	settle := func() {
		t.Helper()
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
		// A compaction keeps what a snapshot shows. Readers have one; that of before the last write ends a moment after it.
		for s.db.Metrics().Snapshots.Count > 1 {
			runtime.Gosched()
		}
		if err := s.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false); err != nil {
			t.Fatal(err)
		}
	}
	mustAppend(t, s, sent)
	settle()
	wantInTables(t, disk, "sent", secrets, true, false)
	mustAppend(t, s, editOf(sent, 3, string(secrets[1])))
	settle()
	wantInTables(t, disk, "edited", secrets, false, true)
	mustAppend(t, s, deletionOf(sent, 4))
	settle()
	wantInTables(t, disk, "deleted", secrets, false, false)
}

// wantInTables fails unless exactly the wanted secrets are in tables soon. Files
// that a compaction has replaced are removed in the background.
func wantInTables(t *testing.T, disk vfs.FS, when string, secrets [][]byte, want ...bool) {
	t.Helper()
	var got []bool
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); runtime.Gosched() {
		tables := tablesOf(t, disk)
		got = got[:0]
		for _, secret := range secrets {
			// The first bytes may be compressed together with what stands before them.
			got = append(got, bytes.Contains(tables, secret[8:len(secret)-8]))
		}
		if slices.Equal(got, want) {
			return
		}
	}
	t.Errorf("%s: the contents in tables are %v, want %v", when, got, want)
}

// tablesOf is all that stands in tables.
func tablesOf(t *testing.T, disk vfs.FS) (tables []byte) {
	t.Helper()
	names, err := disk.List("db")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") && !strings.HasSuffix(name, ".blob") {
			continue
		}
		f, err := disk.Open(disk.PathJoin("db", name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(f)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, content...)
	}
	return tables
}

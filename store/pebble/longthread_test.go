package pebble

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parleyhq/parley/chat"
)

var longMessages = flag.Int("long.messages", 100_000, "messages of the long thread in BenchmarkLongThread")

// shortMessages are those of the thread that the long one is compared with.
const shortMessages = 1000

// BenchmarkLongThread has the same done in threads of 1,000 messages and in a long
// one that has as many as all of them, in one store. The metric "x" says how many
// times as long it takes in the long one. "Anywhere" is a place in any of the threads
// that nobody looked at lately: with more messages than the block cache holds, that is
// a read of a file, in short threads as in long ones.
func BenchmarkLongThread(b *testing.B) {
	b.Run("disk", func(b *testing.B) { benchLongThread(b, b.TempDir(), vfs.Default, longOperations) })
	// Without a disk to wait for.
	b.Run("memory", func(b *testing.B) { benchLongThread(b, "db", vfs.NewMem(), longOperations[len(longOperations)-1:]) })
}

func benchLongThread(b *testing.B, dir string, fs vfs.FS, operations []longOperation) {
	store, err := Open(dir, Options{FS: fs})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	noise := rand.NewChaCha8([32]byte{1})
	s := &longStore{Store: store, noise: noise, random: rand.New(noise)}
	var short []*longThread
	for n := 0; n < *longMessages; n += shortMessages {
		short = append(short, s.grown(b, shortMessages))
	}
	long := []*longThread{s.grown(b, *longMessages)}
	s.settle(b)
	for _, op := range operations {
		var each [2]float64 // ns, in the short and in the long one
		for i, threads := range [][]*longThread{short, long} {
			b.Run(fmt.Sprintf("%s, of %d", op.name, threads[0].messages), func(b *testing.B) {
				b.ReportAllocs()
				op.run(b, s, threads)
				each[i] = float64(b.Elapsed().Nanoseconds()) / float64(b.N)
				if i == 1 && each[0] > 0 {
					b.ReportMetric(each[1]/each[0], "x")
				}
			})
		}
	}
}

// longStore is a store on which the benchmark builds its threads.
type longStore struct {
	*Store
	noise   *rand.ChaCha8
	random  *rand.Rand // of it
	threads int
	clients int64
}

// longThread is a group of ann, who writes, and bob, who has received each
// thousandth message with a mark of its own.
type longThread struct {
	id       chat.ThreadID
	head     chat.Head
	messages int
	ids      []chat.MessageID // by seq
}

// bob is whose side a thread is looked at from.
const bob chat.UserID = "bob"

// grown makes a thread of n messages.
func (s *longStore) grown(b *testing.B, n int) *longThread {
	b.Helper()
	s.threads++
	t := &longThread{messages: n}
	binary.BigEndian.PutUint32(t.id[12:], uint32(s.threads))
	created := creationOf(chat.Group, 0, "ann", bob)
	created.Thread, created.ID = t.id, chat.EventIDAt(time.Now())
	if err := s.CreateThread(b.Context(), created); err != nil {
		b.Fatal(err)
	}
	t.head = chat.Thread{Head: t.head}.Apply(created).Head
	t.ids = append(t.ids, chat.MessageID{}, created.ID)
	for left := n; left > 0; left -= min(left, 1000) {
		s.append(b, t, min(left, 1000))
		mark := chat.Mark{Thread: t.id, User: bob, Kind: chat.Delivered, Seq: t.head.Seq, Message: t.head.LastMessage, At: time.Now()}
		if _, _, err := s.PutMark(b.Context(), mark); err != nil {
			b.Fatal(err)
		}
	}
	return t
}

// append appends n messages of 300 bytes at once.
func (s *longStore) append(b *testing.B, t *longThread, n int) {
	b.Helper()
	events := make([]chat.Event, n)
	after := t.head
	for i := range events {
		s.clients++
		events[i] = chat.Event{
			Thread: t.id, Seq: t.head.Seq + 1, ID: s.mint(t.head.ID), Kind: chat.KindMessage, By: "ann", Device: "phone",
			Message: &chat.Message{
				Ciphertext: make([]byte, 300), ContentType: chat.Text,
				ClientSeq: s.clients, IdempotencyKey: fmt.Sprintf("%016x", s.random.Uint64()),
			},
		}
		_, _ = s.noise.Read(events[i].Message.Ciphertext) // never fails
		t.head = chat.Thread{Head: t.head}.Apply(events[i]).Head
		t.ids = append(t.ids, events[i].ID)
	}
	if _, err := s.Append(b.Context(), after, events); err != nil {
		b.Fatal(err)
	}
}

// mint makes an id above prev, with a random end as ids have.
func (s *longStore) mint(prev chat.EventID) chat.EventID {
	id := chat.EventIDAt(time.Now())
	binary.BigEndian.PutUint64(id[8:], s.random.Uint64())
	if id.Compare(prev) > 0 {
		return id
	}
	return chat.NextInOrder(prev)
}

// settle waits until what was written is in tables, and those where they stay.
func (s *longStore) settle(b *testing.B) {
	b.Helper()
	if err := s.db.Flush(); err != nil {
		b.Fatal(err)
	}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	for quiet := 0; quiet < 10; quiet++ {
		if m := s.db.Metrics(); m.Compact.NumInProgress > 0 || m.Flush.NumInProgress > 0 {
			quiet = 0
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			b.Fatal("the store never settles")
		}
	}
}

// spot picks a thread and a seq in it.
type spot func(s *longStore, threads []*longThread) (*longThread, chat.Seq)

// Spots in the first thread, and in any of them.
func newest(_ *longStore, t []*longThread) (*longThread, chat.Seq) {
	return t[0], chat.Seq(t[0].messages)
}

func middle(_ *longStore, t []*longThread) (*longThread, chat.Seq) {
	return t[0], chat.Seq(t[0].messages / 2)
}

func anywhere(s *longStore, threads []*longThread) (*longThread, chat.Seq) {
	t := threads[s.random.IntN(len(threads))]
	return t, 2 + chat.Seq(s.random.IntN(t.messages))
}

type longOperation struct {
	name string
	run  func(b *testing.B, s *longStore, threads []*longThread)
}

// longOperations end with what writes.
var longOperations = []longOperation{
	{"newest page", pages(newest)},
	{"page in the middle", pages(middle)},
	{"page anywhere", pages(anywhere)},
	{"newest message", lookups(newest)},
	{"message in the middle", lookups(middle)},
	{"message anywhere", lookups(anywhere)},
	{"marks at the newest", marksAt(newest)},
	{"marks anywhere", marksAt(anywhere)},
	{"position anywhere", func(b *testing.B, s *longStore, threads []*longThread) {
		for b.Loop() {
			t, at := anywhere(s, threads)
			if seq, err := s.SeqAt(b.Context(), t.id, t.ids[at]); err != nil || seq != at {
				b.Fatalf("SeqAt = %d, %v", seq, err)
			}
		}
	}},
	{"count 100 unread", func(b *testing.B, s *longStore, threads []*longThread) {
		for b.Loop() {
			t, at := middle(s, threads)
			n, err := s.countUnread(b.Context(), bob, chat.UnreadRange{Thread: t.id, After: at, Through: lastSeq}, time.Now(), 100)
			if err != nil || n != 100 {
				b.Fatalf("CountUnread = %d, %v", n, err)
			}
		}
	}},
	{"append one", appendToLong},
}

// pages reads the 50 messages up to a spot.
func pages(at spot) func(*testing.B, *longStore, []*longThread) {
	return func(b *testing.B, s *longStore, threads []*longThread) {
		for b.Loop() {
			t, seq := at(s, threads)
			page, err := s.Messages(b.Context(), t.id, chat.MessageRange{Before: max(seq+1, 52), Viewer: bob, NewestFirst: true, Count: 50})
			if err != nil || len(page) != 50 {
				b.Fatalf("Messages = %d, %v", len(page), err)
			}
		}
	}
}

func lookups(at spot) func(*testing.B, *longStore, []*longThread) {
	return func(b *testing.B, s *longStore, threads []*longThread) {
		for b.Loop() {
			t, seq := at(s, threads)
			if e, err := s.Message(b.Context(), t.ids[seq]); err != nil || e.Seq != seq {
				b.Fatalf("Message = %d, %v", e.Seq, err)
			}
		}
	}
}

// marksAt looks up the state of a message.
func marksAt(at spot) func(*testing.B, *longStore, []*longThread) {
	return func(b *testing.B, s *longStore, threads []*longThread) {
		for b.Loop() {
			t, seq := at(s, threads)
			marks, err := s.MarksAt(b.Context(), t.id, seq, []chat.UserID{bob})
			if err != nil || marks[0].Delivered.Seq < seq {
				b.Fatalf("MarksAt(%d) = %+v, %v", seq, marks, err)
			}
		}
	}
}

// appendToLong appends one by one. A short thread is left for a new one before it is
// no longer short. One is made for the long thread too, which remains: so the store
// has the same to do in both.
func appendToLong(b *testing.B, s *longStore, threads []*longThread) {
	t, appended := threads[0], 0
	for b.Loop() {
		if appended++; appended%(shortMessages/2) == 0 {
			b.StopTimer()
			if fresh := s.grown(b, shortMessages); t.messages == shortMessages {
				t = fresh
			}
			b.StartTimer()
		}
		s.append(b, t, 1)
	}
}

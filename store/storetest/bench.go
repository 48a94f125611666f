package storetest

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// messageBytes is the ciphertext of a message in benchmarks.
const messageBytes = 300

// Benchmark measures what the product does most, each on a new store.
func Benchmark(b *testing.B, s Subject) {
	b.Run("append one message", func(b *testing.B) { benchAppend(b, newFixture(b, s)) })
	b.Run("append one message, 64 threads at once", func(b *testing.B) { benchAppendParallel(b, newFixture(b, s)) })
	b.Run("edit one message", func(b *testing.B) { benchEdit(b, newFixture(b, s)) })
	b.Run("page of 50 from 2000", func(b *testing.B) { benchPage(b, newFixture(b, s)) })
	b.Run("count 100 unread of 2000", func(b *testing.B) { benchCountUnread(b, newFixture(b, s)) })
	b.Run("marks at a message, group of 250", func(b *testing.B) { benchMarksAt(b, newFixture(b, s)) })
	b.Run("threads of a user with 200", func(b *testing.B) { benchUserThreads(b, newFixture(b, s)) })
}

func benchDraft() chat.Event { return draft("ann", strings.Repeat("x", messageBytes)) }

// appendNext appends one message without reading the head back.
func (f *fixture) appendNext(b *testing.B, thread chat.ThreadID, head chat.Head) chat.Head {
	events := f.stamp(thread, head, []chat.Event{benchDraft()})
	if _, err := f.store.Append(b.Context(), head, events); err != nil {
		b.Fatalf("Append: %v", err)
	}
	return chat.Thread{Head: head}.Apply(events[0]).Head
}

func benchAppend(b *testing.B, f *fixture) {
	thread := f.group("ann", "bob")
	head := f.thread(thread).Head
	b.ReportAllocs()
	for b.Loop() {
		head = f.appendNext(b, thread, head)
	}
}

func benchAppendParallel(b *testing.B, f *fixture) {
	threads := make([]chat.ThreadID, 64)
	for i := range threads {
		threads[i] = f.group("ann", "bob")
	}
	var next atomic.Int64
	b.SetParallelism(len(threads)) // goroutines per processor: at least one for each thread
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		i := next.Add(1) - 1
		if i >= int64(len(threads)) {
			return // one writer per thread
		}
		head := f.thread(threads[i]).Head
		for pb.Next() {
			head = f.appendNext(b, threads[i], head)
		}
	})
}

func benchEdit(b *testing.B, f *fixture) {
	thread := f.group("ann", "bob")
	sent := f.append(thread, benchDraft())[0]
	head := f.thread(thread).Head
	b.ReportAllocs()
	for b.Loop() {
		events := f.stamp(thread, head, []chat.Event{edit(sent, strings.Repeat("y", messageBytes))})
		if _, err := f.store.Append(b.Context(), head, events); err != nil {
			b.Fatalf("Append: %v", err)
		}
		head = chat.Thread{Head: head}.Apply(events[0]).Head
	}
}

// threadOf2000 makes a thread of 2000 messages.
func (f *fixture) threadOf2000() chat.ThreadID {
	thread := f.group("ann", "bob")
	for range 20 {
		batch := make([]chat.Event, 100)
		for i := range batch {
			batch[i] = benchDraft()
		}
		f.append(thread, batch...)
	}
	return thread
}

func benchPage(b *testing.B, f *fixture) {
	thread := f.threadOf2000()
	b.ReportAllocs()
	for b.Loop() {
		page := f.messages(thread, chat.MessageRange{Before: 1000, Viewer: "bob", NewestFirst: true, Count: 50})
		if len(page) != 50 {
			b.Fatalf("Messages = %d", len(page))
		}
	}
}

func benchCountUnread(b *testing.B, f *fixture) {
	thread := f.threadOf2000()
	now := f.clock.Now()
	b.ReportAllocs()
	for b.Loop() {
		n, err := countUnread(b.Context(), f.store, thread, "bob", 1, now, 100)
		if err != nil || n != 100 {
			b.Fatalf("CountUnread = %d, %v", n, err)
		}
	}
}

func benchMarksAt(b *testing.B, f *fixture) {
	users := make([]chat.UserID, 250)
	for i := range users {
		users[i] = chat.UserID(fmt.Sprintf("user-%03d", i))
	}
	thread := f.group(users...)
	for seq := chat.Seq(10); seq <= 40; seq += 10 {
		f.clock.Advance(time.Second)
		for _, u := range users {
			f.putMark(chat.Mark{Thread: thread, User: u, Kind: chat.Delivered, Seq: seq})
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		marks, err := f.store.MarksAt(b.Context(), thread, 15, users)
		if err != nil || marks[249].Delivered.Seq != 20 {
			b.Fatalf("MarksAt = %+v, %v", marks[249], err)
		}
	}
}

func benchUserThreads(b *testing.B, f *fixture) {
	for range 200 {
		f.append(f.group("ann", "bob"), benchDraft())
	}
	b.ReportAllocs()
	for b.Loop() {
		lines, err := f.store.UserThreads(b.Context(), "ann")
		if err != nil || len(lines) != 200 {
			b.Fatalf("UserThreads = %d, %v", len(lines), err)
		}
	}
}

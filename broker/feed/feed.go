// Package feed decides what one reader of the logs is told next. A reader is one
// connected device; its feed merges the logs of its user's threads, each from the
// event behind what the reader has got, by event time. Replay and live delivery
// are the same: a replay is a feed that starts with many threads to read.
//
// A reader calls [Feed.Resync] to have the feed look at the heads of all threads,
// and [Feed.Wake] when one log has grown. Then it calls [Feed.Next] for the next
// event and [Feed.Pass] once it has handled it, until there is none. The feed
// knows no connection, no window and no lock of a session: what it needs of them
// is handed in.
//
// Where a reader is in the logs has these names:
//
//	one thread's log      1  2  3  4  5  6  7  8  9  10
//	                            │        │        │   └─ want: the log is known to reach here
//	                            │        │        └─ cursor: the feed has passed all up to here
//	                            │        └─ what the device has acknowledged: Progress keeps it
//	                            └─ origin: where the reader started
//
// The origin is found once, when the reader first looks: from the device's stored
// position, and from what the client names. A cursor moves over the next event only, so
// nothing is skipped because something was full. [Progress] collects what the device
// acknowledges, by which its stored position rises.
//
// A position is one seq for each thread and knows no time, so it holds whatever clocks
// do, and however late an event comes into a log: the event lies behind the end of its
// log, hence above the device's position in that thread, and the next look finds it.
//
// Read in this order: feed.go, stream.go, merge.go, origin.go, progress.go, item.go,
// tailcache.go.
package feed

import (
	"context"
	"errors"

	"github.com/parleyhq/parley/chat"
)

// Store is what feeds read of the store, and the position that fixes the origin of
// a new device. [chat.Store] has it.
type Store interface {
	UserThreads(ctx context.Context, user chat.UserID) ([]chat.UserThread, error)
	UserThread(ctx context.Context, user chat.UserID, thread chat.ThreadID) (chat.UserThread, error)
	Events(ctx context.Context, thread chat.ThreadID, after, through chat.Seq, limit chat.Limit) ([]chat.Event, error)
	SeqsAt(ctx context.Context, threads []chat.ThreadID, id chat.EventID) ([]chat.Seq, error)
	MarksOf(ctx context.Context, user chat.UserID, threads []chat.ThreadID) ([]chat.Marks, error)
	Position(ctx context.Context, user chat.UserID, device chat.DeviceID) (p chat.Position, found bool, err error)
	BeginPosition(ctx context.Context, user chat.UserID, device chat.DeviceID, p chat.Position) (stored chat.Position, err error)
}

// Logs is where all feeds of a node read: the store, and before it the tail cache.
type Logs struct {
	Store Store
	Tails *TailCache
	// Newest is the highest id that the node knows of any event.
	Newest func() chat.EventID
}

// Reader is the device that a feed is for. It does not change.
type Reader struct {
	User     chat.UserID
	Device   chat.DeviceID
	LastSeen *chat.MessageID // the newest message that the client says it holds; nil: it says none
	// Stored is the device's position, if it was read when the device connected and nobody
	// stores what it acknowledged before; nil: it is to be read.
	Stored *chat.StoredPosition
}

// Feed is what one reader is told next. One goroutine at a time uses it. The zero
// Feed is not ready for use: see [New].
type Feed struct {
	logs   *Logs
	reader Reader

	resolved bool // origin is known
	looked   bool // and the heads of all threads were seen once
	origin   origin
	streams  map[chat.ThreadID]*stream
	merge    merge
	left     []*stream      // passed their end, and their logs go on: is the user in again?
	loaded   int            // bytes of the items of all streams
	newest   chat.MessageID // the newest message there is for the user, or was passed
	unbegun  *chat.Position // the device's first, while it is not stored

	// The present catch-up.
	catching bool
	open     int // streams that have not reached their target
}

// New makes the feed of a reader. It reads nothing before [Feed.Resync].
func New(logs *Logs, reader Reader) Feed { return Feed{logs: logs, reader: reader} }

// Unbegun gives the device's first position, once, if it could not be stored because the
// disk is full. Until it is stored, RaisePosition stores nothing of the device.
func (f *Feed) Unbegun() *chat.Position {
	p := f.unbegun
	f.unbegun = nil
	return p
}

// Next is one event of a feed.
type Next struct {
	*Item
	Thread chat.ThreadID
	Joined chat.Seq // the event with which the user joined the stint that it is part of
	After  chat.Seq // the last event of the thread that was for this reader; else where it started

	// Own is set for what this very device did since its feed began: it knows already.
	Own bool
	// Unseen is set for what the user may not see.
	Unseen bool

	of *stream
}

// ForReader reports whether the reader is to be told of the event.
func (n *Next) ForReader() bool { return !n.Own && !n.Unseen }

// CatchUp begins a catch-up: it ends when the reader has passed all that the logs
// hold at the next Resync.
func (f *Feed) CatchUp() { f.catching = true }

// CatchingUp reports whether the reader is told of the past still.
func (f *Feed) CatchingUp() bool { return f.catching || !f.resolved }

// CaughtUp reports once that a catch-up has ended.
func (f *Feed) CaughtUp() bool {
	if !f.resolved || !f.catching || f.open > 0 {
		return false
	}
	f.catching = false
	return true
}

// Newest is the newest message that there is for the user, as far as the feed knows;
// the zero id if there is none.
func (f *Feed) Newest() chat.MessageID { return f.newest }

// Resync looks at the heads of all the user's threads and opens a stream for each
// that the reader wants and that has news. After an error of any method the feed
// is whole again once a Resync has succeeded.
func (f *Feed) Resync(ctx context.Context, wanted func(chat.ThreadID) bool) error {
	lines, err := f.heads(ctx)
	if err != nil {
		return err
	}
	if !f.looked {
		f.lookFirst(lines)
	}
	var followed []*stream
	for _, line := range lines {
		f.noteNewest(line)
		if !wanted(line.Thread) {
			continue
		}
		if st := f.followLine(line); st != nil {
			followed = append(followed, st)
		}
	}
	return f.offerAll(ctx, followed)
}

// lookFirst opens a stream for each thread that has news, whether or not the reader
// wants it yet: so the feed knows for good where each log ended when the reader came.
// Of a thread without a stream, that is where the reader started.
func (f *Feed) lookFirst(lines []chat.UserThread) {
	for _, line := range lines {
		if f.origin.in(line) < lastVisible(line) {
			f.stream(line).before = line.Head.Seq
		}
	}
	f.looked = true
}

// heads reads the heads of all the user's threads. The first time, it finds the origin.
func (f *Feed) heads(ctx context.Context) ([]chat.UserThread, error) {
	reading, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	lines, err := f.logs.Store.UserThreads(reading, f.reader.User)
	if err == nil && !f.resolved {
		f.origin, err = f.resolveOrigin(ctx, lines)
		f.resolved = err == nil
	}
	return lines, err
}

// followLine has the feed read a thread up to what its line shows; nil: there is nothing to read.
func (f *Feed) followLine(line chat.UserThread) *stream {
	if _, followed := f.streams[line.Thread]; !followed && f.origin.in(line) >= lastVisible(line) {
		return nil // nothing new in it
	}
	st := f.stream(line)
	st.want = max(st.want, lastVisible(line))
	if f.catching && st.cursor < st.end() && st.target == 0 {
		st.target = st.end()
		f.open++
	}
	return st
}

// noteNewest looks whether a thread has the newest message that the user sees.
func (f *Feed) noteNewest(line chat.UserThread) {
	if line.LeftSeq > 0 {
		return
	}
	if last := line.Head.LastVisibleTo(f.reader.User, line.JoinedSeq); last.ID.Compare(f.newest) > 0 {
		f.newest = last.ID
	}
}

// stream finds or opens the stream of a thread.
func (f *Feed) stream(line chat.UserThread) *stream {
	st := f.streams[line.Thread]
	if st == nil {
		at := f.origin.in(line)
		st = &stream{thread: line.Thread, cursor: at, delivered: at, before: at, joined: line.JoinedSeq, until: line.LeftSeq, place: -1}
		if f.streams == nil {
			f.streams = make(map[chat.ThreadID]*stream)
		}
		f.streams[line.Thread] = st
		return st
	}
	if st.until > 0 && line.JoinedSeq > st.until && st.cursor >= st.until {
		st.until, st.cursor = 0, max(st.cursor, line.JoinedSeq-1) // in again
		st.delivered, st.joined = st.cursor, line.JoinedSeq
	}
	return st
}

// Wake says that a thread's log has reached seq. The caller has checked that the
// reader wants the thread.
func (f *Feed) Wake(ctx context.Context, thread chat.ThreadID, seq chat.Seq) error {
	if !f.looked {
		return nil // the first Resync finds it
	}
	st := f.streams[thread]
	if st == nil || st.until > 0 && seq > st.until {
		ctx, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		line, err := f.logs.Store.UserThread(ctx, f.reader.User, thread)
		if errors.Is(err, chat.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		st = f.stream(line)
	}
	st.want = max(st.want, seq)
	return f.offer(ctx, st)
}

// Next puts the oldest event that the reader has not passed into next, which is the caller's; ok is
// false if there is none. Without a Pass it gives the same event again, unless that was changed or
// erased meanwhile. A thread that the reader does not want any more is dropped, and its cursor
// stays where it is.
func (f *Feed) Next(ctx context.Context, wanted func(chat.ThreadID) bool, next *Next) (ok bool, err error) {
	for len(f.left) > 0 {
		st := f.left[0]
		f.left = f.left[1:]
		if wanted(st.thread) {
			if err := f.Wake(ctx, st.thread, st.want); err != nil {
				return false, err
			}
		}
	}
	for len(f.merge) > 0 {
		st := f.merge[0]
		f.refresh(st)
		switch {
		case len(st.items) == 0:
			if err := f.advance(ctx, st); err != nil {
				return false, err
			}
		case !wanted(st.thread):
			f.leave(st)
		default:
			it := st.items[0]
			*next = Next{
				Item: it, Thread: st.thread, Joined: st.joined, After: st.delivered, of: st,
				Own: f.isOwn(st, it), Unseen: !it.visibility.To(f.reader.User, st.joined),
			}
			return true, nil
		}
	}
	return false, nil
}

// Pass moves the thread's cursor over the event that Next gave last.
func (f *Feed) Pass(ctx context.Context, next *Next) error {
	st, it := next.of, next.Item
	if next.ForReader() {
		st.delivered = it.Seq
	}
	if !next.Unseen {
		if it.Removes == f.reader.User {
			st.until = it.Seq
		}
		if it.isMessage && it.Shows.Compare(f.newest) > 0 {
			f.newest = it.Shows
		}
	}
	st.cursor = it.Seq
	st.items = st.items[1:]
	f.noteTarget(st)
	if st.until > 0 && st.until < st.want && st.cursor >= st.until {
		f.left = append(f.left, st)
	}
	return f.advance(ctx, st)
}

// isOwn reports whether the reader's device made the event since the feed first looked.
func (f *Feed) isOwn(st *stream, it *Item) bool {
	return it.By == f.reader.User && it.device == f.reader.Device && it.Seq > st.before
}

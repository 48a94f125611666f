package feed

import (
	"context"

	"github.com/parleyhq/parley/chat"
)

// stream is a feed's way through one thread's log.
//
// Invariant: cursor only moves over the next event of the log. The reader has
// passed everything up to it.
type stream struct {
	thread    chat.ThreadID
	cursor    chat.Seq
	delivered chat.Seq // the last event that was for the reader, or where the stream began
	want      chat.Seq // the log is known to reach here
	joined    chat.Seq // the event with which the user joined: nothing about an older message is visible
	until     chat.Seq // the event that removed the user; zero while it is in the thread
	before    chat.Seq // the log's end when the feed first looked
	target    chat.Seq // when the cursor is here, the present catch-up is done with the thread; zero: it is

	next    chat.EventID // of the event behind the cursor, while the stream is in the merge
	items   []*Item      // the events behind the cursor, as far as they are loaded
	version uint64       // of the thread in the tail cache, before they were loaded
	bytes   int          // of items when they were loaded
	place   int          // in the merge; -1 while the stream is not in it
}

// end is the last event that this stream may give.
func (st *stream) end() chat.Seq {
	if st.until > 0 {
		return min(st.want, st.until)
	}
	return st.want
}

// Bounds of what a replay holds in memory. Past loadBytesInAll in all streams of a
// feed, a stream keeps only the time of its next event and loads the event when
// its turn comes.
const (
	loadCount      = 64
	loadBytes      = 64 << 10
	loadBytesInAll = 512 << 10
	peekCount      = 1
)

// load loads the events behind the cursor. It reports whether there are any.
func (f *Feed) load(ctx context.Context, st *stream) (bool, error) {
	items, err := f.logs.read(ctx, st, f.loadLimit())
	if err != nil {
		return false, err
	}
	f.hold(st, items)
	return len(items) > 0, nil
}

// loadLimit is how much of one stream is loaded, with what all have loaded already.
func (f *Feed) loadLimit() chat.Limit {
	limit := chat.Limit{Count: loadCount, Bytes: loadBytes}
	if f.loaded > loadBytesInAll {
		limit.Count = peekCount
	}
	return limit
}

// read reads the events behind a stream's cursor: from the tail cache, else from the store.
func (l *Logs) read(ctx context.Context, st *stream, limit chat.Limit) ([]*Item, error) {
	st.version = l.Tails.version(st.thread).Load() // before anything is read
	if run := l.Tails.After(st.thread, st.cursor, st.want); len(run) > 0 {
		// Shared, but a slow reader may hold them longer than the cache does.
		return run[:min(len(run), loadCount)], nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	events, err := l.Store.Events(ctx, st.thread, st.cursor, st.end(), limit)
	if err != nil {
		return nil, err
	}
	items := make([]*Item, len(events))
	for i, e := range events {
		items[i] = newItem(e)
	}
	return items, nil
}

// hold gives a stream its next events.
func (f *Feed) hold(st *stream, items []*Item) {
	st.items = items
	for _, it := range items {
		st.bytes += it.size()
	}
	f.loaded += st.bytes
	if len(items) > 0 {
		st.next = items[0].ID
	}
}

// unload forgets loaded events.
func (f *Feed) unload(st *stream) {
	f.loaded -= st.bytes
	st.items, st.bytes = nil, 0
}

// refresh forgets loaded events that may show what is no longer so. Next gives no
// event without it: after a deletion was announced on this node, no frame carries
// what is erased (docs/contract.md#disappearing-messages, docs/contract.md#resuming).
func (f *Feed) refresh(st *stream) {
	if len(st.items) > 0 && st.version != f.logs.Tails.version(st.thread).Load() {
		f.unload(st)
	}
}

// noteTarget notes a stream whose cursor has reached what the present catch-up is for.
func (f *Feed) noteTarget(st *stream) {
	if st.target > 0 && st.cursor >= min(st.target, st.end()) {
		st.target = 0
		f.open--
	}
}

// Loaded is the last event of a thread that the feed has loaded, 0 for none, and
// whether what it has loaded shows the messages as they are now.
func (f *Feed) Loaded(thread chat.ThreadID) (through chat.Seq, current bool) {
	st := f.streams[thread]
	if st == nil || len(st.items) == 0 {
		return 0, true
	}
	return st.items[len(st.items)-1].Seq, st.version == f.logs.Tails.version(thread).Load()
}

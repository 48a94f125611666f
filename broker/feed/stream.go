package feed

import (
	"container/heap"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

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

// merge orders the streams that have news by event time.
type merge []*stream

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return m[i].next.Compare(m[j].next) < 0 }
func (m merge) Swap(i, j int) {
	m[i], m[j] = m[j], m[i]
	m[i].place, m[j].place = i, j
}

// Push is for container/heap.
func (m *merge) Push(x any) {
	st := x.(*stream)
	st.place = len(*m)
	*m = append(*m, st)
}

// Pop is for container/heap.
func (m *merge) Pop() any {
	old := *m
	st := old[len(old)-1]
	old[len(old)-1] = nil
	*m = old[:len(old)-1]
	st.place = -1
	return st
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

// offer puts a stream with news into the merge.
func (f *Feed) offer(ctx context.Context, st *stream) error {
	if st.place >= 0 || st.cursor >= st.end() {
		return nil
	}
	items, err := f.logs.read(ctx, st, f.loadLimit())
	if err != nil {
		return err
	}
	f.place(st, items)
	return nil
}

// place puts a stream into the merge with the events that were read of it.
func (f *Feed) place(st *stream, items []*Item) {
	f.hold(st, items)
	if len(items) == 0 { // the wake was ahead of what the store shows: another one follows
		st.want = st.cursor
		f.noteTarget(st)
		return
	}
	heap.Push(&f.merge, st)
	if f.loaded > loadBytesInAll {
		f.unload(st)
	}
}

// readsAtOnce is how many logs a feed reads at once when it comes to many with news.
const readsAtOnce = 8

// offerAll is offer for many streams: it reads the logs of several at once.
func (f *Feed) offerAll(ctx context.Context, streams []*stream) error {
	streams = slices.DeleteFunc(streams, func(st *stream) bool { return st.place >= 0 || st.cursor >= st.end() })
	for some := range slices.Chunk(streams, readsAtOnce) {
		limit := f.loadLimit()
		items := make([][]*Item, len(some))
		reads, reading := errgroup.WithContext(ctx)
		for i, st := range some {
			reads.Go(func() (err error) {
				items[i], err = f.logs.read(reading, st, limit)
				return err
			})
		}
		if err := reads.Wait(); err != nil {
			return err
		}
		for i, st := range some {
			f.place(st, items[i])
		}
	}
	return nil
}

// advance places a stream of the merge by its next event, or takes it out.
func (f *Feed) advance(ctx context.Context, st *stream) error {
	if st.cursor >= st.end() {
		f.leave(st)
		return nil
	}
	if len(st.items) == 0 {
		f.unload(st)
		ok, err := f.load(ctx, st)
		if err != nil || !ok {
			f.leave(st)
			return err
		}
	}
	st.next = st.items[0].ID
	heap.Fix(&f.merge, st.place)
	return nil
}

// leave takes a stream out of the merge and out of the present catch-up.
func (f *Feed) leave(st *stream) {
	heap.Remove(&f.merge, st.place)
	f.unload(st)
	if st.target > 0 {
		st.target = 0
		f.open--
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

package session

import (
	"container/heap"

	"github.com/parleyhq/parley/chat"
)

// stream is a session's way through one thread's log. The pump owns it.
//
// Invariant: cursor only moves over the next event of the log; everything up to
// it was put into the window or is not for this device.
type stream struct {
	thread chat.ThreadID
	cursor chat.Seq
	sent   chat.Seq // the last event put into the window, or where the stream began
	want   chat.Seq // the log is known to reach here
	joined chat.Seq // the event the user joined with: of what is about messages before it, none is sent
	until  chat.Seq // the event that removed the user; zero while it is in
	before chat.Seq // the log's end when the session first looked at it
	target chat.Seq // reaching it completes the present catch-up; zero: none

	next    chat.EventID // of the event behind the cursor, while in the merge
	items   []*item      // the events behind the cursor, as far as they are loaded
	version uint64       // of the thread in the tail cache, before they were loaded
	bytes   int          // of items when they were loaded
	place   int          // in the merge; -1 while not in it
}

// end is the last event this stream may send.
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

// Bounds of what a replay holds in memory. Past loadBytes in all streams of a
// session, a stream keeps only the time of its next event and loads the event
// when its turn comes.
const (
	loadCount      = 64
	loadBytes      = 64 << 10
	loadBytesInAll = 512 << 10
	peekCount      = 1
)

// load fetches the events behind the cursor: from the tail cache, else from the
// store. It reports whether there are any.
func (p *pump) load(st *stream) (bool, error) {
	st.version = p.reg.tails.version(st.thread).Load() // before anything is read
	if run := p.reg.tails.after(st.thread, st.cursor, st.want); len(run) > 0 {
		// Shared, but a slow session may hold them longer than the cache does.
		p.hold(st, run[:min(len(run), loadCount)])
		return true, nil
	}
	limit := chat.Limit{Count: loadCount, Bytes: loadBytes}
	if p.loaded > loadBytesInAll {
		limit.Count = peekCount
	}
	ctx, cancel := p.reg.readContext()
	defer cancel()
	events, err := p.reg.store.Events(ctx, st.thread, st.cursor, st.end(), limit)
	if err != nil {
		return false, err
	}
	items := make([]*item, len(events))
	for i, e := range events {
		items[i] = newItem(e)
	}
	p.hold(st, items)
	return len(items) > 0, nil
}

// hold gives a stream its next events.
func (p *pump) hold(st *stream, items []*item) {
	st.items = items
	for _, it := range items {
		st.bytes += it.size()
	}
	p.loaded += st.bytes
	if len(items) > 0 {
		st.next = items[0].id
	}
}

// unload forgets loaded events.
func (p *pump) unload(st *stream) {
	p.loaded -= st.bytes
	st.items, st.bytes = nil, 0
}

// refresh forgets loaded events that may show what is no longer so. Nothing is
// sent without it: after a deletion was announced here, no frame carries what is
// erased (docs/contract.md#disappearing-messages and docs/contract.md#resuming).
func (p *pump) refresh(st *stream) {
	if len(st.items) > 0 && st.version != p.reg.tails.version(st.thread).Load() {
		p.unload(st)
	}
}

// offer puts a stream with news into the merge.
func (p *pump) offer(st *stream) error {
	if st.place >= 0 || st.cursor >= st.end() {
		return nil
	}
	ok, err := p.load(st)
	if err != nil {
		return err
	}
	if !ok { // the hint was ahead of what the store shows: another one follows
		st.want = st.cursor
		p.reached(st)
		return nil
	}
	heap.Push(&p.merge, st)
	if p.loaded > loadBytesInAll {
		p.unload(st)
	}
	return nil
}

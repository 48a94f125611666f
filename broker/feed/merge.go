package feed

import (
	"container/heap"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"
)

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

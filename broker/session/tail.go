package session

import (
	"container/list"
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/parleyhq/parley/chat"
)

// tails caches the newest events of the threads that are active on this node, so
// that an event is encoded once however many sessions read it. It holds no truth:
// whatever it lacks is read from the store.
//
// Invariant: a tail shows its messages as they are after its last event. A log
// may have gone on without it, so it serves nobody who knows of later events.
type tails struct {
	shards [32]tailShard
	// versions count what was rewritten, each for many threads. Whoever holds
	// items reads the version before it loads them, and sends none once the
	// version is another: so nobody has to find those who hold what is out of
	// date, however many they are and wherever they got it.
	versions [4096]atomic.Uint64
}

type tailShard struct {
	mu      sync.Mutex
	threads map[chat.ThreadID]*list.Element // of *tail
	recent  list.List                       // most recently used first
	bytes   int
	limit   int
}

// tail is a contiguous run of one thread's newest events.
type tail struct {
	thread chat.ThreadID
	items  []*item
	bytes  int
}

// Bounds of the cache.
const (
	tailBytes       = 64 << 20 // of all threads
	tailItems       = 512      // of one thread
	tailThreadBytes = 2 << 20
)

func newTails() *tails {
	t := new(tails)
	for i := range t.shards {
		t.shards[i].threads = make(map[chat.ThreadID]*list.Element)
		t.shards[i].limit = tailBytes / len(t.shards)
	}
	return t
}

func (t *tails) shard(id chat.ThreadID) *tailShard {
	return &t.shards[binary.BigEndian.Uint16(id[14:])%uint16(len(t.shards))]
}

// version changes whenever items of the thread, loaded before, may be out of date.
func (t *tails) version(id chat.ThreadID) *atomic.Uint64 {
	return &t.versions[binary.BigEndian.Uint16(id[14:])%uint16(len(t.versions))]
}

// rewritten takes note of a committed event that changes what earlier ones show.
// When it returns, nobody is given anything older, nor sends what it has loaded.
func (t *tails) rewritten(e chat.Event) {
	sh := t.shard(e.Thread)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if el, ok := sh.threads[e.Thread]; ok {
		sh.outdate(el.Value.(*tail), e)
	}
	t.version(e.Thread).Add(1)
}

// clear forgets everything: events may have gone by unseen.
func (t *tails) clear() {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		clear(sh.threads)
		sh.recent.Init()
		sh.bytes = 0
		sh.mu.Unlock()
	}
	for i := range t.versions {
		t.versions[i].Add(1)
	}
}

// put adds a committed event behind the thread's tail. One that does not follow
// starts the tail anew; one that is there already changes nothing. Of what it
// rewrites, nothing stays.
func (t *tails) put(e chat.Event) {
	sh := t.shard(e.Thread)
	it := newItem(e)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	tl := sh.use(e.Thread)
	if rewrites(e) {
		sh.outdate(tl, e)
		t.version(e.Thread).Add(1)
	}
	if n := len(tl.items); n > 0 {
		switch last := tl.items[n-1].seq; {
		case e.Seq <= last:
			return
		case e.Seq > last+1:
			sh.drop(tl, n)
		}
	}
	tl.items = append(tl.items, it)
	tl.bytes += it.size()
	sh.bytes += it.size()
	if len(tl.items) > tailItems || tl.bytes > tailThreadBytes {
		sh.drop(tl, (len(tl.items)+1)/2)
	}
	sh.evict()
}

// after gives cached events that follow seq without a gap, oldest first, to who
// knows the log to reach known.
func (t *tails) after(id chat.ThreadID, seq, known chat.Seq) []*item {
	sh := t.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	el, ok := sh.threads[id]
	if !ok {
		return nil
	}
	items := el.Value.(*tail).items
	if len(items) == 0 || items[0].seq > seq+1 || items[len(items)-1].seq < max(known, seq+1) {
		return nil
	}
	return items[seq+1-items[0].seq:]
}

// use finds or makes a thread's tail and marks it as used.
func (sh *tailShard) use(id chat.ThreadID) *tail {
	if el, ok := sh.threads[id]; ok {
		sh.recent.MoveToFront(el)
		return el.Value.(*tail)
	}
	tl := &tail{thread: id}
	sh.threads[id] = sh.recent.PushFront(tl)
	return tl
}

// outdate forgets all up to the last item that shows what e has changed: the run
// stays without a gap.
func (sh *tailShard) outdate(tl *tail, e chat.Event) {
	for i := len(tl.items) - 1; i >= 0; i-- {
		if tl.items[i].shows == e.Target.ID {
			sh.drop(tl, i+1)
			return
		}
	}
}

// drop forgets the n oldest items. Readers may hold the old slice, so the rest
// moves to a new one.
func (sh *tailShard) drop(tl *tail, n int) {
	for _, it := range tl.items[:n] {
		tl.bytes -= it.size()
		sh.bytes -= it.size()
	}
	tl.items = append([]*item(nil), tl.items[n:]...)
}

// evict forgets the least recently used threads while the shard is over its share.
func (sh *tailShard) evict() {
	for sh.bytes > sh.limit && sh.recent.Len() > 1 {
		el := sh.recent.Back()
		tl := el.Value.(*tail)
		sh.bytes -= tl.bytes
		sh.recent.Remove(el)
		delete(sh.threads, tl.thread)
	}
}

package feed

import (
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/parleyhq/parley/chat"
)

// TailCache caches the newest events of the threads that are active on this node, so
// that an event is encoded once however many sessions read it. It holds no truth:
// whatever it lacks is read from the store.
//
// Invariant: a tail shows its messages as they are after its last event. The log
// may have gone on without the cache, so it gives nothing to a feed that knows of
// later events.
type TailCache struct {
	shards [32]tailShard
	// versions count what was rewritten, each for many threads. Whoever holds
	// items reads the version before it loads them, and gives none of them once the
	// version is another. So nobody has to find the feeds that hold items which are
	// out of date.
	versions [4096]atomic.Uint64
}

type tailShard struct {
	mu    sync.Mutex
	tails *simplelru.LRU[chat.ThreadID, *tail] // bounded by their bytes, not by its own size
	bytes int
	limit int
}

// tail is a contiguous run of one thread's newest events.
type tail struct {
	items []*Item
	bytes int
}

// Bounds of the cache.
const (
	tailBytes       = 64 << 20 // of all threads
	tailItems       = 512      // of one thread
	tailThreadBytes = 2 << 20
)

// NewTailCache makes an empty cache.
func NewTailCache() *TailCache {
	t := new(TailCache)
	for i := range t.shards {
		t.shards[i].tails, _ = simplelru.NewLRU[chat.ThreadID, *tail](math.MaxInt, nil) // fails for a size of 0 only
		t.shards[i].limit = tailBytes / len(t.shards)
	}
	return t
}

func (t *TailCache) shard(id chat.ThreadID) *tailShard {
	return &t.shards[binary.BigEndian.Uint16(id[14:])%uint16(len(t.shards))]
}

// version changes whenever items of the thread, loaded before, may be out of date.
func (t *TailCache) version(id chat.ThreadID) *atomic.Uint64 {
	return &t.versions[binary.BigEndian.Uint16(id[14:])%uint16(len(t.versions))]
}

// Outdate takes note of a committed event. If that changes what earlier events show,
// no feed gives an older state of them once Outdate has returned, not even one that
// has loaded them already.
func (t *TailCache) Outdate(e chat.Event) {
	if !rewrites(e) {
		return
	}
	sh := t.shard(e.Thread)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if tl, ok := sh.tails.Peek(e.Thread); ok {
		sh.outdate(tl, e)
	}
	t.version(e.Thread).Add(1)
}

// Clear forgets everything. It is called when events may have been missed.
func (t *TailCache) Clear() {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		sh.tails.Purge()
		sh.bytes = 0
		sh.mu.Unlock()
	}
	for i := range t.versions {
		t.versions[i].Add(1)
	}
}

// Forget forgets a thread whose log has gone on without the cache: any of its items may
// be out of date.
func (t *TailCache) Forget(id chat.ThreadID) {
	sh := t.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if tl, ok := sh.tails.Peek(id); ok {
		sh.bytes -= tl.bytes
		sh.tails.Remove(id)
	}
	t.version(id).Add(1)
}

// Add adds a committed event behind the thread's tail. One that does not follow
// starts the tail anew; one that is there already changes nothing. Items that show
// what the event changes are forgotten.
func (t *TailCache) Add(e chat.Event) {
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
		switch last := tl.items[n-1].Seq; {
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

// After gives cached events that follow seq without a gap, oldest first, to a feed
// that knows the log to reach the event known.
func (t *TailCache) After(id chat.ThreadID, seq, known chat.Seq) []*Item {
	sh := t.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	tl, ok := sh.tails.Peek(id)
	if !ok {
		return nil
	}
	items := tl.items
	if len(items) == 0 || items[0].Seq > seq+1 || items[len(items)-1].Seq < max(known, seq+1) {
		return nil
	}
	return items[seq+1-items[0].Seq:]
}

// use finds or makes a thread's tail and marks it as used.
func (sh *tailShard) use(id chat.ThreadID) *tail {
	tl, ok := sh.tails.Get(id)
	if !ok {
		tl = new(tail)
		sh.tails.Add(id, tl)
	}
	return tl
}

// outdate forgets all up to the last item that shows what e has changed: the run
// stays without a gap.
func (sh *tailShard) outdate(tl *tail, e chat.Event) {
	for i := len(tl.items) - 1; i >= 0; i-- {
		if tl.items[i].Shows == e.Target.ID {
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
	tl.items = append([]*Item(nil), tl.items[n:]...)
}

// evict forgets the least recently used threads while the shard is over its share.
func (sh *tailShard) evict() {
	for sh.bytes > sh.limit && sh.tails.Len() > 1 {
		_, tl, _ := sh.tails.RemoveOldest()
		sh.bytes -= tl.bytes
	}
}

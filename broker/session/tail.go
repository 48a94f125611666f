package session

import (
	"container/list"
	"encoding/binary"
	"sync"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// item is a log event as sessions need it: encoded, with what decides who gets
// it. Items are shared and never written again.
type item struct {
	seq     chat.Seq
	id      chat.EventID
	by      chat.UserID
	device  chat.DeviceID
	message bool
	removes chat.UserID // who is out of the thread from here on
	frame   contracts.Frame
}

func newItem(e chat.Event) *item {
	it := &item{
		seq: e.Seq, id: e.ID, by: e.By, device: e.Device,
		message: e.Kind == chat.KindMessage, frame: contracts.EventFrame(e),
	}
	if e.Kind == chat.KindThread && e.Change.Event == chat.ParticipantRemoved {
		it.removes = e.Change.User
	}
	return it
}

// itemOverhead is about what an item costs besides its frame.
const itemOverhead = 192

func (it *item) size() int { return len(it.frame) + itemOverhead }

// tails caches the newest events of the threads that are active on this node, so
// that an event is encoded once however many sessions read it. It holds no truth:
// whatever it lacks is read from the store.
type tails struct {
	shards [32]tailShard
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

// put adds a committed event behind the thread's tail. One that does not follow
// starts the tail anew; one that is there already changes nothing.
func (t *tails) put(e chat.Event) {
	sh := t.shard(e.Thread)
	it := newItem(e)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	tl := sh.use(e.Thread)
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

// after gives cached events that follow seq without a gap, oldest first.
func (t *tails) after(id chat.ThreadID, seq chat.Seq) []*item {
	sh := t.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	el, ok := sh.threads[id]
	if !ok {
		return nil
	}
	items := el.Value.(*tail).items
	if len(items) == 0 || items[0].seq > seq+1 || items[len(items)-1].seq <= seq {
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

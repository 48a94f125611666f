package chat

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// threadCache keeps the participants of active threads, and how high their marks are, so
// that acknowledging and reading need not load them from the store. The bus tells it what has
// changed, and it forgets that; when notices were lost, it forgets everything. A notice
// may also be lost unnoticed, and an append of unknown outcome publishes none: so no
// entry is used for longer than a few seconds.
type threadCache struct {
	store interface { // of which it loads
		Thread(ctx context.Context, id ThreadID) (Thread, error)
		Marks(ctx context.Context, thread ThreadID, users []UserID) ([]Marks, error)
		OwnState(ctx context.Context, user UserID, thread ThreadID) (OwnState, error)
	}
	now    func() time.Time
	shards [16]threadCacheShard
}

type threadCacheShard struct {
	mu      sync.Mutex
	threads *simplelru.LRU[ThreadID, *cachedThread]
	people  int // in all threads, as cachedThread.people counts them
	// changes counts what was forgotten. What was loaded from the store before such a
	// moment may be out of date, and is not kept.
	changes uint64
}

// cachedThread is what is kept of one thread.
type cachedThread struct {
	since        time.Time
	participants []Participant // nil: not loaded
	kind         ThreadType    // loaded with them
	marks        map[UserID]cachedMarks
	accepted     map[UserID]cachedAccept
}

// cachedMarks are the seqs of a user's marks as they were loaded. The delivered mark may be
// higher by now.
type cachedMarks struct{ delivered, read Seq }

// cachedAccept says whether a user has accepted the thread, in its stint from joined on.
type cachedAccept struct {
	joined Seq
	has    bool
}

func (c *cachedThread) people() int { return len(c.participants) + len(c.marks) + len(c.accepted) }

// Bounds of the cache: for how long an entry is used, and how many threads and people
// each shard keeps, which are 4,096 and 131,072 in all.
const (
	cachedFor     = 5 * time.Second
	cachedThreads = 256
	cachedPeople  = 8192
)

func newThreadCache(store Store, now func() time.Time) *threadCache {
	c := &threadCache{store: store, now: now}
	for i := range c.shards {
		sh := &c.shards[i]
		evicted := func(_ ThreadID, r *cachedThread) { sh.people -= r.people() }
		sh.threads, _ = simplelru.NewLRU(cachedThreads, evicted) // only fails for a size below 1
	}
	return c
}

func (c *threadCache) shard(id ThreadID) *threadCacheShard {
	return &c.shards[binary.BigEndian.Uint16(id[14:])%uint16(len(c.shards))]
}

// participants are the thread's present ones. The slice is shared: nobody writes into
// it. The error is the store's.
func (c *threadCache) participants(ctx context.Context, id ThreadID) ([]Participant, error) {
	t, err := c.thread(ctx, id)
	return t.Participants, err
}

// thread is a thread with no more than its id, type and participants; see participants.
func (c *threadCache) thread(ctx context.Context, id ThreadID) (Thread, error) {
	sh := c.shard(id)
	known := Thread{ID: id}
	changes := sh.look(id, c.now(), func(r *cachedThread) { known.Participants, known.Type = r.participants, r.kind })
	if known.Participants != nil {
		return known, nil
	}
	t, err := c.store.Thread(ctx, id)
	if err != nil {
		return Thread{}, err
	}
	sh.keep(id, c.now(), changes, func(r *cachedThread) { r.participants, r.kind = t.Participants, t.Type })
	return Thread{ID: id, Type: t.Type, Participants: t.Participants}, nil
}

// marks are the seqs of a user's marks in a thread. The error is the store's.
func (c *threadCache) marks(ctx context.Context, id ThreadID, user UserID) (cachedMarks, error) {
	sh := c.shard(id)
	var cached cachedMarks
	var known bool
	changes := sh.look(id, c.now(), func(r *cachedThread) { cached, known = r.marks[user] })
	if known {
		return cached, nil
	}
	marks, err := c.store.Marks(ctx, id, []UserID{user})
	if err != nil {
		return cachedMarks{}, err
	}
	cached = cachedMarks{marks[0].Delivered.Seq, marks[0].Read.Seq}
	sh.keep(id, c.now(), changes, func(r *cachedThread) {
		if r.marks == nil {
			r.marks = make(map[UserID]cachedMarks)
		}
		r.marks[user] = cached
	})
	return cached, nil
}

// delivered notes that a user's delivered mark has risen.
func (c *threadCache) delivered(id ThreadID, user UserID, seq Seq) {
	c.shard(id).look(id, c.now(), func(r *cachedThread) {
		if m, known := r.marks[user]; known {
			m.delivered = max(m.delivered, seq)
			r.marks[user] = m
		}
	})
}

// hasAccepted reports whether a user who is in the thread since the event joined has accepted
// it. What is kept of an earlier stint is not used, even if the notice of the new one was lost.
// The error is the store's; it is ErrNotFound for who is not in it.
func (c *threadCache) hasAccepted(ctx context.Context, id ThreadID, user UserID, joined Seq) (bool, error) {
	sh := c.shard(id)
	var cached cachedAccept
	changes := sh.look(id, c.now(), func(r *cachedThread) { cached = r.accepted[user] })
	if cached.joined == joined {
		return cached.has, nil
	}
	own, err := c.store.OwnState(ctx, user, id)
	if err != nil {
		return false, err
	}
	sh.keep(id, c.now(), changes, func(r *cachedThread) {
		if r.accepted == nil {
			r.accepted = make(map[UserID]cachedAccept)
		}
		r.accepted[user] = cachedAccept{own.Joined, own.Accepted}
	})
	return own.Accepted, nil
}

// look calls see with what is kept of a thread, if there is anything. It gives the
// count of changes at that moment, for keep.
func (sh *threadCacheShard) look(id ThreadID, now time.Time, see func(*cachedThread)) (changes uint64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if r, known := sh.threads.Get(id); known {
		if now.Sub(r.since) < cachedFor {
			see(r)
		} else {
			sh.threads.Remove(id)
		}
	}
	return sh.changes
}

// keep has note write down what was loaded from the store, unless something was
// forgotten since the given count of changes.
func (sh *threadCacheShard) keep(id ThreadID, now time.Time, changes uint64, note func(*cachedThread)) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.changes != changes {
		return
	}
	r, known := sh.threads.Get(id)
	if !known {
		r = &cachedThread{since: now}
		sh.threads.Add(id, r)
	}
	sh.people -= r.people()
	note(r)
	sh.people += r.people()
	for sh.people > cachedPeople && sh.threads.Len() > 1 {
		sh.threads.RemoveOldest()
	}
}

// HandleNotice implements [BusHandler].
func (c *threadCache) HandleNotice(n Notice) {
	switch {
	case n.Event != nil && n.Event.Kind == KindThread:
		c.forget(n.Event.Thread, func(r *cachedThread) { r.participants, r.accepted = nil, nil })
	case n.State != nil:
		c.forget(n.State.Thread, func(r *cachedThread) {
			for _, user := range n.Audience { // one, unless the notice is broken
				delete(r.accepted, user)
			}
		})
	case n.Receipt != nil && n.Receipt.Kind == Read:
		c.forget(n.Receipt.Thread, func(r *cachedThread) { delete(r.marks, n.Receipt.User) })
	case n.Wake != nil:
		c.forget(n.Wake.Thread, func(r *cachedThread) { r.participants, r.accepted = nil, nil })
	}
}

// Skip implements [Skipper]: nothing that may be skipped changes what is kept.
func (c *threadCache) Skip([]UserID, MessageID) bool { return true }

// HandleLoss implements [BusHandler].
func (c *threadCache) HandleLoss() {
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		sh.changes++
		sh.threads.Purge()
		sh.mu.Unlock()
	}
}

// forget drops something of a thread.
func (c *threadCache) forget(id ThreadID, drop func(*cachedThread)) {
	sh := c.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.changes++
	if r, known := sh.threads.Peek(id); known {
		sh.people -= r.people()
		drop(r)
		sh.people += r.people()
	}
}

package chat

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// memory is what a node remembers of the threads in which something goes on, so that
// an acknowledgement need not ask the store who is in its thread, and what its user
// has read. It holds no truth: the bus tells it what to forget, and when hints were
// lost, it forgets everything. As they may be lost without anybody's knowing, and an
// append whose outcome is unknown gives none, it believes nothing for long.
type memory struct {
	store  Store
	now    func() time.Time
	shards [16]memoryShard
}

type memoryShard struct {
	mu      sync.Mutex
	threads *simplelru.LRU[ThreadID, *remembered]
	people  int // in all threads: participants, and who is known to have read
	// changes counts what was forgotten. What was read from the store before one may
	// be out of date, and is not remembered.
	changes uint64
}

// remembered is what is known of one thread.
type remembered struct {
	since        time.Time
	participants []Participant  // nil: not known
	read         map[UserID]Seq // the read marks of whom they are known
}

func (r *remembered) people() int { return len(r.participants) + len(r.read) }

// Bounds of what is remembered: for how long, and of how many threads and people in
// each shard, which are 4,096 and 131,072 in all.
const (
	rememberedFor     = 5 * time.Second
	rememberedThreads = 256
	rememberedPeople  = 8192
)

func newMemory(store Store, now func() time.Time) *memory {
	m := &memory{store: store, now: now}
	for i := range m.shards {
		sh := &m.shards[i]
		forgotten := func(_ ThreadID, r *remembered) { sh.people -= r.people() }
		sh.threads, _ = simplelru.NewLRU(rememberedThreads, forgotten) // only fails for a size below 1
	}
	return m
}

func (m *memory) shard(id ThreadID) *memoryShard {
	return &m.shards[binary.BigEndian.Uint16(id[14:])%uint16(len(m.shards))]
}

// participants are those of a thread. The slice is shared: it is not written to. The
// error is the store's.
func (m *memory) participants(ctx context.Context, id ThreadID) ([]Participant, error) {
	sh := m.shard(id)
	var known []Participant
	changes := sh.recall(id, m.now(), func(r *remembered) { known = r.participants })
	if known != nil {
		return known, nil
	}
	t, err := m.store.Thread(ctx, id)
	if err != nil {
		return nil, err
	}
	sh.learn(id, m.now(), changes, func(r *remembered) { r.participants = t.Participants })
	return t.Participants, nil
}

// readMark is up to where a user has read a thread. The error is the store's.
func (m *memory) readMark(ctx context.Context, id ThreadID, user UserID) (Seq, error) {
	sh := m.shard(id)
	var read Seq
	var known bool
	changes := sh.recall(id, m.now(), func(r *remembered) { read, known = r.read[user] })
	if known {
		return read, nil
	}
	marks, err := m.store.Marks(ctx, id, []UserID{user})
	if err != nil {
		return 0, err
	}
	read = marks[0].Read.Seq
	sh.learn(id, m.now(), changes, func(r *remembered) {
		if r.read == nil {
			r.read = make(map[UserID]Seq)
		}
		r.read[user] = read
	})
	return read, nil
}

// recall looks at what is remembered of a thread, if there is anything. It gives the
// moment of it, for learn.
func (sh *memoryShard) recall(id ThreadID, now time.Time, look func(*remembered)) (changes uint64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if r, known := sh.threads.Get(id); known {
		if now.Sub(r.since) < rememberedFor {
			look(r)
		} else {
			sh.threads.Remove(id)
		}
	}
	return sh.changes
}

// learn remembers what was read from the store, unless something has changed since
// that moment.
func (sh *memoryShard) learn(id ThreadID, now time.Time, changes uint64, note func(*remembered)) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.changes != changes {
		return
	}
	r, known := sh.threads.Get(id)
	if !known {
		r = &remembered{since: now}
		sh.threads.Add(id, r)
	}
	sh.people -= r.people()
	note(r)
	sh.people += r.people()
	for sh.people > rememberedPeople && sh.threads.Len() > 1 {
		sh.threads.RemoveOldest()
	}
}

// HandleNotice implements [BusHandler].
func (m *memory) HandleNotice(n Notice) {
	switch {
	case n.Event != nil && n.Event.Kind == KindThread:
		m.forget(n.Event.Thread, func(r *remembered) { r.participants = nil })
	case n.Receipt != nil && n.Receipt.Kind == Read:
		m.forget(n.Receipt.Thread, func(r *remembered) { delete(r.read, n.Receipt.User) })
	}
}

// HandleLoss implements [BusHandler].
func (m *memory) HandleLoss() {
	for i := range m.shards {
		sh := &m.shards[i]
		sh.mu.Lock()
		sh.changes++
		sh.threads.Purge()
		sh.mu.Unlock()
	}
}

// forget forgets something of a thread.
func (m *memory) forget(id ThreadID, what func(*remembered)) {
	sh := m.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.changes++
	if r, known := sh.threads.Peek(id); known {
		sh.people -= r.people()
		what(r)
		sh.people += r.people()
	}
}

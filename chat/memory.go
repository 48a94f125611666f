package chat

import (
	"context"
	"encoding/binary"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// memory is what a node remembers of the threads in which something goes on, so that
// an acknowledgement need not ask the store who is in its thread, and what its user
// had before. It holds no truth: the bus tells it what to forget, and when it may have
// missed that, it forgets everything.
type memory struct {
	store  Store
	shards [16]memoryShard
}

type memoryShard struct {
	mu      sync.Mutex
	threads *simplelru.LRU[ThreadID, *remembered]
	// changes counts what was forgotten. What was read from the store before one may
	// be out of date, and is not remembered.
	changes uint64
}

// remembered is what is known of one thread.
type remembered struct {
	people *Thread        // all of it but the Head; nil: not known
	read   map[UserID]Seq // the read marks of whom they are known
}

// rememberedThreads is of how many threads a shard knows something.
const rememberedThreads = 256

func newMemory(store Store) *memory {
	m := &memory{store: store}
	for i := range m.shards {
		m.shards[i].threads, _ = simplelru.NewLRU[ThreadID, *remembered](rememberedThreads, nil) // only fails for a size below 1
	}
	return m
}

func (m *memory) shard(id ThreadID) *memoryShard {
	return &m.shards[binary.BigEndian.Uint16(id[14:])%uint16(len(m.shards))]
}

// people is a thread, but for its Head, which is that of some earlier time. Its error
// is the store's.
func (m *memory) people(ctx context.Context, id ThreadID) (Thread, error) {
	sh := m.shard(id)
	r, changes := sh.look(id)
	if r.people != nil {
		return *r.people, nil
	}
	t, err := m.store.Thread(ctx, id)
	if err != nil {
		return Thread{}, err
	}
	sh.learn(id, changes, func(r *remembered) { r.people = &t })
	return t, nil
}

// readMark is up to where a user has read a thread. Its error is the store's.
func (m *memory) readMark(ctx context.Context, id ThreadID, user UserID) (Seq, error) {
	sh := m.shard(id)
	sh.mu.Lock()
	if r, known := sh.threads.Get(id); known {
		if read, known := r.read[user]; known {
			sh.mu.Unlock()
			return read, nil
		}
	}
	changes := sh.changes
	sh.mu.Unlock()
	marks, err := m.store.Marks(ctx, id, []UserID{user})
	if err != nil {
		return 0, err
	}
	read := marks[0].Read.Seq
	sh.learn(id, changes, func(r *remembered) {
		if r.read == nil {
			r.read = make(map[UserID]Seq)
		}
		r.read[user] = read
	})
	return read, nil
}

// look gives what is remembered of a thread, and the moment for learn.
func (sh *memoryShard) look(id ThreadID) (r remembered, changes uint64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if known, found := sh.threads.Get(id); found {
		r = *known
	}
	return r, sh.changes
}

// learn remembers what was read from the store, unless something has changed since
// that moment.
func (sh *memoryShard) learn(id ThreadID, changes uint64, note func(*remembered)) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.changes != changes {
		return
	}
	r, found := sh.threads.Get(id)
	if !found {
		r = new(remembered)
		sh.threads.Add(id, r)
	}
	note(r)
}

// HandleNotice implements [BusHandler].
func (m *memory) HandleNotice(n Notice) {
	switch {
	case n.Event != nil && n.Event.Kind == KindThread:
		m.forget(n.Event.Thread, func(r *remembered) { r.people = nil })
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
		what(r)
	}
}

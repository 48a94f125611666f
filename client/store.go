package client

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/parleyhq/parley/contracts"
)

// Outgoing is a message on its way out.
type Outgoing struct {
	N        uint64             `json:"n"` // counts the messages of this device
	ThreadID string             `json:"thread_id"`
	Key      string             `json:"key"` // the Idempotency-Key of every try
	Body     SendBody           `json:"body"`
	QueuedAt time.Time          `json:"queued_at"`
	Problem  *contracts.Problem `json:"problem,omitempty"` // why it can never be sent as it is
}

// State is what a Store holds.
type State struct {
	StoreID   string            // of the server, which the positions belong to; "" if none is known
	Positions map[string]uint64 // by thread, the seq of the newest event that was taken
	Outgoing  []Outgoing        // by N
}

// Store keeps what a client must not lose, for one user on one device. A Client makes one call
// at a time. A method that returns nil has made the change; after an error it may or may not
// have. The client repeats a SavePosition that failed, and PutOutgoing of the same N replaces.
type Store interface {
	Load(ctx context.Context) (State, error)
	// SavePosition keeps how far the owner has taken a thread's events. It may be lost with the
	// machine: then events come again.
	SavePosition(ctx context.Context, thread string, seq uint64) error
	// PutOutgoing keeps a message. It must survive a loss of power.
	PutOutgoing(ctx context.Context, item Outgoing) error
	DropOutgoing(ctx context.Context, n uint64) error
	// Reset forgets all positions, and keeps the id of the server's store that new ones will be of.
	Reset(ctx context.Context, storeID string) error
}

// oneAtATime keeps the promise of Store: the outbox and the log change it at the same time.
type oneAtATime struct {
	mu    sync.Mutex
	store Store
}

func (s *oneAtATime) Load(ctx context.Context) (State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.Load(ctx)
}

func (s *oneAtATime) SavePosition(ctx context.Context, thread string, seq uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.SavePosition(ctx, thread, seq)
}

func (s *oneAtATime) PutOutgoing(ctx context.Context, item Outgoing) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.PutOutgoing(ctx, item)
}

func (s *oneAtATime) DropOutgoing(ctx context.Context, n uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.DropOutgoing(ctx, n)
}

func (s *oneAtATime) Reset(ctx context.Context, storeID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.Reset(ctx, storeID)
}

// MemoryStore keeps everything in memory.
type MemoryStore struct {
	mu        sync.Mutex
	storeID   string
	positions map[string]uint64
	outgoing  map[uint64]Outgoing
}

// NewMemoryStore makes an empty one. Its device starts anew with each process: give it a device
// id of its own, or a [FileStore].
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{positions: make(map[string]uint64), outgoing: make(map[uint64]Outgoing)}
}

// Load implements Store.
func (m *MemoryStore) Load(context.Context) (State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := State{StoreID: m.storeID, Positions: maps.Clone(m.positions)}
	for _, n := range slices.Sorted(maps.Keys(m.outgoing)) {
		s.Outgoing = append(s.Outgoing, m.outgoing[n])
	}
	return s, nil
}

// SavePosition implements Store.
func (m *MemoryStore) SavePosition(_ context.Context, thread string, seq uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.positions[thread] = seq
	return nil
}

// PutOutgoing implements Store.
func (m *MemoryStore) PutOutgoing(_ context.Context, item Outgoing) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.outgoing[item.N] = item
	return nil
}

// DropOutgoing implements Store.
func (m *MemoryStore) DropOutgoing(_ context.Context, n uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.outgoing, n)
	return nil
}

// Reset implements Store.
func (m *MemoryStore) Reset(_ context.Context, storeID string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.storeID = storeID
	clear(m.positions)
	return nil
}

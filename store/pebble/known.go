package pebble

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/parleyhq/parley/chat"
)

// How much is remembered: some 5 MB of each.
const (
	knownClients = 1 << 15
	knownUsers   = 1 << 15
)

// known remembers what spares a send its looks for what is not there. It is never
// wrong: of what it knows, nothing is written without telling it first, or before
// anybody is told that it was. Safe for concurrent use.
type known struct {
	// newestDay is at or above the days of all idempotency keys.
	newestDay atomic.Int64

	// clientSeqs are at or above the client_seq of all messages of a device in a
	// thread. Only who holds the thread's lock puts one in or raises it.
	clientSeqs *lru.Cache[client, int64]

	// unblocking are users who block nobody. blocks, which mu guards, rises with
	// every new block: what was read before says nothing after.
	unblocking *lru.Cache[chat.UserID, struct{}]
	mu         sync.Mutex
	blocks     uint64
}

// client is a device in a thread, which counts its messages there by client_seq.
type client struct {
	thread chat.ThreadID
	user   chat.UserID
	device chat.DeviceID
}

func newKnown() *known {
	clientSeqs, _ := lru.New[client, int64](knownClients) // only fails for a size below 1
	unblocking, _ := lru.New[chat.UserID, struct{}](knownUsers)
	return &known{clientSeqs: clientSeqs, unblocking: unblocking}
}

// begin looks what there is in a store that is opened.
func (k *known) begin(v *view) error {
	k.newestDay.Store(-1)
	return v.scan(context.Background(), within([]byte{prefixIdempotency}), true, func(key, _ []byte) (bool, error) {
		k.newestDay.Store(int64(binary.BigEndian.Uint32(key[1:])))
		return false, nil
	})
}

// usesDay is told before an idempotency key of that day is written.
func (k *known) usesDay(d day) {
	for {
		newest := k.newestDay.Load()
		if int64(d) <= newest || k.newestDay.CompareAndSwap(newest, int64(d)) {
			return
		}
	}
}

// highestClientSeq is at or above all that a client has used in v; -1 for none. The
// caller holds the thread's lock, since before it took the view.
func (k *known) highestClientSeq(ctx context.Context, v *view, c client) (int64, error) {
	if highest, found := k.clientSeqs.Get(c); found {
		return highest, nil
	}
	highest := int64(-1)
	of := clientSeqsPrefix(c.thread, c.user, c.device)
	err := v.scan(ctx, within(of), true, func(key, _ []byte) (bool, error) {
		highest = int64(binary.BigEndian.Uint64(key[len(of):]))
		return false, nil
	})
	if err == nil {
		k.clientSeqs.Add(c, highest)
	}
	return highest, err
}

// usesClientSeq is told before a message with that client_seq is written, by who holds
// the thread's lock. Of a client that was forgotten meanwhile nothing is known.
func (k *known) usesClientSeq(c client, n int64) {
	if highest, found := k.clientSeqs.Peek(c); found && highest < n {
		k.clientSeqs.Add(c, n)
	}
}

// blocksNobody reports whether a user is known to block nobody. If not, seen is to be
// told whether it turned out that they do not; what was read before asking counts for
// nothing.
func (k *known) blocksNobody(user chat.UserID) (is bool, seen func()) {
	if k.unblocking.Contains(user) {
		return true, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	asked := k.blocks
	return false, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.blocks == asked {
			k.unblocking.Add(user, struct{}{})
		}
	}
}

// blocked is told of a new block once it may be seen, before anybody is told of it.
func (k *known) blocked(user chat.UserID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.blocks++
	k.unblocking.Remove(user)
}

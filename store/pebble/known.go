package pebble

import (
	"context"
	"encoding/binary"
	"strings"
	"sync"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/parleyhq/parley/chat"
)

// How much is remembered: 5 to 10 MB of each.
const (
	knownClients = 1 << 15
	knownUsers   = 1 << 15
)

// known remembers what spares a send its looks for what is not there. What it says
// holds: nothing is written without telling it first, or before anybody is told that
// it was. Safe for concurrent use.
type known struct {
	// newestDay is at or above the days of all idempotency keys.
	newestDay atomic.Int64

	// clientSeqs are at or above the client_seq of all messages of a device in a
	// thread. Only who holds the thread's lock puts one in or raises it.
	clientSeqs *lru.Cache[client, int64]

	// blockers tells of users whether they may block anybody. blocks, which mu guards,
	// rises with every new block: that there was none before says nothing after.
	blockers *lru.Cache[chat.UserID, bool]
	mu       sync.Mutex
	blocks   uint64
}

// client is a device in a thread, which counts its messages there by client_seq.
type client struct {
	thread chat.ThreadID
	user   chat.UserID
	device chat.DeviceID
}

func newKnown() *known {
	clientSeqs, _ := lru.New[client, int64](knownClients) // only fails for a size below 1
	blockers, _ := lru.New[chat.UserID, bool](knownUsers)
	return &known{clientSeqs: clientSeqs, blockers: blockers}
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

// highestClientSeq is at or above all that a client has used in v, and above or at
// gathered, what it uses in the batch that is being made; -1 for none. The caller holds
// the thread's lock, since before it took the view.
func (k *known) highestClientSeq(ctx context.Context, v *view, c client, gathered int64) (int64, error) {
	if highest, found := k.clientSeqs.Get(c); found {
		return highest, nil
	}
	highest := gathered
	of := clientSeqsPrefix(c.thread, c.user, c.device)
	err := v.scan(ctx, within(of), true, func(key, _ []byte) (bool, error) {
		highest = max(highest, int64(binary.BigEndian.Uint64(key[len(of):])))
		return false, nil
	})
	if err == nil {
		// Cloned, as names are parts of whole records.
		c.user, c.device = chat.UserID(strings.Clone(string(c.user))), chat.DeviceID(strings.Clone(string(c.device)))
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

// mayBlock tells whether a user may block anybody, if that is known. If not, saw is to
// be told what turns out; what was read before asking counts for nothing.
func (k *known) mayBlock(user chat.UserID) (may, known bool, saw func(somebody bool)) {
	if may, known := k.blockers.Get(user); known {
		return may, true, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	asked := k.blocks
	return true, false, func(somebody bool) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if somebody || k.blocks == asked {
			k.blockers.Add(chat.UserID(strings.Clone(string(user))), somebody)
		}
	}
}

// blocked is told of a new block before it may be seen, and again before anybody is
// told of it.
func (k *known) blocked(user chat.UserID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.blocks++
	if _, found := k.blockers.Peek(user); found {
		k.blockers.Add(user, true)
	}
}

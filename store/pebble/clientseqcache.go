package pebble

import (
	"context"
	"encoding/binary"
	"strings"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/parleyhq/parley/chat"
)

// cachedClients bounds the clientSeqCache: 5 to 10 MB.
const cachedClients = 1 << 15

// client is a device in a thread, which counts its messages there by client_seq.
type client struct {
	thread chat.ThreadID
	user   chat.UserID
	device chat.DeviceID
}

func clientOf(e chat.Event) client { return client{e.Thread, e.By, e.Device} }

// clientSeqCache holds, for the clients that sent lately, a number that none of the
// client_seqs they have used exceeds. A message with a higher one is no duplicate by
// client_seq: its send need not look for one. Whoever holds a thread's lock, and
// nobody else, adds the thread's clients and raises their numbers.
type clientSeqCache struct {
	mu      sync.Mutex
	highest *simplelru.LRU[client, int64]
}

func newClientSeqCache() *clientSeqCache {
	highest, _ := simplelru.NewLRU[client, int64](cachedClients, nil) // only fails for a size below 1
	return &clientSeqCache{highest: highest}
}

// get is a number that no client_seq of c exceeds, neither those stored in v nor
// gathered, the highest in the batch that is being made; -1 for none. The caller holds
// the thread's lock, and has since before v.
func (k *clientSeqCache) get(ctx context.Context, v *view, c client, gathered int64) (int64, error) {
	k.mu.Lock()
	highest, found := k.highest.Get(c)
	k.mu.Unlock()
	if found {
		return highest, nil
	}
	highest = gathered
	of := clientSeqsPrefix(c.thread, c.user, c.device)
	err := v.scan(ctx, within(of), true, func(key, _ []byte) (bool, error) {
		highest = max(highest, int64(binary.BigEndian.Uint64(key[len(of):])))
		return false, nil
	})
	if err == nil {
		// Cloned: the names are slices of whole records.
		c.user, c.device = chat.UserID(strings.Clone(string(c.user))), chat.DeviceID(strings.Clone(string(c.device)))
		k.mu.Lock()
		k.highest.Add(c, highest)
		k.mu.Unlock()
	}
	return highest, err
}

// raise is called before a message with client_seq n is written, by the holder of the
// thread's lock. A client that is not in the cache stays out of it.
func (k *clientSeqCache) raise(c client, n int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if highest, found := k.highest.Peek(c); found && highest < n {
		k.highest.Add(c, n)
	}
}

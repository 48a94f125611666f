package pebble

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/parleyhq/parley/chat"
)

// cachedHeads bounds the headCache: 5 MB.
const cachedHeads = 1 << 15

// headCache holds the stored heads of the threads that were written to lately, so that an
// append need not read one. Whoever holds a thread's lock, and nobody else, reads and
// changes the thread's.
type headCache struct {
	mu    sync.Mutex
	heads *simplelru.LRU[chat.ThreadID, headRecord]
}

func newHeadCache() *headCache {
	heads, _ := simplelru.NewLRU[chat.ThreadID, headRecord](cachedHeads, nil) // only fails for a size below 1
	return &headCache{heads: heads}
}

// get is the head of a thread. The caller holds the thread's lock, and has since before v.
func (k *headCache) get(v *view, thread chat.ThreadID) (headRecord, error) {
	k.mu.Lock()
	head, found := k.heads.Get(thread)
	k.mu.Unlock()
	if found {
		return head, nil
	}
	return v.head(thread)
}

// put is called with what was committed.
func (k *headCache) put(thread chat.ThreadID, head headRecord) {
	k.mu.Lock()
	k.heads.Add(thread, head)
	k.mu.Unlock()
}

package pebble

import (
	"strings"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/parleyhq/parley/chat"
)

// cachedBlockers bounds the blockerCache: 5 to 10 MB.
const cachedBlockers = 1 << 15

// blockerCache says of users whether they block anybody, so that a send to somebody
// who blocks nobody need not look for a block. It is true for "maybe": a user who has
// deleted the last block may stay in it.
type blockerCache struct {
	mu       sync.Mutex
	blockers *simplelru.LRU[chat.UserID, bool]
	blocks   uint64 // how many blocks were put; what was read before one may be out of date
}

func newBlockerCache() *blockerCache {
	blockers, _ := simplelru.NewLRU[chat.UserID, bool](cachedBlockers, nil) // only fails for a size below 1
	return &blockerCache{blockers: blockers}
}

// get says whether a user may block anybody, if the cache knows. If it does not, the
// caller reads the store, after this call, and hands what it finds to add.
func (k *blockerCache) get(user chat.UserID) (may, known bool, add func(somebody bool)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if may, known := k.blockers.Get(user); known {
		return may, true, nil
	}
	asked := k.blocks
	return true, false, func(somebody bool) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if somebody || k.blocks == asked {
			k.blockers.Add(chat.UserID(strings.Clone(string(user))), somebody)
		}
	}
}

// blocked is called before a new block of the user can be read, and again before its
// PutBlock returns.
func (k *blockerCache) blocked(user chat.UserID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.blocks++
	if _, found := k.blockers.Peek(user); found {
		k.blockers.Add(user, true)
	}
}

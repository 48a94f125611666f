package mongo

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/parleyhq/parley/chat"
)

// cachedThreads is how many threads the cache holds.
const cachedThreads = 1 << 14

// threadCache holds, for the threads used lately, what stays true whatever other
// nodes do: the head that a log had when it ended at a seq, and up to which seq the
// changes of a thread are settled (settle.go). It saves reads and decides nothing.
type threadCache struct {
	mu      sync.Mutex
	heads   *simplelru.LRU[chat.ThreadID, headState]
	settled *simplelru.LRU[chat.ThreadID, settledSeq]
	added   uint64 // how many entries of settled were ever added
}

// settledSeq says that a thread's changes up to seq are settled.
type settledSeq struct {
	seq    chat.Seq
	number uint64 // of the entry, counted by threadCache.added
}

func newThreadCache() *threadCache {
	heads, _ := simplelru.NewLRU[chat.ThreadID, headState](cachedThreads, nil) // only fails for a size below 1
	settled, _ := simplelru.NewLRU[chat.ThreadID, settledSeq](cachedThreads, nil)
	return &threadCache{heads: heads, settled: settled}
}

// head is the head that the log had when it ended at seq.
func (k *threadCache) head(thread chat.ThreadID, seq chat.Seq) (headState, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h, found := k.heads.Get(thread)
	return h, found && h.Seq == seq
}

func (k *threadCache) addHead(thread chat.ThreadID, h headState) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.heads.Add(thread, h)
}

// moment is now, for a later isSettledSince.
func (k *threadCache) moment() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.added
}

// isSettled reports whether the cache knows that the changes up to seq are settled.
func (k *threadCache) isSettled(thread chat.ThreadID, seq chat.Seq) bool {
	return k.isSettledSince(thread, seq, ^uint64(0))
}

// isSettledSince reports whether the cache knew that at the given moment.
func (k *threadCache) isSettledSince(thread chat.ThreadID, seq chat.Seq, moment uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, found := k.settled.Get(thread)
	return found && at.seq >= seq && at.number <= moment
}

// addSettled is told that the changes of a thread up to seq are settled.
func (k *threadCache) addSettled(thread chat.ThreadID, seq chat.Seq) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if at, found := k.settled.Get(thread); found && at.seq >= seq {
		return
	}
	k.added++
	k.settled.Add(thread, settledSeq{seq: seq, number: k.added})
}

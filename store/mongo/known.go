package mongo

import (
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/parleyhq/parley/chat"
)

// knownThreads is how many threads are remembered.
const knownThreads = 1 << 14

// known remembers of the threads lately used what cannot become wrong: the head
// that a log had at a seq, and up to where a thread's changes are done. It saves
// reads and decides nothing. Safe for concurrent use.
type known struct {
	heads *lru.Cache[chat.ThreadID, headState]

	mu      sync.Mutex
	settled *lru.Cache[chat.ThreadID, settledAt]
	tick    uint64 // rises with every entry
}

// settledAt is that the changes up to Seq are done, and since when that is known.
type settledAt struct {
	seq  chat.Seq
	tick uint64
}

func newKnown() *known {
	heads, _ := lru.New[chat.ThreadID, headState](knownThreads) // only fails for a size below 1
	settled, _ := lru.New[chat.ThreadID, settledAt](knownThreads)
	return &known{heads: heads, settled: settled}
}

// head is the head the log had when its end was seq.
func (k *known) head(thread chat.ThreadID, seq chat.Seq) (headState, bool) {
	h, found := k.heads.Get(thread)
	return h, found && h.Seq == seq
}

func (k *known) sawHead(thread chat.ThreadID, h headState) { k.heads.Add(thread, h) }

// now is a moment to ask of with settledBefore.
func (k *known) now() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.tick
}

// isSettled reports whether the changes up to seq are done.
func (k *known) isSettled(thread chat.ThreadID, seq chat.Seq) bool {
	return k.settledBefore(thread, seq, ^uint64(0))
}

// settledBefore reports whether that was known at a moment already.
func (k *known) settledBefore(thread chat.ThreadID, seq chat.Seq, moment uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, found := k.settled.Get(thread)
	return found && at.seq >= seq && at.tick <= moment
}

func (k *known) sawSettled(thread chat.ThreadID, seq chat.Seq) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if at, found := k.settled.Get(thread); found && at.seq >= seq {
		return
	}
	k.tick++
	k.settled.Add(thread, settledAt{seq: seq, tick: k.tick})
}

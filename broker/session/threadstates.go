package session

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// toldStates keeps which revision of a user's own state of a thread this node has heard of
// last. Two nodes may change the same state at once, and their notices come in any order: by
// the revision, which the store counts, an older one is told from the newest.
type toldStates struct {
	// mu is held until a state is with the sessions, so that none overtakes another.
	mu   sync.Mutex
	last *simplelru.LRU[stateKey, uint64]
}

type stateKey struct {
	user   chat.UserID
	thread chat.ThreadID
}

// maxToldStates is for how many states the revision is kept: it matters for as long as notices
// of different nodes may be apart.
const maxToldStates = 1 << 14

func newToldStates() *toldStates {
	last, _ := simplelru.NewLRU[stateKey, uint64](maxToldStates, nil) // only fails for a size below 1
	return &toldStates{last: last}
}

// isNews reports whether a state is newer than what was heard of, and notes it. It is called
// with mu held.
func (t *toldStates) isNews(k stateKey, revision uint64) bool {
	if revision == 0 { // of an earlier build
		return true
	}
	if last, heard := t.last.Get(k); heard && last >= revision {
		return false
	}
	t.last.Add(k, revision)
	return true
}

// handleThreadState tells all devices of a user what it keeps of a thread, unless they were
// told of that or of something newer. It is noted where the user is not connected, too: a
// device that connects next has read that from the store.
func (r *Registry) handleThreadState(audience []chat.UserID, st chat.ThreadState) {
	r.states.mu.Lock()
	defer r.states.mu.Unlock()
	for _, user := range audience {
		if !r.states.isNews(stateKey{user, st.Thread}, st.Revision) {
			continue
		}
		sessions := r.of(user)
		if len(sessions) == 0 {
			continue
		}
		frame := contracts.ThreadStateFrame(st)
		for _, s := range sessions {
			s.tellState("thread "+st.Thread.String(), frame)
		}
	}
}

package session

import (
	"github.com/parleyhq/parley/chat"
)

// takenOver ends the session: the device has connected again. It ends now, not when its client
// has hung up: the new session waits for it.
func (s *Session) takenOver() {
	s.Close(TakenOver)
	s.End()
}

// yield ends an older connection of a device that has connected to another node.
func (r *Registry) yield(to chat.Connection) {
	for _, s := range r.of(to.User) {
		if s.device == to.Device && s.conn < to.Conn {
			s.takenOver()
		}
	}
}

// awaited is a connection to another node: a session of its device waits until what was
// acknowledged there is stored.
type awaited struct {
	conn chat.Conn
	left chan struct{} // closed when it is
}

// await is called with mu held.
func (sh *userShard) await(s *Session, older chat.Conn) *awaited {
	a := &awaited{conn: older, left: make(chan struct{})}
	sh.awaited[keptKey{s.user, s.device}] = a
	return a
}

func (sh *userShard) stopAwaiting(s *Session) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if key := (keptKey{s.user, s.device}); sh.awaited[key] == s.await {
		delete(sh.awaited, key)
	}
}

// left notes that a connection to another node has left, and stored what was acknowledged.
func (sh *userShard) left(c chat.Connection) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	key := keptKey{c.User, c.Device}
	if a := sh.awaited[key]; a != nil && c.Conn >= a.conn {
		close(a.left)
		delete(sh.awaited, key)
	}
}

// elsewhere looks for connections of the session's device to other nodes: it gives the
// highest number below its own, and whether one is above.
func (r *Registry) elsewhere(s *Session) (older chat.Conn, newer bool) {
	for _, c := range r.presence.Elsewhere(s.user) {
		switch {
		case c.Device != s.device:
		case c.Conn > s.conn:
			newer = true
		default:
			older = max(older, c.Conn)
		}
	}
	return older, newer
}

// inherit takes on the subscriptions of the connection that the session takes over, or
// those that the store has.
func (s *Session) inherit(filters []subscription, found bool) bool {
	if s.prev != nil && !s.prev.params.SubscribesAll {
		s.prev.mu.Lock()
		filters, found = s.prev.declared.share().filters, s.prev.params.KeepFor > 0 // a clean session ends with its connection
		s.keeping.stored = s.keeping.stored || s.prev.keeping.stored
		s.prev.mu.Unlock()
	}
	if s.params.CleanStart || !found {
		return false
	}
	s.declared = interest{everything: s.declared.everything, filters: filters}
	for _, sub := range filters {
		askPresence(&s.greeting, sub.filter)
	}
	return true
}

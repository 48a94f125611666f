package session

import (
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// ephemeralQueue holds typing, presence and signal frames that a session has still to be
// told of. A newer one about the same typing or presence replaces the older.
type ephemeralQueue struct {
	index   map[ephemeralKey]int
	waiting []ephemeral
	signals int // bytes of those that wait
}

// ephemeralKey says what a frame is about: a user's presence, or its typing or signal in a
// thread.
type ephemeralKey struct {
	topic contracts.Topic
	user  chat.UserID
}

type ephemeral struct {
	ephemeralKey

	frame contracts.Frame
	at    time.Time
}

// maxEphemera bounds how many wait. Beyond it new ones are dropped: nothing of them
// is promised.
const maxEphemera = 1024

func (q *ephemeralQueue) put(e ephemeral) {
	if e.topic.Kind == contracts.TopicThreadSignal {
		if len(q.waiting) < maxEphemera && q.signals+len(e.frame) <= maxSignalsBytes {
			q.waiting = append(q.waiting, e)
			q.signals += len(e.frame)
		}
		return
	}
	if i, waits := q.index[e.ephemeralKey]; waits {
		q.waiting[i] = e
		return
	}
	if len(q.waiting) >= maxEphemera {
		return
	}
	if q.index == nil {
		q.index = make(map[ephemeralKey]int)
	}
	q.index[e.ephemeralKey] = len(q.waiting)
	q.waiting = append(q.waiting, e)
}

// drain empties the queue.
func (q *ephemeralQueue) drain() []ephemeral {
	drained := q.waiting
	*q = ephemeralQueue{}
	return drained
}

// handleTyping leaves a typing frame with the sessions of the others.
func (r *Registry) handleTyping(audience []chat.UserID, t chat.Typing) {
	e := ephemeral{
		ephemeralKey: ephemeralKey{contracts.Topic{Kind: contracts.TopicThreadTyping, Thread: t.Thread}, t.User},
		frame:        contracts.TypingFrame(t), at: r.now(),
	}
	for _, user := range audience {
		for _, s := range r.of(user) {
			s.hint(e, nil)
		}
	}
}

// handlePresence leaves a presence frame with the sessions of the audience.
func (r *Registry) handlePresence(audience []chat.UserID, p chat.Presence) {
	if p.Again && !r.presence.Online(p.User) || !p.Again && !r.presence.Heard(p) {
		return
	}
	var e ephemeral
	for _, user := range audience {
		for _, s := range r.of(user) {
			if e.frame == nil {
				e = presenceOf(p, r.now())
			}
			s.hint(e, func() bool {
				s.greeting.Announced(p.User)
				return true
			})
		}
	}
}

func presenceOf(p chat.Presence, at time.Time) ephemeral {
	return ephemeral{
		ephemeralKey: ephemeralKey{contracts.Topic{Kind: contracts.TopicPresence, User: p.User}, p.User},
		frame:        contracts.PresenceFrame(p), at: at,
	}
}

// hint queues a frame that may be lost, if the client wants it and, for a frame that it
// wants, also is nil or says so. That is called with mu held.
func (s *Session) hint(e ephemeral, also func() bool) {
	s.mu.Lock()
	wanted := !s.ended && s.interest.ephemeral(e.topic) && (also == nil || also())
	if wanted {
		s.inbox.ephemera.put(e)
	}
	s.mu.Unlock()
	if wanted {
		s.params.Transport.Wake()
	}
}

// ephemeral tells whether a typing, presence or signal topic is wanted.
func (i *interest) ephemeral(topic contracts.Topic) bool {
	switch topic.Kind {
	case contracts.TopicPresence:
		return i.presence(topic.User)
	case contracts.TopicThreadSignal:
		return i.signal(topic.Thread, topic.Name)
	default:
		return i.typing(topic.Thread)
	}
}

// holdsEphemera reports whether typing and presence frames wait: a JSON client gets its
// replay first. The connection's writer calls it.
func (s *Session) holdsEphemera() bool {
	return s.params.SubscribesAll && s.feed.CatchingUp()
}

// sendEphemera sends the waiting frames but for stale typing. It gives back those that
// the batch had no room for.
func (s *Session) sendEphemera(b Batch, waiting []ephemeral) []ephemeral {
	for len(waiting) > 0 && b.Room() {
		e := waiting[0]
		waiting = waiting[1:]
		stale := e.topic.Kind == contracts.TopicThreadTyping && s.reg.now().Sub(e.at) >= contracts.TypingTTL
		if !stale && s.out.interest.ephemeral(e.topic) {
			s.putUnacknowledged(b, e.frame, e.topic)
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	return waiting
}

package session

// Reply answers one publish of an MQTT client on the topic that it named for that
// (docs/contract.md#mqtt). It is no frame: it has no number and nobody
// acknowledges it.
type Reply struct {
	Topic       string
	Correlation []byte // as the client sent it; nil is none
	ContentType string
	Payload     []byte
}

func (r *Reply) size() int { return len(r.Topic) + len(r.Correlation) + len(r.Payload) }

// replyQueue holds replies that the connection has not drained yet.
type replyQueue struct {
	waiting []*Reply
	bytes   int
}

// maxReplyBytes bounds the replies that wait for a client that publishes and does
// not read. Beyond it new ones are dropped: a retry with the same key is answered again.
const maxReplyBytes = 1 << 20

func (q *replyQueue) put(r *Reply) bool {
	if len(q.waiting) > 0 && q.bytes+r.size() > maxReplyBytes {
		return false
	}
	q.waiting = append(q.waiting, r)
	q.bytes += r.size()
	return true
}

// drain empties the queue.
func (q *replyQueue) drain() []*Reply {
	drained := q.waiting
	*q = replyQueue{}
	return drained
}

// Reply has a reply published to the client, if it has subscribed its topic.
func (s *Session) Reply(r *Reply) {
	s.mu.Lock()
	wanted := !s.ended && s.interest.reply(r.Topic)
	if wanted && !s.inbox.replies.put(r) {
		s.reg.stats.RepliesDropped.Add(1)
	}
	s.mu.Unlock()
	if wanted {
		s.params.Transport.Wake()
	}
}

// sendReplies gives back what the batch had no room for.
func (s *Session) sendReplies(b Batch, replies []*Reply) []*Reply {
	for len(replies) > 0 && b.Room() {
		b.Put(Delivery{Reply: replies[0]})
		replies = replies[1:]
	}
	if len(replies) == 0 {
		return nil
	}
	return replies
}

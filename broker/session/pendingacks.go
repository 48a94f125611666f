package session

import (
	"cmp"
	"maps"
	"slices"

	"github.com/parleyhq/parley/chat"
)

// stint is one stint of the user in a thread. Each has a receipt of its own: what was
// received in a later stint says nothing about an earlier one.
type stint struct {
	thread chat.ThreadID
	joined chat.Seq
}

// pendingAcks are the receipts that are not stored yet, one for each stint. The zero
// value has none.
type pendingAcks struct {
	stints map[stint]*pendingAck
	last   *pendingAck // most acknowledgements are of the same stint as the one before
}

// pendingAck is the receipt of a stint.
type pendingAck struct {
	chat.Ack
	in     stint
	places map[chat.UserID]int // where in Senders somebody is, once they are many
}

// manySenders is from where on a search through them takes longer than a map's.
const manySenders = 8

func (p *pendingAcks) empty() bool { return len(p.stints) == 0 }

// drain gives all, and has none then.
func (p *pendingAcks) drain() pendingAcks {
	drained := *p
	*p = pendingAcks{}
	return drained
}

// of finds or makes the receipt of a stint; from is the first event of a new one.
func (p *pendingAcks) of(in stint, from chat.Seq) *pendingAck {
	if p.last != nil && p.last.in == in {
		return p.last
	}
	a := p.stints[in]
	if a == nil {
		a = &pendingAck{in: in, Ack: chat.Ack{Thread: in.thread, From: from}}
		if p.stints == nil {
			p.stints = make(map[stint]*pendingAck)
		}
		p.stints[in] = a
	}
	p.last = a
	return a
}

// add has the receipt of its stint cover an acknowledged event. The user's own removal
// is no receipt: a device that was away is sent that alone, and not what came before
// it.
func (p *pendingAcks) add(e *sent) {
	if e.removal {
		return
	}
	a := p.of(stint{e.thread, e.joined}, e.after+1)
	a.From, a.Seq = min(a.From, e.after+1), max(a.Seq, e.seq)
	if !e.message.IsZero() {
		a.addMessage(chat.AckedSender{User: e.by, Message: e.message, Seq: e.seq})
	}
}

// putBack adds what was drained, and could not be stored, to what came since.
func (p *pendingAcks) putBack(older pendingAcks) {
	for in, a := range older.stints {
		newer := p.of(in, a.From)
		newer.From, newer.Seq = min(newer.From, a.From), max(newer.Seq, a.Seq)
		for _, m := range a.Senders {
			newer.addMessage(m)
		}
	}
}

// inOrder gives the receipts in the order in which they must be stored: marks only
// rise, so the earlier stint of a thread comes first.
func (p *pendingAcks) inOrder() []*pendingAck {
	return slices.SortedFunc(maps.Values(p.stints), func(a, b *pendingAck) int { return cmp.Compare(a.in.joined, b.in.joined) })
}

// stored forgets a receipt that is stored.
func (p *pendingAcks) stored(a *pendingAck) {
	delete(p.stints, a.in)
	p.last = nil
}

// addMessage has a receipt cover one more message. A redelivered one is older than
// others that came before it.
func (a *pendingAck) addMessage(m chat.AckedSender) {
	a.Message = later(a.Message, m.Message)
	i, found := a.place(m.User)
	if !found {
		a.Senders = append(a.Senders, m)
		return
	}
	known := &a.Senders[i]
	known.Message, known.Seq = later(known.Message, m.Message), max(known.Seq, m.Seq)
}

// place finds a sender. Of one that is not there it keeps where it will be.
func (a *pendingAck) place(user chat.UserID) (i int, found bool) {
	if len(a.Senders) < manySenders {
		i = slices.IndexFunc(a.Senders, func(x chat.AckedSender) bool { return x.User == user })
		return i, i >= 0
	}
	if a.places == nil {
		a.places = make(map[chat.UserID]int, 2*len(a.Senders))
		for i, x := range a.Senders {
			a.places[x.User] = i
		}
	}
	if i, found = a.places[user]; !found {
		a.places[user] = len(a.Senders)
	}
	return i, found
}

func later(a, b chat.MessageID) chat.MessageID {
	if a.Compare(b) < 0 {
		return b
	}
	return a
}

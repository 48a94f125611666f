package nats

import (
	"sync"
	"time"

	"github.com/parleyhq/parley/bus/wire"
	"github.com/parleyhq/parley/chat"
)

// How long a node that beats every second may be unheard before it counts as silent,
// and for how long after that what it may have stored is looked for. One that the register
// lists is looked for as long as it is listed.
const (
	silentAfter = 3500 * time.Millisecond
	goneAfter   = 40 * time.Second
)

// deadAfter is how long a node may be unheard, and not listed, before its users count as offline.
const deadAfter = 10 * time.Second

// maxRepair is the longest time, by the ids, over which what is missing of a node is
// looked for exactly.
const maxRepair = time.Minute

// maxPeers bounds the nodes that are known at a time. Those that died are forgotten
// within goneAfter; more than this many are no cluster.
const maxPeers = 1000

// peers knows of each other node which of its notices were heard, and what is to be looked
// for in the store. It holds no clock: a caller says what time it is.
//
// NATS keeps the order of what one connection sends, and this node hears all subjects by
// one subscription. So a number that does not follow the one before it, or a heartbeat
// that tells of a number not heard, means that notices were lost. A heartbeat also names
// the sender's closed id: who has every number up to the heartbeat has heard of all that
// the sender stored with ids below it. Where numbers are missing, a look into the log from
// the last closed id up to which nothing was missing finds exactly what was.
type peers struct {
	mu  sync.Mutex
	all map[chat.NodeID]*peer
}

type peer struct {
	heard [subjects]uint64 // the highest number of each subject, or of a heartbeat
	at    time.Time        // when it was heard last, or was first listed

	heardAt  time.Time // or was first known
	listedAt time.Time
	dead     bool // and the handlers were told so
	left     bool // it has said goodbye, and stores nothing more

	// whole is the id below which this node knows of all that the other has stored. Zero: it
	// does not know, and the handlers are told that anything may be missing.
	whole chat.EventID
	// next is what whole will be once a look has found what is missing, and zero while
	// nothing is, or while no closed id is known that a look could reach.
	next    chat.EventID
	missing bool // and what, a look is to find
	looking bool // one is under way
	hole    bool // a number is missing, and the next heartbeat says up to where
	sought  bool // a look has begun since it was last heard or listed
	// seen is what the last look found: one that finds it again tells nobody again.
	seen map[chat.ThreadID]chat.Seq
}

func newPeers() *peers { return &peers{all: make(map[chat.NodeID]*peer)} }

// look is one into the log, for what is missing of a node.
type look struct {
	node chat.NodeID
	from chat.EventID
	next chat.EventID // what is whole after it; zero: it brings no progress
	seen map[chat.ThreadID]chat.Seq
}

// hint takes note of a notice. It reports whether anything may be missing, because of a
// node that had to be forgotten.
func (p *peers) hint(from chat.NodeID, subject int, n uint64, now time.Time) (lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	peer, forgot := p.of(from, now)
	peer.hears(now)
	peer.hole = peer.hole || n > peer.heard[subject]+1
	peer.heard[subject] = max(peer.heard[subject], n)
	return forgot
}

// beat takes note of a heartbeat. It reports whether anything may be missing that no look
// finds. Numbers of subjects that this build does not have are of no use to it.
func (p *peers) beat(b wire.Beat, now time.Time) (lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	peer, forgot := p.of(b.From, now)
	peer.hears(now)
	hole := peer.hole
	for subject, n := range b.Numbers[:min(len(b.Numbers), subjects)] {
		if n > peer.heard[subject] {
			peer.heard[subject], hole = n, true
		}
	}
	peer.hole, peer.left = false, b.Leaving
	return peer.reaches(b.Began, b.Closed, hole) || forgot
}

func (p *peer) hears(now time.Time) {
	p.at, p.heardAt, p.dead, p.sought = now, now, false, false
}

// reaches takes note of a closed id, with or without a hole in what was heard before it. It
// reports whether anything may be missing that no look finds.
func (p *peer) reaches(began, closed chat.EventID, hole bool) (lost bool) {
	if closed == (chat.EventID{}) { // an older build's, or one that has not begun yet
		return hole
	}
	switch {
	case p.whole == (chat.EventID{}) && !tooLong(began, closed):
		p.whole = began // nothing came before
	case p.whole == (chat.EventID{}), (hole || p.missing) && tooLong(p.whole, closed):
		p.whole, p.next, p.missing, p.seen = closed, chat.EventID{}, false, nil
		return true
	}
	switch {
	case hole || p.missing || p.looking:
		p.missing = p.missing || hole
		p.next = later(p.next, closed)
	default:
		p.whole, p.seen = later(p.whole, closed), nil
	}
	return false
}

func tooLong(from, to chat.EventID) bool { return chat.IDTime(to).Sub(chat.IDTime(from)) > maxRepair }

func later(a, b chat.EventID) chat.EventID {
	if a.Compare(b) < 0 {
		return b
	}
	return a
}

// of finds or makes a peer. Of a new peer this node has heard nothing, so all that it sent
// before counts as lost. It reports whether another had to be forgotten.
func (p *peers) of(from chat.NodeID, now time.Time) (found *peer, forgot bool) {
	if found = p.all[from]; found != nil {
		return found, false
	}
	for len(p.all) >= maxPeers {
		var oldest chat.NodeID
		for node, peer := range p.all {
			if q, ok := p.all[oldest]; !ok || peer.at.Before(q.at) {
				oldest = node
			}
		}
		delete(p.all, oldest)
		forgot = true
	}
	found = &peer{at: now, heardAt: now}
	p.all[from] = found
	return found, forgot
}

// watch marks silent nodes for a look into the log, and forgets those that were unheard for
// goneAfter. It reports whether anything may be missing that no look finds, also because its
// node was forgotten before a look has ended.
func (p *peers) watch(now time.Time) (lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for node, peer := range p.all {
		unheard := now.Sub(peer.at)
		switch {
		case unheard > goneAfter && peer.looking:
		case unheard > goneAfter:
			lost = lost || peer.missing || !peer.sought && !peer.left
			delete(p.all, node)
		case unheard <= silentAfter || peer.left:
		case peer.whole == (chat.EventID{}):
			lost, peer.sought = true, true
		default:
			peer.missing = true
		}
	}
	return lost
}

// looks lists the looks that are to be made now. Each ends with looked.
func (p *peers) looks() (looks []look) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for node, peer := range p.all {
		if peer.missing && !peer.looking {
			looks = append(looks, look{node, peer.whole, peer.next, peer.seen})
			peer.missing, peer.looking, peer.sought, peer.next = false, true, true, chat.EventID{}
		}
	}
	return looks
}

// looked ends a look that has found some threads; found is nil if it has failed.
func (p *peers) looked(l look, found map[chat.ThreadID]chat.Seq) {
	p.mu.Lock()
	defer p.mu.Unlock()
	peer := p.all[l.node]
	if peer == nil {
		return
	}
	peer.looking = false
	if found == nil {
		peer.missing, peer.next = true, later(peer.next, l.next)
		return
	}
	peer.whole, peer.seen = later(peer.whole, l.next), found
}

// died lists the nodes that were unheard for so long that they are dead, each once.
func (p *peers) died(now time.Time) (dead []chat.NodeID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for node, peer := range p.all {
		if !peer.dead && !peer.left && now.Sub(peer.heardAt) > deadAfter && now.Sub(peer.listedAt) > silentAfter {
			peer.dead = true
			dead = append(dead, node)
		}
	}
	return dead
}

// listed takes note of the nodes that live, whether or not they are heard. It reports
// whether anything may be missing that no look finds.
func (p *peers) listed(live []chat.Standing, now time.Time) (lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, st := range live {
		peer, forgot := p.of(st.Node, now)
		if peer.left { // it is about to leave the list, too
			continue
		}
		peer.listedAt, peer.sought = now, false
		peer.at = maxTime(peer.at, justSilent(now)) // silent still, and not gone
		silent, unknown := now.Sub(peer.heardAt) > silentAfter, peer.whole == (chat.EventID{})
		if silent || unknown {
			// Of one that is known from here alone, nothing was heard: what it has told so far is missing.
			hole := silent || st.Closed != (chat.EventID{})
			lost = peer.reaches(st.Began, st.Closed, hole) || forgot || lost
		}
	}
	return lost
}

// blind is called when this node could not tell for a while which nodes live. A silent node
// may have stored something until a moment ago, so each counts as having just fallen silent.
func (p *peers) blind(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, peer := range p.all {
		peer.at = maxTime(peer.at, justSilent(now))
	}
}

// justSilent is when a node was heard that is silent since a moment ago.
func justSilent(now time.Time) time.Time { return now.Add(-silentAfter - time.Millisecond) }

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// count is how many other nodes are heard.
func (p *peers) count(now time.Time) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, peer := range p.all {
		if now.Sub(peer.at) <= silentAfter && !peer.left {
			n++
		}
	}
	return n
}

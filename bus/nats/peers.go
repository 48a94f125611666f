package nats

import (
	"sync"
	"time"

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

// maxPeers bounds the nodes that are known at a time. Those that died are forgotten
// within goneAfter; more than this many are no cluster.
const maxPeers = 1000

// peers knows of each other node which of its notices were heard. It holds no clock: a
// caller says what time it is.
//
// NATS keeps the order of what one connection sends, and this node hears all subjects by
// one subscription. So a number that does not follow the one before it, or a heartbeat
// that tells of a number not heard, means that notices were lost.
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
}

func newPeers() *peers { return &peers{all: make(map[chat.NodeID]*peer)} }

// hint takes note of a notice, and reports whether others before it were lost.
func (p *peers) hint(from chat.NodeID, subject int, n uint64, now time.Time) (lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	peer, full := p.of(from, now)
	peer.at, peer.heardAt, peer.dead = now, now, false
	lost = full || n > peer.heard[subject]+1
	peer.heard[subject] = max(peer.heard[subject], n)
	return lost
}

// beat takes note of a heartbeat, and reports whether notices that it tells of were lost.
// Numbers of subjects that this build does not have are of no use to it.
func (p *peers) beat(from chat.NodeID, numbers []uint64, leaving bool, now time.Time) (lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	peer, full := p.of(from, now)
	peer.at, peer.heardAt, peer.dead, lost = now, now, false, full
	for subject, n := range numbers[:min(len(numbers), subjects)] {
		if n > peer.heard[subject] {
			peer.heard[subject], lost = n, true
		}
	}
	if leaving {
		delete(p.all, from)
	}
	return lost
}

// of finds or makes a peer. One that is new has sent nothing that this node heard: all
// that it sent before counts as lost, whether or not anybody here was to hear it. It
// reports whether another had to be forgotten.
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

// silent reports whether a node is not heard that may have stored something: one that
// lives, or did until a short time ago.
func (p *peers) silent(now time.Time) (silent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for node, peer := range p.all {
		unheard := now.Sub(peer.at)
		if unheard > goneAfter {
			delete(p.all, node)
		}
		silent = silent || unheard > silentAfter
	}
	return silent
}

// died lists the nodes that were unheard for so long that they are dead, each once.
func (p *peers) died(now time.Time) (dead []chat.NodeID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for node, peer := range p.all {
		if !peer.dead && now.Sub(peer.heardAt) > deadAfter && now.Sub(peer.listedAt) > silentAfter {
			peer.dead = true
			dead = append(dead, node)
		}
	}
	return dead
}

// listed takes note of the nodes that live, whether or not they are heard.
func (p *peers) listed(live []chat.NodeID, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, node := range live {
		peer, _ := p.of(node, now)
		peer.listedAt = now
		peer.at = maxTime(peer.at, now.Add(-silentAfter-time.Millisecond)) // silent still, and not gone
	}
}

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
		if now.Sub(peer.at) <= silentAfter {
			n++
		}
	}
	return n
}

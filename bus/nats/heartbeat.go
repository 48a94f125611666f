package nats

import (
	"context"
	"slices"
	"time"

	"github.com/parleyhq/parley/bus/wire"
	"github.com/parleyhq/parley/chat"
)

// Periods of the work in the background.
const (
	beatEvery   = time.Second
	enlistEvery = 2 * time.Second
	lookEvery   = 3 * time.Second // what others may have stored, while they are not heard
	lossPause   = 500 * time.Millisecond
	byeTimeout  = 500 * time.Millisecond
)

// tick beats, and tells of the dead.
func (b *Bus) tick() {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	var looked time.Time
	for {
		b.beat(false)
		now := time.Now()
		if b.register == nil && now.Sub(looked) >= lookEvery && (b.peers.watch(now) || !b.connected.Load()) {
			looked = now
			b.lose()
		}
		if b.connected.Load() || b.enlisted.Load() { // else it is this node that nobody hears
			for _, dead := range b.peers.died(now) {
				b.log.Warn("another node is not heard any more", "node", uint64(dead))
				b.local.NodeGone(dead)
			}
		}
		select {
		case <-ticker.C:
		case <-b.ctx.Done():
			return
		}
	}
}

// beat queues a heartbeat. How the node stands is asked for before the numbers are read:
// what is below its closed id has a number by then.
func (b *Bus) beat(leaving bool) {
	st := b.standing()
	b.out.beat(wire.Beat{From: b.node, Began: st.Began, Closed: st.Closed, Leaving: leaving && !st.Open})
}

func (b *Bus) receiveBeat(data []byte) {
	beat, err := wire.ReadBeat(data)
	if err != nil {
		b.unreadable(err)
		return
	}
	if beat.From == b.node {
		return
	}
	if b.peers.beat(beat, time.Now()) {
		b.log.Debug("notices of another node are missing, and it cannot be told which", "from", uint64(beat.From))
		b.lose()
	}
	b.look()
}

// enlist keeps this node in the register, and learns who else is there.
func (b *Bus) enlist() {
	ticker := time.NewTicker(enlistEvery)
	defer ticker.Stop()
	b.listed = time.Now()
	for failing := false; ; {
		own, asked := b.standing(), time.Now()
		own.Node = b.node
		ctx, cancel := context.WithTimeout(b.ctx, enlistEvery)
		live, err := b.register.Live(ctx, own)
		cancel()
		if err != nil && !failing && b.ctx.Err() == nil {
			b.log.Warn("the register of nodes cannot be reached, will retry", "error", err)
		}
		failing = err != nil
		b.enlisted.Store(!failing)
		if !failing {
			b.noteLive(live, asked, time.Now())
		}
		select {
		case <-ticker.C:
		case <-b.ctx.Done():
			return
		}
	}
}

// noteLive takes note of the nodes that live, and has those looked for that are not heard.
// Between two lists that are further apart than one reaches back, a node may have come,
// stored something and ended: if it was not heard either, nobody here knows that it was there.
func (b *Bus) noteLive(live []chat.Standing, asked, now time.Time) {
	b.live.Store(&live)
	if now.Sub(b.listed) > chat.LiveFor {
		b.peers.blind(now)
		b.lose()
	}
	b.listed = asked
	others := slices.DeleteFunc(slices.Clone(live), func(st chat.Standing) bool { return st.Node == b.node })
	lost := b.peers.listed(others, now)
	if b.peers.watch(now) || lost {
		b.lose()
	}
	b.look()
}

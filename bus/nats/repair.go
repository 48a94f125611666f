package nats

import (
	"context"
	"time"

	"github.com/parleyhq/parley/chat"
)

// Bounds of a repair.
const (
	lookTimeout = 5 * time.Second
	lookAgain   = time.Second // after one that failed
	lookMost    = 10_000      // events that one command finds
	// The threads with news are told of in groups, so that not all of their readers ask the
	// store at once: some 2,000 in a second.
	wakesAtOnce = 100
	wakePause   = 50 * time.Millisecond
)

// look has what is missing looked for.
func (b *Bus) look() {
	select {
	case b.missing <- struct{}{}:
	default:
	}
}

// repair looks for what is missing of other nodes, and wakes those whom it concerns.
func (b *Bus) repair() {
	for {
		select {
		case <-b.missing:
		case <-b.ctx.Done():
			return
		}
		failed := false
		for _, l := range b.peers.looks() {
			if b.register == nil {
				b.lose()
				b.peers.looked(l, map[chat.ThreadID]chat.Seq{})
				continue
			}
			found, err := b.find(l)
			if err != nil && b.ctx.Err() == nil {
				failed = true
				b.log.Warn("what is missing of another node cannot be looked up, will retry", "node", uint64(l.node), "error", err)
			}
			b.peers.looked(l, found)
		}
		if failed {
			if !b.pause(lookAgain) {
				return
			}
			b.look()
		}
	}
}

// find makes one look, and gives the threads that it found. Those that the look before it
// has found are not told of again.
func (b *Bus) find(l look) (found map[chat.ThreadID]chat.Seq, err error) {
	b.stats.looks.Add(1)
	found = make(map[chat.ThreadID]chat.Seq)
	told := 0
	for from := l.from; ; {
		ctx, cancel := context.WithTimeout(b.ctx, lookTimeout)
		appended, next, err := b.register.AppendedBy(ctx, l.node, from, lookMost)
		cancel()
		if err != nil {
			return nil, err
		}
		for i := range appended {
			of := &appended[i]
			found[of.Thread] = max(found[of.Thread], of.Seq)
			if l.seen[of.Thread] >= of.Seq {
				continue
			}
			b.stats.found.Add(1)
			b.local.Publish(chat.Notice{Audience: of.Users, Wake: &of.Wake})
			if told++; told%wakesAtOnce == 0 && !b.pause(wakePause) {
				return nil, b.ctx.Err()
			}
		}
		if from = next; next == (chat.EventID{}) {
			return found, nil
		}
	}
}

// pause waits, and reports whether the bus is still open.
func (b *Bus) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-b.ctx.Done():
		return false
	}
}

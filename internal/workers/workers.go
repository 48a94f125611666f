// Package workers keeps goroutines for short work that comes often. A new goroutine
// has a small stack, which a commit or a packet has grown and copied several times
// over before it is done; one that is kept has it already.
package workers

import (
	"sync"
	"sync/atomic"
)

// Pool runs functions, each on a goroutine, of which it keeps some for the next ones.
// Nothing waits for a free one: there are as many as are needed.
type Pool struct {
	keep   int32
	idle   atomic.Int32 // kept ones, and those about to be
	jobs   chan func()
	closed chan struct{}
	once   sync.Once
}

// New makes a pool that keeps at most that many idle goroutines.
func New(keep int) *Pool {
	return &Pool{keep: int32(keep), jobs: make(chan func()), closed: make(chan struct{})}
}

// Go runs f, as the go statement does; also after Close.
func (p *Pool) Go(f func()) {
	select {
	case p.jobs <- f:
	default:
		go p.work(f)
	}
}

// Close ends the idle goroutines, and lets the others end with their work.
func (p *Pool) Close() { p.once.Do(func() { close(p.closed) }) }

func (p *Pool) work(f func()) {
	for {
		f()
		if p.idle.Add(1) > p.keep {
			p.idle.Add(-1)
			return
		}
		select {
		case f = <-p.jobs:
			p.idle.Add(-1)
		case <-p.closed:
			return
		}
	}
}

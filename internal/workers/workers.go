// Package workers keeps idle goroutines for short work that comes often. A new goroutine
// has a small stack, which is grown and copied several times in the course of a commit or a
// packet. The stack of a goroutine that has done such work is large enough already.
package workers

import (
	"sync"
	"sync/atomic"
)

// Pool runs each function on a goroutine, and keeps some idle goroutines for the next
// functions. No function waits for a free goroutine: if none is idle, Pool starts one.
type Pool struct {
	keep   int32
	idle   atomic.Int32 // goroutines that wait for a function, or are about to
	jobs   chan func()
	closed chan struct{}
	once   sync.Once
}

// New makes a pool that keeps at most keep idle goroutines.
func New(keep int) *Pool {
	return &Pool{keep: int32(keep), jobs: make(chan func()), closed: make(chan struct{})}
}

// Go runs f in the background, as the go statement does, also after Close.
func (p *Pool) Go(f func()) {
	select {
	case p.jobs <- f:
	default:
		go p.work(f)
	}
}

// Close ends the idle goroutines. The others end when their functions return.
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

package process

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// FaultProxy does to TCP connections what networks do: it delays them, cuts them, and cuts them
// in the middle of what it passes on. The same seed draws the same faults.
type FaultProxy struct {
	Address string      // where it listens
	Faults  atomic.Bool // whether it does any
	Cuts    atomic.Int64

	target   string
	listener net.Listener
	mu       sync.Mutex
	random   *rand.Rand
	open     map[net.Conn]struct{} // nil once it has ended
	wg       sync.WaitGroup
}

// StartFaultProxy passes connections on to target until the test ends.
func StartFaultProxy(t testing.TB, target string, seed uint64) *FaultProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &FaultProxy{
		Address: listener.Addr().String(), target: target, listener: listener,
		random: rand.New(rand.NewPCG(seed, 0)), open: make(map[net.Conn]struct{}),
	}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		listener.Close()
		p.mu.Lock()
		for conn := range p.open {
			conn.Close()
		}
		p.open = nil
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *FaultProxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		upstream, err := net.Dial("tcp", p.target)
		if err != nil {
			conn.Close()
			continue
		}
		if !p.keep(conn, upstream) {
			return
		}
		p.wg.Go(func() { p.pass(conn, upstream) })
		p.wg.Go(func() { p.pass(upstream, conn) })
	}
}

func (p *FaultProxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		if p.open == nil {
			conn.Close()
			continue
		}
		p.open[conn] = struct{}{}
	}
	return p.open != nil
}

func (p *FaultProxy) draw() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.random.Float64()
}

func (p *FaultProxy) pass(from, to net.Conn) {
	defer func() {
		from.Close()
		to.Close()
		p.mu.Lock()
		delete(p.open, from)
		p.mu.Unlock()
	}()
	for buffer := make([]byte, 16<<10); ; {
		n, err := from.Read(buffer)
		chunk := buffer[:n]
		if p.Faults.Load() {
			switch drawn := p.draw(); {
			case drawn < 0.1:
				time.Sleep(time.Duration(drawn * float64(400*time.Millisecond))) // the fault itself
			case drawn < 0.15:
				p.Cuts.Add(1)
				_, _ = to.Write(chunk[:int(float64(n)*p.draw())]) // it is cut either way
				return
			}
		}
		if _, failed := to.Write(chunk); failed != nil || err != nil {
			return
		}
	}
}

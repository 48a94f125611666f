package broker

import "sync"

// pubacks is a connection's queue of unanswered publishes. They are answered in the order in
// which they came (MQTT 5, 4.6), however long each takes to be stored. The connection's reader
// adds them and goes on reading. A goroutine, which exists while the queue is not empty, sends
// the answers. A full queue makes the reader wait, and so, by TCP, the client.
type pubacks struct {
	answer func(id uint16, reason byte, text string)

	mu      sync.Mutex
	room    sync.Cond // with mu: there is room in the queue
	waiting []puback
	bytes   int // the sizes of those waiting
	running bool
	done    sync.WaitGroup
}

// puback is one publish that waits for its answer, which await returns.
type puback struct {
	id    uint16
	size  int
	await func() (reason byte, text string)
}

// Bounds of the queue. A publish larger than maxPubackBytes waits alone.
const (
	maxPubacks     = 1024
	maxPubackBytes = 1 << 20
)

// add answers a publish whose answer is known. Only the reader calls it.
func (p *pubacks) add(id uint16, reason byte, text string) {
	p.mu.Lock()
	idle := !p.running
	p.mu.Unlock()
	if idle { // and stays so, as nobody but the caller adds
		p.answer(id, reason, text)
		return
	}
	p.addLater(id, 0, func() (byte, string) { return reason, text })
}

// addLater answers a publish with what await returns, when it returns. Only the reader calls
// it, and waits while the queue is full.
func (p *pubacks) addLater(id uint16, size int, await func() (reason byte, text string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.waiting) >= maxPubacks || len(p.waiting) > 0 && p.bytes+size > maxPubackBytes {
		p.room.Wait()
	}
	p.waiting = append(p.waiting, puback{id, size, await})
	p.bytes += size
	if !p.running {
		p.running = true
		p.done.Go(p.run)
	}
}

// run sends the answers until the queue is empty.
func (p *pubacks) run() {
	for {
		p.mu.Lock()
		if len(p.waiting) == 0 {
			p.running, p.waiting = false, nil
			p.mu.Unlock()
			return
		}
		next := p.waiting[0]
		p.mu.Unlock()
		reason, text := next.await()
		p.answer(next.id, reason, text)
		p.mu.Lock()
		p.waiting[0] = puback{}
		p.waiting = p.waiting[1:]
		p.bytes -= next.size
		p.room.Signal()
		p.mu.Unlock()
	}
}

// wait waits until all publishes are answered. The reader adds none any more.
func (p *pubacks) wait() { p.done.Wait() }

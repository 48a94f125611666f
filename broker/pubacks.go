package broker

import "sync"

// pubacks answers a client's publishes in the order they came (MQTT 5, 4.6), however
// long each takes to be stored. The reader adds them and goes on reading; a goroutine
// that exists while any of them waits sends the answers. Too many of them, or too
// large ones, hold the reader up, and so the client.
type pubacks struct {
	answer func(id uint16, reason byte, text string)

	mu      sync.Mutex
	room    sync.Cond // of mu
	waiting []puback
	bytes   int
	running bool
	done    sync.WaitGroup
}

// puback is one publish that waits for its answer.
type puback struct {
	id    uint16
	size  int
	await func() (reason byte, text string)
}

// Bounds of what a connection may have unanswered.
const (
	maxPubacks     = 1024
	maxPubackBytes = 1 << 20
)

// add answers a publish at once, unless earlier ones wait.
func (p *pubacks) add(id uint16, reason byte, text string) {
	p.mu.Lock()
	idle := !p.running
	p.mu.Unlock()
	if idle { // and nobody but the caller adds
		p.answer(id, reason, text)
		return
	}
	p.addLater(id, 0, func() (byte, string) { return reason, text })
}

// addLater answers a publish of that size with what await gives, once it does.
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

// wait waits until all that was added is answered. The reader has ended.
func (p *pubacks) wait() { p.done.Wait() }

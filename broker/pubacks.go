package broker

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/chat"
)

// pubacks is a connection's queue of unanswered publishes. They are begun, and answered, in
// the order in which they came (MQTT 5, 4.6), however long each waits for its sender's rate
// or for the store. The connection's reader adds them and goes on reading. A goroutine, which
// exists while the queue is not empty, begins those that had to wait and sends the answers.
//
//	      answered      begun                        waiting for the rate
//	… ◄── PUBACK ──── [ p1 p2 p3 p4 ][ p5 p6 p7 ] ◄── the reader
//	                    ▲             ▲
//	                    │ awaited     │ begun when it is due; by the reader if none waits
//
// If the store fails to take p1, p1 and all behind it that failed with it are begun again, in
// their order, until the store works or retryFor has passed.
type pubacks struct {
	answer func(id uint16, a session.Answer)
	giveUp func() // ends the connection, since the store fails
	bytes  *userBytes
	order  chat.SendOrder
	over   atomic.Bool // stop was called

	// turn is held by who begins publishes: the reader, or the goroutine. It is taken
	// before mu.
	turn sync.Mutex

	mu       sync.Mutex
	room     sync.Cond // with mu: there is room in the queue
	waiting  []*puback
	begun    int // how many of them are, from the front
	running  bool
	stopping chan struct{} // closed by stop; nil until somebody waits for that
	done     sync.WaitGroup
}

// puback is one publish that waits for its answer.
type puback struct {
	id      uint16
	size    int
	publish session.Unanswered // nil: the answer is known
	known   *session.Answer    // nil: it is not
}

// MaxUnanswered is how many publishes a connection keeps unanswered.
const MaxUnanswered = 1024

// What the store fails to take is tried again so often, for so long (docs/contract.md#mqtt).
const (
	retryEvery = 250 * time.Millisecond
	retryFor   = 30 * time.Second
)

func (p *pubacks) init(answer func(uint16, session.Answer), giveUp func()) {
	p.answer, p.giveUp, p.bytes, p.room.L = answer, giveUp, newUserBytes(), &p.mu
}

// full reports whether so many publishes are unanswered.
func (p *pubacks) full(limit int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting) >= limit
}

// add answers a publish whose answer is known. Only the reader calls it.
func (p *pubacks) add(id uint16, a session.Answer) {
	p.mu.Lock()
	idle := !p.running
	p.mu.Unlock()
	if idle && a.Error == nil { // and stays idle, as nobody but the caller adds
		p.answer(id, a)
		return
	}
	if p.awaitRoom() {
		p.turn.Lock()
		defer p.turn.Unlock()
		p.put(&puback{id: id, known: &a}, p.allBegun())
	}
}

// addLater answers a publish of that size when it is stored. Only the reader calls it. It
// waits while the queue is full, or the user has too many bytes in queues.
func (p *pubacks) addLater(id uint16, size int, publish session.Unanswered) {
	if !p.bytes.reserve(size, p.over.Load) {
		publish.GiveUp()
		return
	}
	if !p.awaitRoom() {
		p.bytes.free(size)
		publish.GiveUp()
		return
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	begin := p.allBegun() && publish.Wait() <= 0
	if begin {
		publish.Begin(&p.order)
	}
	p.put(&puback{id: id, size: size, publish: publish}, begin)
}

// awaitRoom waits while the queue is full. It reports false once stop was called.
func (p *pubacks) awaitRoom() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.waiting) >= MaxUnanswered && !p.over.Load() {
		p.room.Wait()
	}
	return !p.over.Load()
}

// allBegun reports whether no publish waits to be begun. The caller has the turn, so that
// this stays so.
func (p *pubacks) allBegun() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begun == len(p.waiting)
}

func (p *pubacks) put(next *puback, begun bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = append(p.waiting, next)
	if begun {
		p.begun++
	}
	if !p.running {
		p.running = true
		p.done.Go(p.run)
	}
}

// run begins what had to wait and sends the answers, until the queue is empty.
func (p *pubacks) run() {
	var failing time.Time // since when the store fails to take the first publish; zero: it does not
	for p.more() {
		p.beginDue()
		first := p.first()
		if first == nil {
			continue
		}
		a, again := first.await()
		switch {
		case !again:
			failing = time.Time{}
			p.pop() // before the client learns that it may send another
			p.answer(first.id, a)
		case p.over.Load():
			p.pop()
		default:
			p.rewind()
			if failing.IsZero() {
				failing = time.Now()
			}
			if time.Since(failing) < retryFor {
				p.rest(retryEvery)
				continue
			}
			p.order.Break()
			p.giveUp()
			p.stop()
		}
	}
}

// more reports whether publishes wait. If none does, the goroutine has ended.
func (p *pubacks) more() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		p.running, p.waiting = false, nil
	}
	return p.running
}

// beginDue begins publishes, in their order, up to the first that has to wait longer. If that
// is the first of the queue, it waits for it. Once the connection is over it drops them.
func (p *pubacks) beginDue() {
	for {
		p.mu.Lock()
		if p.begun == len(p.waiting) {
			p.mu.Unlock()
			return
		}
		next, isFirst := p.waiting[p.begun], p.begun == 0
		p.mu.Unlock()
		switch wait := next.wait(); {
		case p.over.Load():
			p.drop()
			return
		case wait > 0 && isFirst:
			p.rest(wait)
		case wait > 0:
			return
		default:
			p.turn.Lock()
			next.begin(&p.order)
			p.mu.Lock()
			p.begun++
			p.mu.Unlock()
			p.turn.Unlock()
		}
	}
}

// first is the publish that is answered next, if it is begun.
func (p *pubacks) first() *puback {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.begun == 0 {
		return nil
	}
	return p.waiting[0]
}

func (p *pubacks) pop() {
	p.mu.Lock()
	first := p.waiting[0]
	p.waiting[0] = nil
	p.waiting = p.waiting[1:]
	p.begun--
	p.room.Signal()
	p.mu.Unlock()
	p.bytes.free(first.size)
}

// drop gives up the publishes that are not begun. Their client was not answered and will send
// them again.
func (p *pubacks) drop() {
	p.mu.Lock()
	dropped := p.waiting[p.begun:]
	p.waiting = p.waiting[:p.begun:p.begun]
	p.room.Signal()
	p.mu.Unlock()
	for i := len(dropped) - 1; i >= 0; i-- {
		if dropped[i].publish != nil {
			dropped[i].publish.GiveUp()
		}
		p.bytes.free(dropped[i].size)
	}
}

// rewind has all that the store failed to take be begun again. It waits until nothing is on
// its way any more, so that nothing overtakes what is tried again.
func (p *pubacks) rewind() {
	p.turn.Lock()
	defer p.turn.Unlock()
	p.mu.Lock()
	begun := slices.Clone(p.waiting[:p.begun])
	p.mu.Unlock()
	for _, next := range begun[1:] {
		_, _ = next.await()
	}
	p.order.Mend()
	p.mu.Lock()
	p.begun = 0
	p.mu.Unlock()
}

// rest waits, but not once the connection is over.
func (p *pubacks) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.stopped():
	}
}

// stop says that the connection is over: nothing more is begun or answered.
func (p *pubacks) stop() {
	p.mu.Lock()
	if p.over.Swap(true) {
		p.mu.Unlock()
		return
	}
	if p.stopping != nil {
		close(p.stopping)
	}
	bytes := p.bytes
	p.room.Broadcast()
	p.mu.Unlock()
	bytes.wake()
}

// stopped is closed by stop.
func (p *pubacks) stopped() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping == nil {
		p.stopping = make(chan struct{})
		if p.over.Load() {
			close(p.stopping)
		}
	}
	return p.stopping
}

// join has the queue count with the others of its user.
func (p *pubacks) join(bytes *userBytes) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes = bytes
}

// wait waits until all publishes are answered or dropped. The reader adds none any more.
func (p *pubacks) wait() { p.done.Wait() }

func (p *puback) wait() time.Duration {
	if p.known != nil {
		return 0
	}
	return p.publish.Wait()
}

func (p *puback) begin(order *chat.SendOrder) {
	if p.known == nil {
		p.publish.Begin(order)
	}
}

// await returns the answer, once it is known. It reports again if the store failed.
func (p *puback) await() (a session.Answer, again bool) {
	if p.known == nil {
		if a, again = p.publish.Await(); again {
			return session.Answer{}, true
		}
		p.known = &a
	}
	return *p.known, false
}

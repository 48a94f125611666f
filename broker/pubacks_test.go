package broker

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/chat"
)

// queue is a connection's queue of publishes, with what came of them.
type queue struct {
	pubacks

	answered []uint16
	log      []string // "1 begun", "1 dropped"
	gaveUp   bool
}

func newQueue() *queue {
	q := new(queue)
	q.init(func(id uint16, _ session.Answer) {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.answered = append(q.answered, id)
	}, func() { q.gaveUp = true })
	return q
}

func (q *queue) answers() []uint16 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.answered)
}

// note adds to the log, which the reader and the goroutine take turns to write.
func (q *queue) note(id uint16, what string) { q.log = append(q.log, fmt.Sprint(id, " ", what)) }

// message is a publish that is stored when its channel says so.
type message struct {
	q      *queue
	id     uint16
	due    time.Time
	stored <-chan struct{} // nil: at once
	fails  int             // how often the store fails to take it
}

func (m *message) Wait() time.Duration { return time.Until(m.due) }
func (m *message) GiveUp()             { m.q.note(m.id, "dropped") }

func (m *message) Begin(*chat.SendOrder) { m.q.note(m.id, "begun") }

func (m *message) Await() (a session.Answer, again bool) {
	if m.stored != nil {
		<-m.stored
	}
	m.fails--
	return session.Answer{}, m.fails >= 0
}

func (q *queue) publish(m message, size int) {
	m.q = q
	q.addLater(m.id, size, &m)
}

func want[T comparable](t *testing.T, what string, got []T, want ...T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Answers are sent in the order of the publishes, whichever is known first.
func TestPubacksKeepTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.add(1, session.Answer{})
		want(t, "nothing waits", q.answers(), 1)
		first, second := make(chan struct{}), make(chan struct{})
		q.publish(message{id: 2, stored: first}, 10)
		q.publish(message{id: 3, stored: second}, 10)
		q.add(4, session.Answer{Reason: 0x87, Text: "not_a_participant"})
		close(second)
		synctest.Wait()
		want(t, "before the second publish is stored", q.answers(), 1)
		close(first)
		q.wait()
		want(t, "then", q.answers(), 1, 2, 3, 4)
		q.add(5, session.Answer{})
		want(t, "idle again", q.answers(), 1, 2, 3, 4, 5)
	})
}

// A publish that exceeds the rate is begun when it is due, what is behind it not before, and
// the client may go on sending meanwhile. What has become due while the first was stored is
// begun together.
func TestPublishesWaitForTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, now := newQueue(), time.Now()
		stored := make(chan struct{})
		q.publish(message{id: 1}, 1)
		q.publish(message{id: 2, due: now.Add(2 * time.Second), stored: stored}, 1)
		q.publish(message{id: 3, due: now.Add(3 * time.Second)}, 1)
		q.publish(message{id: 4, due: now.Add(4 * time.Second)}, 1)
		q.publish(message{id: 5}, 1) // needs no rate, and is behind one that does
		q.add(6, session.Answer{})
		time.Sleep(1999 * time.Millisecond)
		synctest.Wait()
		want(t, "before 2 is due", q.log, "1 begun")
		want(t, "before 2 is due", q.answers(), 1)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		want(t, "when 2 is due", q.log, "1 begun", "2 begun")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		want(t, "while 2 is stored", q.log, "1 begun", "2 begun")
		close(stored)
		q.wait()
		want(t, "then", q.log, "1 begun", "2 begun", "3 begun", "4 begun", "5 begun")
		want(t, "then", q.answers(), 1, 2, 3, 4, 5, 6)
	})
}

// What the store fails to take is begun again with all that failed behind it, in order; what
// was stored meanwhile is not, and nothing is answered out of order.
func TestFailedPublishesAreBegunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, began := newQueue(), time.Now()
		there := make(chan struct{})
		q.publish(message{id: 1, fails: 2, stored: there}, 1)
		q.publish(message{id: 2, fails: 1}, 1)
		q.publish(message{id: 3}, 1) // in another thread
		q.add(4, session.Answer{})
		close(there)
		q.wait()
		want(t, "the log", q.log, "1 begun", "2 begun", "3 begun", "1 begun", "2 begun", "1 begun")
		want(t, "answers", q.answers(), 1, 2, 3, 4)
		if took := time.Since(began); took != 2*retryEvery {
			t.Errorf("it took %v, want %v", took, 2*retryEvery)
		}
	})
}

// After 30 s the connection ends without an answer, and nothing behind is begun.
func TestPublishesThatNobodyStoresEndTheConnection(t *testing.T) {
	for _, fails := range []int{int(retryFor / retryEvery), 1 << 20} {
		synctest.Test(t, func(t *testing.T) {
			q, began := newQueue(), time.Now()
			q.publish(message{id: 1, fails: fails}, 1)
			q.publish(message{id: 2, due: began.Add(time.Hour)}, 1)
			time.Sleep(retryFor + time.Second)
			synctest.Wait()
			enough := fails == int(retryFor/retryEvery) // the store works just in time
			if q.gaveUp == enough {
				t.Errorf("failing %d times, it gave up: %v", fails, q.gaveUp)
			}
			if !enough && (len(q.answers()) > 0 || slices.Contains(q.log, "2 begun") || !slices.Contains(q.log, "2 dropped")) {
				t.Errorf("answered %v, log %v", q.answers(), q.log)
			}
			q.stop()
			q.wait()
		})
	}
}

// Once the connection is over, what waits for the rate is dropped, the last first, and what
// is on its way is awaited and not answered.
func TestWaitingPublishesEndWithTheirConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, stored := newQueue(), make(chan struct{})
		later := time.Now().Add(time.Hour)
		q.publish(message{id: 1, stored: stored}, 1)
		q.publish(message{id: 2, due: later}, maxUserBytes/2)
		q.publish(message{id: 3, due: later}, maxUserBytes/4)
		blocked := make(chan struct{})
		go func() {
			q.publish(message{id: 4, due: later}, maxUserBytes/2) // no room
			close(blocked)
		}()
		synctest.Wait()
		q.stop()
		<-blocked
		close(stored)
		q.wait()
		if log := q.log; len(log) != 4 || log[0] != "1 begun" || slices.Index(log, "3 dropped") > slices.Index(log, "2 dropped") {
			t.Errorf("the log is %v", log)
		}
		if q.bytes.bytes != 0 {
			t.Errorf("%d bytes are still taken", q.bytes.bytes)
		}
	})
}

// The reader waits while too many publishes are unanswered, or too many bytes of them: those
// of all connections of the user. A single publish may have any size.
func TestPubacksHoldTheReaderUp(t *testing.T) {
	for name, tt := range map[string]struct{ size, fit int }{
		"by number": {1, MaxUnanswered},
		"by bytes":  {maxUserBytes / 4, 4},
		"each full": {maxUserBytes + 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, other := newQueue(), newQueue()
				other.join(q.bytes)
				stored := make(chan struct{})
				added := 0
				go func() {
					for range tt.fit + 1 {
						q.publish(message{id: uint16(added + 1), stored: stored}, tt.size)
						added++
					}
				}()
				synctest.Wait()
				if added != tt.fit {
					t.Errorf("%d publishes wait, want %d", added, tt.fit)
				}
				if q.full(tt.fit) != true || q.full(tt.fit+1) != false {
					t.Errorf("of %d that wait, so many are not counted", tt.fit)
				}
				stored <- struct{}{} // one is answered
				synctest.Wait()
				if added != tt.fit+1 {
					t.Errorf("with one answered, %d were taken", added)
				}
				elsewhere := false
				go func() {
					other.publish(message{id: 1}, maxUserBytes/4)
					elsewhere = true
				}()
				synctest.Wait()
				if wait := tt.size > 1; elsewhere == wait {
					t.Errorf("another connection's publish was taken: %v", elsewhere)
				}
				close(stored)
				q.wait()
				synctest.Wait()
				other.wait()
				if got := len(q.answers()); got != tt.fit+1 || !elsewhere {
					t.Errorf("%d answers, want %d; elsewhere taken: %v", got, tt.fit+1, elsewhere)
				}
			})
		})
	}
}

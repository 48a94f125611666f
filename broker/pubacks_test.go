package broker

import (
	"slices"
	"testing"
	"testing/synctest"
)

// answers collects the answers that pubacks sends, in order.
func newPubacks() (p *pubacks, answered func() []uint16) {
	p = new(pubacks)
	p.room.L = &p.mu
	var ids []uint16
	p.answer = func(id uint16, _ byte, _ string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		ids = append(ids, id)
	}
	return p, func() []uint16 {
		p.mu.Lock()
		defer p.mu.Unlock()
		return slices.Clone(ids)
	}
}

// held is a publish that is stored when the channel says so.
func held(stored <-chan struct{}) func() (byte, string) {
	return func() (byte, string) {
		<-stored
		return 0, ""
	}
}

// Answers are sent in the order of the publishes, whichever is known first.
func TestPubacksKeepTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, answered := newPubacks()
		p.add(1, 0, "") // nothing waits: at once
		if got := answered(); !slices.Equal(got, []uint16{1}) {
			t.Fatalf("answered %v", got)
		}
		first, second := make(chan struct{}), make(chan struct{})
		p.addLater(2, 10, held(first))
		p.addLater(3, 10, held(second))
		p.add(4, 0x87, "not_a_participant")
		close(second)
		synctest.Wait()
		if got := answered(); !slices.Equal(got, []uint16{1}) {
			t.Errorf("before the second publish is stored: %v", got)
		}
		close(first)
		p.wait()
		if got := answered(); !slices.Equal(got, []uint16{1, 2, 3, 4}) {
			t.Errorf("answered %v", got)
		}
		p.add(5, 0, "")
		if got := answered(); !slices.Equal(got, []uint16{1, 2, 3, 4, 5}) {
			t.Errorf("idle again: %v", got)
		}
	})
}

// The reader waits while too many publishes are unanswered, or too many bytes of them. A
// single publish may have any size.
func TestPubacksHoldTheReaderUp(t *testing.T) {
	for name, tt := range map[string]struct{ size, fit int }{
		"by number": {1, maxPubacks},
		"by bytes":  {maxPubackBytes / 4, 4},
		"each full": {maxPubackBytes + 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, answered := newPubacks()
				stored := make(chan struct{})
				added := 0
				go func() {
					for range tt.fit + 1 {
						p.addLater(uint16(added+1), tt.size, held(stored))
						added++
					}
				}()
				synctest.Wait()
				if added != tt.fit {
					t.Errorf("%d publishes wait, want %d", added, tt.fit)
				}
				stored <- struct{}{} // one is answered
				synctest.Wait()
				if added != tt.fit+1 {
					t.Errorf("with one answered, %d were taken", added)
				}
				close(stored)
				p.wait()
				if got := len(answered()); got != tt.fit+1 {
					t.Errorf("%d answers, want %d", got, tt.fit+1)
				}
			})
		})
	}
}

package chat

import (
	"context"
	"sync"
	"time"
)

// When a user changes its own state of a thread, one notice tells its devices. The bus may
// lose that notice, and there is none if the store did not answer in time. No log has the
// change, so no device would find it there. Therefore this node reads each state that was
// changed at it again, and publishes it again, tellAgainTimes. A node that has told its
// devices of that revision ignores the repetition.
const (
	tellAgainEvery = 5 * time.Second
	tellAgainTimes = 2
	// maxTellAgain bounds the states that wait for that. More are told once.
	maxTellAgain = 1024
)

// statesAgain are the states that are to be told again.
type statesAgain struct {
	mu    sync.Mutex
	times map[stateKey]int // how often each is
}

type stateKey struct {
	user   UserID
	thread ThreadID
}

// add has a state told again.
func (a *statesAgain) add(k stateKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.times == nil {
		a.times = make(map[stateKey]int)
	}
	if _, waits := a.times[k]; waits || len(a.times) < maxTellAgain {
		a.times[k] = tellAgainTimes
	}
}

// next lists the states whose turn it is.
func (a *statesAgain) next() (keys []stateKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k := range a.times {
		keys = append(keys, k)
		if a.times[k]--; a.times[k] == 0 {
			delete(a.times, k)
		}
	}
	return keys
}

// TellStatesAgain tells what users have changed of their states again, until ctx ends. It waits
// while the bus is down.
func (s *Service) TellStatesAgain(ctx context.Context) {
	tick := time.NewTicker(tellAgainEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if s.bus.Ping(ctx) == nil {
				s.tellStatesAgain(ctx)
			}
		case <-ctx.Done():
			return
		}
	}
}

func (s *Service) tellStatesAgain(ctx context.Context) {
	for _, k := range s.statesAgain.next() {
		if err := s.tellStateAgain(ctx, k); err != nil && CodeOf(err) == CodeUnavailable {
			s.statesAgain.add(k)
		}
	}
}

func (s *Service) tellStateAgain(ctx context.Context, k stateKey) error {
	ctx, cancel := context.WithTimeout(ctx, tellAgainEvery)
	defer cancel()
	line, err := s.standing(ctx, k.user, k.thread)
	if err == nil {
		s.tellState(k, line.State, line.State.shown(k.user, line.Head, s.now()))
	}
	return err
}

// tellState tells a user's devices what it keeps of a thread.
func (s *Service) tellState(k stateKey, st OwnState, me Me) {
	s.bus.Publish(Notice{Audience: []UserID{k.user}, State: &ThreadState{Thread: k.thread, Revision: st.Revision, Me: me}})
}

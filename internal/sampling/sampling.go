// Package sampling thins out lines of the log that anybody can cause.
package sampling

import (
	"sync"
	"time"
)

// Sampler lets so many through in each second, and counts the others.
type Sampler struct {
	perSecond int

	mu      sync.Mutex
	second  int64
	passed  int
	skipped int
}

// New makes a Sampler that lets so many through in a second.
func New(perSecond int) *Sampler { return &Sampler{perSecond: perSecond} }

// Pass reports whether one more may pass. If it may, skipped is how many were not let
// through since the last one that was.
func (s *Sampler) Pass(now time.Time) (skipped int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if second := now.Unix(); second != s.second {
		s.second, s.passed = second, 0
	}
	if s.passed >= s.perSecond {
		s.skipped++
		return 0, false
	}
	s.passed++
	skipped, s.skipped = s.skipped, 0
	return skipped, true
}

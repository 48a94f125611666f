package chat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// Timekeeper is a store that has a clock of its own: one that several nodes share. The
// embedded store is none.
type Timekeeper interface {
	// Time is the present time by the store's clock.
	Time(ctx context.Context) (time.Time, error)
}

// How often a node's clock is compared with the store's, and what a comparison may take
// (docs/contract.md#names: a clock that is apart is told of within 15 s).
const (
	compareEvery  = 10 * time.Second
	compareAgain  = time.Second // after a comparison that failed
	maxComparison = time.Second // one that took longer says too little
)

// MaxSkew is how far a node's clock may be from the store's if the node is to store
// anything.
const MaxSkew = time.Minute

// DefaultSkewTolerance is how far it may be before operators are told.
const DefaultSkewTolerance = 5 * time.Second

// Errors of a clock that is apart from the store's.
var (
	errSkewed = errors.New("the clock of this node is not the database's")
	// ErrClockWrong is why nothing is stored while the clock is far off: times that
	// messages keep would be wrong for good.
	ErrClockWrong = errors.New("the clock of this node is far from the database's, so nothing is stored")
)

// Skew says how far a node's clock is from that of the store that it shares with others.
// Until the first comparison both count as equal.
type Skew struct {
	cfg SkewConfig
	by  atomic.Int64 // at the last comparison: above zero if the node is ahead
	was atomic.Int32 // the last level that was logged
}

// SkewConfig is what [NewSkew] needs. Keeper is required.
type SkewConfig struct {
	Keeper    Timekeeper
	Now       func() time.Time // time.Now if nil
	Tolerance time.Duration    // DefaultSkewTolerance if 0
	Log       *slog.Logger     // silent if nil
	// Shared reports whether most live nodes have a clock that is as far from the store's:
	// then the store's is wrong, and the node goes on storing. Nil: there are no others.
	Shared func(by time.Duration) bool
}

// sameSkew is by how much two nodes may measure different distances from the store's clock
// if their clocks count as agreeing.
const sameSkew = 5 * time.Second

// MostAgree reports whether most of the live nodes have a clock that is as far from the
// store's as the given one is by now, which is the own node's. For a node that is alone it
// reports false.
func MostAgree(by time.Duration, own NodeID, live []Standing) bool {
	agree := 1
	others := 0
	for _, st := range live {
		if st.Node == own {
			continue
		}
		others++
		if (st.Skew - by).Abs() <= sameSkew {
			agree++
		}
	}
	return others > 0 && 2*agree > others+1
}

// NewSkew makes a Skew that has not compared the clocks yet.
func NewSkew(cfg SkewConfig) *Skew {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Tolerance == 0 {
		cfg.Tolerance = DefaultSkewTolerance
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Skew{cfg: cfg}
}

// Watch compares the clocks, every 10 s until ctx ends.
func (s *Skew) Watch(ctx context.Context) {
	for failing := false; ; {
		wait := compareEvery
		err := s.Compare(ctx)
		if err != nil {
			wait = compareAgain
			if !failing && ctx.Err() == nil {
				s.cfg.Log.Warn("the clock could not be compared with the database's, will retry", "error", err)
			}
		}
		failing = err != nil
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// Compare compares the clocks now. The store's time is taken for that of the middle between
// the question and the answer.
func (s *Skew) Compare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maxComparison)
	defer cancel()
	asked := s.cfg.Now()
	theirs, err := s.cfg.Keeper.Time(ctx)
	if err != nil {
		return fmt.Errorf("ask for the database's time: %w", err)
	}
	took := s.cfg.Now().Sub(asked)
	if took > maxComparison {
		return fmt.Errorf("the database took %v to tell its time", took)
	}
	s.by.Store(int64(asked.Add(took / 2).Round(0).Sub(theirs)))
	s.log()
	return nil
}

// By is how far the node's clock was ahead of the store's at the last comparison.
func (s *Skew) By() time.Duration {
	if s == nil {
		return 0
	}
	return time.Duration(s.by.Load())
}

// Err is nil while the clocks agree, [ErrClockWrong] if the node must store nothing, and
// another error if somebody should set the clock.
func (s *Skew) Err() error {
	by := s.By()
	switch {
	case s == nil || by.Abs() <= s.cfg.Tolerance:
		return nil
	case by.Abs() > MaxSkew && (s.cfg.Shared == nil || !s.cfg.Shared(by)):
		return fmt.Errorf("%w: it is %s", ErrClockWrong, ahead(by))
	default:
		return fmt.Errorf("%w: it is %s", errSkewed, ahead(by))
	}
}

func ahead(by time.Duration) string {
	if by < 0 {
		return (-by).String() + " behind"
	}
	return by.String() + " ahead"
}

// log says when it has become better or worse.
func (s *Skew) log() {
	level, err := int32(0), s.Err()
	switch {
	case errors.Is(err, ErrClockWrong):
		level = 2
	case err != nil:
		level = 1
	}
	switch before := s.was.Swap(level); {
	case before == level:
	case level == 0:
		s.cfg.Log.Info("the clock agrees with the database's again", "by", s.By().String())
	default:
		s.cfg.Log.Warn("the clock is apart from the database's", "error", err)
	}
}

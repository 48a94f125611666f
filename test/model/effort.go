package model

import (
	"cmp"
	"flag"
	"fmt"
	"time"
)

// Effort says how much [Run] runs. The flags of this package override it.
type Effort struct {
	Histories  int // how many random histories
	Operations int // how many operations in each

	// LookEvery spaces the looks at what an operation touched, for a store that is
	// slow to read: a look follows one operation in so many, by chance. Zero is
	// every operation.
	LookEvery int

	budget time.Duration // run no history that would not end within it; 0 is no bound
	seed   uint64        // of the only history; 0 is a new seed for each
}

// The flags are for go test in this folder. Go test does not know them elsewhere.
var (
	histories  = flag.Int("model.histories", 0, "run `n` histories on each store (0: what the test asks for)")
	operations = flag.Int("model.operations", 0, "of `n` operations each (0: what the test asks for)")
	budget     = flag.Duration("model.budget", 0, "begin no history, after the first, that would not end within `d` (0: run all)")
	seed       = flag.Uint64("model.seed", 0, "run only the history of this `seed`, which a failed test prints")
)

// flagged is the effort with what the flags say.
func (e Effort) flagged() Effort {
	e.Histories, e.Operations = cmp.Or(*histories, e.Histories), cmp.Or(*operations, e.Operations)
	e.budget, e.seed = *budget, *seed
	if e.seed != 0 {
		e.Histories = 1
	}
	return e
}

// progress is how far a run has got.
type progress struct {
	effort  Effort
	began   time.Time
	ran     int
	longest time.Duration // that one history took
}

// next reports whether another history is to be run.
func (p *progress) next() bool {
	return p.ran < p.effort.Histories && !p.overBudget()
}

// overBudget reports whether a history as long as the longest so far would end
// after the budget. The first one is always run.
func (p *progress) overBudget() bool {
	return p.effort.budget > 0 && p.ran > 0 && time.Since(p.began)+p.longest > p.effort.budget
}

// ended counts a history that began at the given time.
func (p *progress) ended(began time.Time) {
	p.ran++
	p.longest = max(p.longest, time.Since(began))
}

// String says how many of how many histories were run.
func (p *progress) String() string {
	s := fmt.Sprintf("ran %d of %d histories of %d operations in %s",
		p.ran, p.effort.Histories, p.effort.Operations, time.Since(p.began).Round(time.Second))
	if p.ran < p.effort.Histories && p.overBudget() {
		s += fmt.Sprintf(": no more fit into -model.budget %s", p.effort.budget)
	}
	return s
}

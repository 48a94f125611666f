package session

import (
	"context"
	"time"

	"github.com/parleyhq/parley/chat"
)

// After a loss every session looks at the heads of its threads. These looks are spread, so
// that the store is not asked for all of them at once: as many as lossAtOnce look in each
// lossPause, or more if that would take longer than lossSpread in all. So 20,000 sessions
// have looked within 10 s.
const (
	lossAtOnce = 100
	lossPause  = 50 * time.Millisecond
	lossSpread = 30 * time.Second
)

// Skip implements [chat.Skipper]. The bus asks it about messages, and about what only connected
// people are told: this node skips them if nobody of the audience is connected to it. Whoever
// connects later reads messages from the store.
func (r *Registry) Skip(audience []chat.UserID, _ chat.MessageID) bool {
	for _, user := range audience {
		if len(r.of(user)) > 0 {
			return false
		}
	}
	return true
}

// HandleLoss has every session look for what it may have missed.
func (r *Registry) HandleLoss() {
	r.logs.Tails.Clear()
	select {
	case r.lost <- struct{}{}:
	default: // a spread that has not begun yet covers this loss
	}
}

// spreadLosses has all sessions look, once for the losses that came before a look.
func (r *Registry) spreadLosses(ctx context.Context) {
	for {
		select {
		case <-r.lost:
		case <-r.beat.ending():
			return
		case <-ctx.Done():
			return
		}
		all := r.all()
		total := len(all)
		for len(all) > 0 {
			n := min(len(all), max(lossAtOnce, total/int(lossSpread/lossPause)))
			for _, s := range all[:n] {
				s.resync()
			}
			if all = all[n:]; len(all) == 0 {
				break
			}
			select {
			case <-time.After(lossPause):
			case <-r.beat.ending():
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

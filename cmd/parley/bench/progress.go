package bench

import (
	"fmt"
	"sync"
	"time"
)

// phase sets what the progress line says the run is doing.
func (r *run) phase(what string) { r.now.Store(what) }

// progressEvery is how often progress is shown.
const progressEvery = 500 * time.Millisecond

// showProgress rewrites one line of progress until stop is called.
func (r *run) showProgress() (stop func()) {
	if r.o.Progress == nil {
		return func() {}
	}
	done := make(chan struct{})
	var shown sync.WaitGroup
	shown.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				fmt.Fprint(r.o.Progress, "\r\x1b[K")
				return
			case <-tick.C:
				phase, _ := r.now.Load().(string)
				fmt.Fprintf(r.o.Progress, "\r\x1b[K%s: %s; %d connected, %d sent, %d delivered, %.0f s", r.o.Mode, phase,
					r.counts.connected.Load(), r.counts.sent.Load(), r.counts.deliveries.Load(), time.Since(r.base).Seconds())
			}
		}
	})
	return func() {
		close(done)
		shown.Wait()
	}
}

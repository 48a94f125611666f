package program

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestBuildsTakeTurns(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir()) // which some systems go by
	var building atomic.Int32
	var done sync.WaitGroup
	for range 8 {
		done.Go(func() {
			_, unlock, err := Cache("builds")
			if err != nil {
				t.Error(err)
				return
			}
			if n := building.Add(1); n != 1 {
				t.Errorf("%d build at once", n)
			}
			building.Add(-1)
			unlock()
		})
	}
	done.Wait()
}

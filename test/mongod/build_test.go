package mongod

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestBuildsTakeTurns(t *testing.T) {
	dir := t.TempDir()
	var building atomic.Int32
	var done sync.WaitGroup
	for range 8 {
		done.Go(func() {
			unlock, err := lockDir(dir)
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

package workers

import (
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// All functions run, even if they wait for each other, however many goroutines are kept.
func TestNothingWaitsForAFreeGoroutine(t *testing.T) {
	for _, keep := range []int{0, 1, 100} {
		p := New(keep)
		for range 3 {
			const many = 50
			var all sync.WaitGroup
			all.Add(many)
			for range many {
				p.Go(func() {
					all.Done()
					all.Wait() // for the others
				})
			}
			all.Wait()
		}
		p.Close()
		p.Close()
		done := make(chan struct{})
		p.Go(func() { close(done) })
		<-done
	}
}

// A pool keeps no more idle goroutines than New was told.
func TestNoMoreAreKept(t *testing.T) {
	p := New(1)
	defer p.Close()
	for range 1000 {
		done := make(chan struct{})
		p.Go(func() { close(done) })
		<-done
	}
	if idle := p.idle.Load(); idle > 1 {
		t.Errorf("%d goroutines are idle, want at most 1", idle)
	}
}

func BenchmarkDeepWork(b *testing.B) {
	pool := New(8)
	defer pool.Close()
	for name, start := range map[string]func(func()){"kept": pool.Go, "new": func(f func()) { go f() }} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			done := make(chan struct{})
			for b.Loop() {
				start(func() {
					deep(20)
					done <- struct{}{}
				})
				<-done
			}
		})
	}
}

//go:noinline
func deep(n int) byte {
	var frame [512]byte
	if n > 0 {
		frame[n] = deep(n - 1)
	}
	return frame[n%7]
}

package local_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/parleyhq/parley/bus/bustest"
	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	bustest.Run(t, func(*testing.T) chat.Bus { return local.New() })
}

// handlerFunc is a handler of notices that ignores losses.
type handlerFunc func(chat.Notice)

func (f handlerFunc) HandleNotice(n chat.Notice) { f(n) }
func (f handlerFunc) HandleLoss()                {}

func notice() chat.Notice { return chat.Notice{Event: &chat.Event{Seq: 1}} }

func TestPublishReturnsAfterTheHandlers(t *testing.T) {
	b := local.New()
	heard := 0
	b.Subscribe(handlerFunc(func(chat.Notice) { heard++ }))
	for range 3 {
		b.Publish(notice())
	}
	if heard != 3 {
		t.Errorf("%d of 3 notices had arrived when Publish returned", heard)
	}
}

// While stop waits for a handler, the handler publishes. Its Publish must return, or both
// would wait for ever.
func TestHandlerPublishesWhileItIsStopped(t *testing.T) {
	b := local.New()
	inside, stopping := make(chan struct{}), make(chan struct{})
	depth := 0
	stop := b.Subscribe(handlerFunc(func(chat.Notice) {
		if depth++; depth > 1 {
			return
		}
		close(inside)
		<-stopping
		b.Publish(notice())
	}))
	published := make(chan struct{})
	go func() {
		defer close(published)
		b.Publish(notice())
	}()
	<-inside
	go close(stopping)
	stop()
	<-published
}

func TestHandlerSubscribesAnother(t *testing.T) {
	b := local.New()
	heard := 0
	b.Subscribe(handlerFunc(func(chat.Notice) {
		if heard == 0 {
			b.Subscribe(handlerFunc(func(chat.Notice) { heard++ }))
		}
		heard++
	}))
	b.Publish(notice())
	b.Publish(notice())
	if heard != 3 {
		t.Errorf("handlers ran %d times, want 3: the first one for the first notice, both for the second", heard)
	}
}

func BenchmarkPublish(b *testing.B) {
	bus := local.New()
	bus.Subscribe(handlerFunc(func(chat.Notice) {}))
	n := notice()
	b.ReportAllocs()
	for b.Loop() {
		bus.Publish(n)
	}
}

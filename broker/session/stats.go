package session

import (
	"sync/atomic"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
	"github.com/parleyhq/parley/internal/measure"
)

// Stats are figures for operators.
type Stats struct {
	Sessions        atomic.Int64 // connected now
	ReceiptsDropped atomic.Int64 // receipts not told to sessions too far behind
	RepliesDropped  atomic.Int64 // answers to publishes of clients that do not read them

	frames [len(frameTypes)]atomic.Int64 // handed to connections, by type

	// Errors counts error frames, by protocol and code.
	Errors measure.Tally[[2]string]
	// StoreErrors counts failures of the store, by what it failed to do.
	StoreErrors measure.Tally[string]
	// SendToDeliver is the time from a message's being made to its being handed to the
	// connection of a device that was connected and not behind.
	SendToDeliver *measure.Histogram
	// Replays is the number of events sent in each catch-up.
	Replays *measure.Histogram
	// WindowFull is how long frames waited for room in a window.
	WindowFull *measure.Histogram
}

// frameTypes are the types of frames that a server sends, the most frequent first. A frame
// of any other type counts as the last.
var frameTypes = [...]string{
	string(chat.KindMessage), contracts.FrameDelivered, contracts.FrameRead, contracts.FrameTyping, contracts.FramePresence,
	string(chat.KindReaction), string(chat.KindEdit), string(chat.KindDelete), string(chat.KindThread), contracts.FrameFailed,
	contracts.FrameHello, contracts.FrameSignal, contracts.FrameExpiring, contracts.FrameAuth, contracts.FrameCaughtUp, contracts.FramePing, contracts.FramePrekeysLow, contracts.FrameDevices, contracts.FrameError, "other",
}

// Frames calls yield with each type of frame and how many were handed to connections.
func (s *Stats) Frames(yield func(name string, n int64)) {
	for i, name := range frameTypes {
		yield(name, s.frames[i].Load())
	}
}

func (s *Stats) countFrame(f contracts.Frame) {
	name, i := f.Type(), 0
	for i < len(frameTypes)-1 && string(name) != frameTypes[i] {
		i++
	}
	s.frames[i].Add(1)
}

func newStats() *Stats {
	return &Stats{
		SendToDeliver: measure.NewTimes(
			time.Millisecond, 2*time.Millisecond, 5*time.Millisecond, 10*time.Millisecond, 25*time.Millisecond, 50*time.Millisecond,
			100*time.Millisecond, 200*time.Millisecond, 500*time.Millisecond, time.Second, 2500*time.Millisecond, 5*time.Second, 10*time.Second),
		Replays: measure.NewSizes(0, 1, 10, 100, 1000, 10_000, 100_000),
		WindowFull: measure.NewTimes(10*time.Millisecond, 100*time.Millisecond, time.Second, 10*time.Second,
			30*time.Second, time.Minute),
	}
}

// Stats gives the figures, which go on changing.
func (r *Registry) Stats() *Stats { return r.stats }

// delays collects, for one Fill, how late messages are. It looks at the clock once.
type delays struct {
	now   time.Time
	batch measure.Batch
}

func (d *delays) note(r *Registry, made time.Time) {
	if d.now.IsZero() {
		d.now = r.now()
	}
	r.stats.SendToDeliver.Collect(&d.batch, max(0, int64(d.now.Sub(made))))
}

func (d *delays) add(s *Stats) { s.SendToDeliver.AddBatch(&d.batch) }

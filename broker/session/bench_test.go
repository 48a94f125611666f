package session

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// benchPayload is the ciphertext of a message in benchmarks.
var benchPayload = bytes.Repeat([]byte{7}, 300)

// nowhere is a domain that takes receipts and presence and tells nobody: what is left is what
// the sessions cost.
type nowhere struct{ Chat }

func (nowhere) Acknowledge(context.Context, chat.UserID, chat.DeviceID, chat.Ack) error { return nil }

func (nowhere) AnnouncePresence(context.Context, chat.Presence) error { return nil }

func (nowhere) OnlinePeers(context.Context, chat.UserID) ([]chat.UserID, error) { return nil, nil }

// reader is a client that takes everything at once and acknowledges it at once.
type reader struct {
	sess  *Session
	json  bool
	woken atomic.Bool
	batch tally
	got   int // frames of threads
}

func (r *reader) Wake()        { r.woken.Store(true) }
func (r *reader) Close(Reason) {}

// tally is a batch of the size that connections write, without the bytes.
type tally struct {
	deliveries []Delivery
	bytes      int
}

func (t *tally) Room() bool { return t.bytes < 64<<10 }

func (t *tally) Put(d Delivery) bool {
	t.deliveries = append(t.deliveries, d)
	t.bytes += d.Frame.Len(d.FrameSeq)
	return true
}

// openReader connects a reader; an MQTT one subscribes everything.
func openReader(b *testing.B, reg *Registry, c chat.Caller, json bool, receiveMaximum int) *reader {
	b.Helper()
	r := &reader{json: json}
	sess, err := reg.Open(Params{
		Caller: c, Expires: time.Now().Add(time.Hour), Transport: r, SubscribesAll: json, ReceiveMaximum: receiveMaximum,
	})
	if err != nil {
		b.Fatal(err)
	}
	r.sess = sess
	sess.Start()
	if json {
		return r
	}
	const all = "v1/#"
	f, err := contracts.ParseFilter(all)
	if err != nil || !sess.Subscribe(all, f, 1) {
		b.Fatalf("%s was refused: %v", all, err)
	}
	sess.Subscribed()
	return r
}

// read does what a connection's writer does when it was woken, and what its reader
// does with the acknowledgements. It reports whether a catch-up ended.
func (r *reader) read() (caughtUp bool) {
	for r.woken.Swap(false) {
		for {
			r.batch = tally{deliveries: r.batch.deliveries[:0]}
			r.sess.Fill(&r.batch)
			if len(r.batch.deliveries) == 0 {
				break
			}
			caughtUp = r.acknowledge() || caughtUp
		}
	}
	return caughtUp
}

func (r *reader) acknowledge() (caughtUp bool) {
	for _, d := range r.batch.deliveries {
		if d.Topic.Kind == contracts.TopicThreadFrames {
			r.got++
		} else {
			caughtUp = caughtUp || bytes.HasPrefix(d.Frame, []byte(`{"t":"caught_up"`))
		}
		if d.PacketID != 0 {
			r.sess.AckPackets([]uint16{d.PacketID})
		}
	}
	if r.json {
		r.sess.AckThrough(r.batch.deliveries[len(r.batch.deliveries)-1].FrameSeq)
	}
	return caughtUp
}

// protocols are how a session is read, as far as it knows.
var protocols = []struct {
	name           string
	json           bool
	receiveMaximum int
}{
	{"json", true, 0},
	{"mqtt", false, 0},
	{"mqtt, receive maximum 20", false, 20},
}

// BenchmarkFanOut has one event reach the 250 of a group, each on a connection of
// its own that takes and acknowledges it, all on one goroutine. What is left out is
// the store, the encoding for the protocol and the socket.
func BenchmarkFanOut(b *testing.B) {
	for _, p := range protocols[:2] {
		for _, burst := range []int{1, 32} { // events between two looks of a connection
			b.Run(fmt.Sprintf("%s, %d at once", p.name, burst), func(b *testing.B) { benchFanOut(b, p.json, burst) })
		}
	}
}

func benchFanOut(b *testing.B, json bool, burst int) {
	n := newNode(b, Limits{})
	bus := local.New()
	reg := NewRegistry(Config{Store: n.store, Bus: bus, Chat: nowhere{n.chat}})
	b.Cleanup(func() { reg.Close(context.Background()) })
	audience := []chat.UserID{"alice"}
	for i := range 249 {
		audience = append(audience, chat.UserID(fmt.Sprintf("user-%03d", i)))
	}
	thread := n.group("alice", audience[1:]...)
	readers := make([]*reader, len(audience))
	for i, user := range audience {
		readers[i] = openReader(b, reg, as(user, "phone"), json, 0)
		readers[i].read()
		readers[i].got = 0
	}
	event := chat.Event{
		Thread: thread, Seq: 1, ID: chat.EventIDAt(time.Now()), Kind: chat.KindMessage, By: "alice", Device: "web",
		Message: &chat.Message{Ciphertext: benchPayload, ContentType: chat.Text},
	}
	events := 0
	b.ReportAllocs()
	for b.Loop() {
		event.Seq, event.ID = event.Seq+1, chat.NextInOrder(event.ID)
		e := event // shared from here on
		bus.Publish(chat.Notice{Audience: audience, Event: &e})
		if events++; events%burst == 0 {
			for _, r := range readers {
				r.read()
			}
		}
	}
	for _, r := range readers {
		if want := events - events%burst; r.got != want {
			b.Fatalf("a connection got %d frames of %d events", r.got, want)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events*len(readers)), "ns/delivery")
}

// BenchmarkCatchUp has a device that was never there get 100 threads of 100 messages
// from the store on disk, up to caught_up. Its receipts are stored meanwhile, as ever.
func BenchmarkCatchUp(b *testing.B) {
	for _, p := range protocols {
		b.Run(p.name, func(b *testing.B) { benchCatchUp(b, p.json, p.receiveMaximum) })
	}
}

func benchCatchUp(b *testing.B, json bool, receiveMaximum int) {
	const threads, messages = 100, 100
	n := newNode(b, Limits{})
	var waiting []chat.UserID // for their messages
	frames := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		if len(waiting) == 0 {
			waiting = n.backlog(threads, messages)
		}
		user := waiting[0]
		waiting = waiting[1:]
		b.StartTimer()
		r := openReader(b, n.sessions, as(user, "phone"), json, receiveMaximum)
		for !r.read() {
		}
		b.StopTimer()
		if r.got < threads*messages {
			b.Fatalf("caught up after %d frames", r.got)
		}
		frames += r.got
		r.sess.End()
		<-r.sess.done // its receipts are stored
		b.StartTimer()
	}
	b.ReportMetric(float64(frames)/b.Elapsed().Seconds(), "frames/s")
}

// backlog makes groups with messages of alice, and gives the others in them.
func (n *node) backlog(threads, messages int) []chat.UserID {
	n.t.Helper()
	others := make([]chat.UserID, 20)
	for i := range others {
		n.keys++
		others[i] = chat.UserID(fmt.Sprintf("user-%d", n.keys))
	}
	for range threads {
		id := n.group("alice", others...)
		t, err := n.store.Thread(n.t.Context(), id)
		if err != nil {
			n.t.Fatal(err)
		}
		events := make([]chat.Event, messages)
		last := t.Head
		for i := range events {
			n.keys++
			last.Seq, last.ID = last.Seq+1, chat.NextInOrder(last.ID)
			events[i] = chat.Event{
				Thread: id, Seq: last.Seq, ID: last.ID, Kind: chat.KindMessage, By: "alice", Device: "web",
				Message: &chat.Message{
					Ciphertext: benchPayload, ContentType: chat.Text, ClientSeq: int64(n.keys), IdempotencyKey: fmt.Sprint("k", n.keys),
				},
			}
		}
		if _, err := n.store.Append(n.t.Context(), t.Head, events); err != nil {
			n.t.Fatal(err)
		}
	}
	return others
}

// BenchmarkConnect has a device that has acknowledged everything of 3,000 threads connect, up
// to caught_up, and leave again. All of that is older than what replays look at by time.
func BenchmarkConnect(b *testing.B) {
	const threads = 3000
	n := newNode(b, Limits{})
	reg := NewRegistry(Config{Store: n.store, Bus: local.New(), Chat: nowhere{n.chat}})
	b.Cleanup(func() { reg.Close(context.Background()) })
	createGroups(b, n.store, threads, time.Now().Add(-time.Hour))
	connect := func() (frames int) {
		r := openReader(b, reg, as("alice", "phone"), true, 0)
		for !r.read() {
		}
		r.sess.End()
		<-r.sess.done
		return r.got
	}
	if got := connect(); got != threads {
		b.Fatalf("the first connect ever got %d frames", got)
	}
	b.ReportAllocs()
	for b.Loop() {
		if got := connect(); got != 0 {
			b.Fatalf("%d frames came again", got)
		}
	}
}

// createGroups makes groups of alice, each with somebody else. Who waits for the disk does
// so together.
func createGroups(tb testing.TB, st chat.Store, groups int, at time.Time) {
	tb.Helper()
	var made sync.WaitGroup
	const together = 50
	for range together {
		made.Go(func() {
			for range groups / together {
				id := chat.ThreadID(uuid.Must(uuid.NewV7()))
				if err := st.CreateThread(tb.Context(), chat.Event{
					Thread: id, Seq: 1, ID: chat.EventIDAt(at), At: at, Kind: chat.KindThread, By: "alice", Device: "web",
					Change: &chat.ThreadChange{Event: chat.ThreadCreated, Type: chat.Group, Members: []chat.InitialMember{
						{User: "alice", Role: chat.Admin}, {User: chat.UserID("peer-" + id.String()), Role: chat.Member},
					}},
				}); err != nil {
					tb.Error(err)
				}
			}
		})
	}
	made.Wait()
}

// BenchmarkWindow fills a window and empties it, or keeps it full. One operation is
// one frame.
func BenchmarkWindow(b *testing.B) {
	for _, size := range []struct {
		name              string
		limit, receiveMax int
	}{{"100 frames", 100, 0}, {"receive maximum 20", 1024, 20}, {"1024 frames", 1024, 0}} {
		w := window{limit: size.limit, receiveMax: size.receiveMax}
		n := size.limit
		if size.receiveMax > 0 {
			n = size.receiveMax
		}
		for _, order := range []struct {
			name string
			at   func(i int) int
		}{
			{"in order", func(i int) int { return i }},
			{"in reverse", func(i int) int { return n - 1 - i }},
			{"out of order", func(i int) int { return i ^ 1 }}, // every second comes first
		} {
			b.Run(size.name+", PUBACKs "+order.name, func(b *testing.B) {
				benchWindow(b, &w, n, func(ids []uint16) {
					for i := range ids {
						w.ackPackets(ids[order.at(i):][:1], ignore)
					}
				})
			})
		}
		b.Run(size.name+", kept full", func(b *testing.B) { benchFullWindow(b, w, n) })
		if size.receiveMax == 0 {
			b.Run(size.name+", one client_ack", func(b *testing.B) {
				benchWindow(b, &w, n, func([]uint16) { w.ackThrough(1<<60, ignore) })
			})
		}
	}
}

// benchEntry is a message in flight, without its numbers.
var benchEntry = sent{durable: true, thread: chat.ThreadID{1}, message: chat.MessageID{1}, by: "alice"}

func ignore(*sent) {}

// benchFullWindow has each PUBACK, in order, make room for the next frame.
func benchFullWindow(b *testing.B, w window, n int) {
	entry := benchEntry
	b.ReportAllocs()
	for b.Loop() {
		entry.frameSeq++
		entry.seq++
		if w.add(entry, 1, true); len(w.entries) == n {
			w.ackPackets([]uint16{w.entries[0].packet}, ignore)
		}
	}
}

func benchWindow(b *testing.B, w *window, n int, acknowledge func(ids []uint16)) {
	ids := make([]uint16, 0, n)
	entry := benchEntry
	b.ReportAllocs()
	for b.Loop() {
		entry.frameSeq++
		entry.seq++
		if ids = append(ids, w.add(entry, 1, true)); len(ids) < n {
			continue
		}
		if !w.full(1) {
			b.Fatal("the window is not full")
		}
		acknowledge(ids)
		w.tidy()
		if len(w.entries) > 0 {
			b.Fatalf("%d frames are left", len(w.entries))
		}
		ids = ids[:0]
	}
	w.ackThrough(entry.frameSeq, ignore)
	w.tidy()
}

// BenchmarkInterest asks a session whether it wants the frames of a thread.
func BenchmarkInterest(b *testing.B) {
	thread := chat.ThreadID{15: 199}
	var wildcard, exact interest
	add := func(i *interest, name string) {
		f, err := contracts.ParseFilter(name)
		if err != nil {
			b.Fatal(err)
		}
		i.add(name, f, 1)
	}
	add(&wildcard, "v1/threads/+/frames")
	for i := range 200 {
		add(&exact, contracts.Topic{Kind: contracts.TopicThreadFrames, Thread: chat.ThreadID{15: byte(i)}}.String())
	}
	for _, c := range []struct {
		name     string
		interest interest
		thread   chat.ThreadID
		want     bool
	}{
		{"json", interest{everything: true}, thread, true},
		{"a wildcard", wildcard, thread, true},
		{"the last of 200 filters", exact, thread, true},
		{"none of 200 filters", exact, chat.ThreadID{1}, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if c.interest.frames(c.thread).ok != c.want {
					b.Fatalf("wanted: %v", !c.want)
				}
			}
		})
	}
}

// BenchmarkChangeFilter has a client ask for one of its 1,024 filters again, with another QoS.
func BenchmarkChangeFilter(b *testing.B) {
	var i interest
	for n := range maxFilters {
		name := fmt.Sprintf("v1/presence/user-%04d", n)
		i.add(name, mustFilter(b, name), 0)
	}
	const name = "v1/presence/user-0007"
	filter, level := mustFilter(b, name), byte(0)
	b.ReportAllocs()
	for b.Loop() {
		level ^= 1
		i.add(name, filter, level)
	}
}

package session

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
	"github.com/parleyhq/parley/store"
)

// node is a chat service with its sessions, on a real store.
type node struct {
	t        testing.TB
	store    chat.Store
	bus      chat.Bus
	chat     *chat.Service
	sessions *Registry
	stop     func()
	ahead    atomic.Int64 // of the clock of all of it
	keys     int
	mu       sync.Mutex
	truth    truth
}

func (n *node) now() time.Time { return time.Now().Add(time.Duration(n.ahead.Load())) }

// pass has time go by.
func (n *node) pass(d time.Duration) { n.ahead.Add(int64(d)) }

func newNode(t testing.TB, limits Limits) *node {
	t.Helper()
	return newNodeOn(t, "pebble:"+t.TempDir(), limits, 0)
}

// newNodeOn makes a node on the store of a URL, with a clock that is ahead. Its stop ends
// it before the test does.
func newNodeOn(t testing.TB, url string, limits Limits, ahead time.Duration) *node {
	t.Helper()
	return newNodeOver(t, url, limits, ahead, func(s chat.Store) chat.Store { return s })
}

// newNodeOver is newNodeOn with something between the node and the store.
func newNodeOver(t testing.TB, url string, limits Limits, ahead time.Duration, over func(chat.Store) chat.Store) *node {
	t.Helper()
	return newNodeAmong(t, url, local.New(), limits, ahead, over)
}

// newNodeAmong makes a node that shares a bus, and maybe its store, with others.
func newNodeAmong(t testing.TB, url string, bus chat.Bus, limits Limits, ahead time.Duration, over func(chat.Store) chat.Store) *node {
	t.Helper()
	n := &node{t: t}
	n.pass(ahead)
	opened, err := store.Open(t.Context(), url, store.Options{Now: n.now})
	if err != nil {
		t.Fatal(err)
	}
	st := over(welcome(opened))
	newest, err := st.NewestID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n.store, n.bus = st, bus
	n.chat = chat.New(chat.Config{Store: st, Bus: bus, Now: n.now, Newest: newest, Online: func(ctx context.Context, u chat.UserID) (bool, error) {
		return n.sessions.Online(ctx, u)
	}})
	n.sessions = NewRegistry(Config{Store: st, Bus: bus, Chat: n.chat, Limits: limits, Now: n.now})
	n.stop = sync.OnceFunc(func() {
		n.chat.Close(context.Background())
		n.sessions.Close(context.Background())
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(n.stop)
	return n
}

// welcoming is a store in which everybody has accepted the threads that others put them into.
type welcoming struct{ chat.Store }

func welcome(s chat.Store) chat.Store {
	if shared, ok := s.(chat.SpanLimiter); ok {
		return struct {
			welcoming
			chat.SpanLimiter
		}{welcoming{s}, shared}
	}
	return welcoming{s}
}

func (s welcoming) CreateThread(ctx context.Context, created chat.Event) error {
	return s.Store.CreateThread(ctx, accepted(created))
}

func (s welcoming) Append(ctx context.Context, head chat.Head, events []chat.Event) (int, error) {
	events = slices.Clone(events)
	for i, e := range events {
		events[i] = accepted(e)
	}
	return s.Store.Append(ctx, head, events)
}

func accepted(e chat.Event) chat.Event {
	if e.Change != nil {
		change := *e.Change
		change.Pending, change.Members = false, slices.Clone(change.Members)
		for i := range change.Members {
			change.Members[i].Pending = false
		}
		e.Change = &change
	}
	return e
}

// eventually waits for what nobody is told of.
func (n *node) eventually(what string, ok func() bool) {
	n.t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for deadline := time.After(2 * time.Minute); !ok(); {
		select {
		case <-look.C:
		case <-deadline:
			n.t.Fatalf("%s never came", what)
		}
	}
}

func as(user chat.UserID, device chat.DeviceID) chat.Caller {
	return chat.Caller{User: user, Device: device, Scopes: []chat.Scope{chat.ScopeRead, chat.ScopeWrite}}
}

func (n *node) group(by chat.UserID, others ...chat.UserID) chat.ThreadID {
	n.t.Helper()
	v, _, err := n.chat.CreateThread(n.t.Context(), as(by, "web"), chat.CreateThread{Type: chat.Group, Participants: others})
	if err != nil {
		n.t.Fatal(err)
	}
	return v.ID
}

func (n *node) pair(a, b chat.UserID) chat.ThreadID {
	n.t.Helper()
	v, _, err := n.chat.CreateThread(n.t.Context(), as(a, "web"), chat.CreateThread{Type: chat.OneToOne, Participants: []chat.UserID{b}})
	if err != nil {
		n.t.Fatal(err)
	}
	return v.ID
}

func (n *node) send(by chat.Caller, thread chat.ThreadID, text string) chat.Event {
	n.t.Helper()
	return n.sendTTL(by, thread, text, 0)
}

func (n *node) sendTTL(by chat.Caller, thread chat.ThreadID, text string, ttl time.Duration) chat.Event {
	n.t.Helper()
	n.mu.Lock()
	n.keys++
	key := n.keys
	n.mu.Unlock()
	return n.retry(by, thread, text, ttl, key).Event
}

// retry sends with a key that may have been used before.
func (n *node) retry(by chat.Caller, thread chat.ThreadID, text string, ttl time.Duration, key int) chat.SendResult {
	n.t.Helper()
	r, err := n.chat.Send(n.t.Context(), by, chat.SendRequest{
		Thread: thread, IdempotencyKey: fmt.Sprint("k", key), ClientSeq: int64(key), Ciphertext: []byte(text), TTL: ttl,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return r
}

func (n *node) edit(by chat.Caller, id chat.MessageID, text string) {
	n.t.Helper()
	if _, err := n.chat.Edit(n.t.Context(), by, id, chat.EditRequest{Ciphertext: []byte(text)}); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) delete(by chat.Caller, id chat.MessageID) {
	n.t.Helper()
	if err := n.chat.Delete(n.t.Context(), by, id); err != nil {
		n.t.Fatal(err)
	}
	n.truth.erase(id.String())
}

// truth is what the node has announced of messages: every batch of every test is
// held to it.
type truth struct {
	mu      sync.Mutex
	version int
	erased  map[string]int // in which version
	changed chan struct{}  // closed by the next change; nil: nobody waits
}

func (tr *truth) erase(id string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.erased == nil {
		tr.erased = make(map[string]int)
	}
	tr.version++
	tr.erased[id] = tr.version
	if tr.changed != nil {
		close(tr.changed)
		tr.changed = nil
	}
}

// awaitChange waits until something else is erased.
func (tr *truth) awaitChange() {
	tr.mu.Lock()
	if tr.changed == nil {
		tr.changed = make(chan struct{})
	}
	changed := tr.changed
	tr.mu.Unlock()
	select {
	case <-changed:
	case <-time.After(2 * time.Minute): // the writers have failed
	}
}

func (tr *truth) now() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.version
}

// allows reports whether a frame may be put into a batch by who looked at a version.
func (tr *truth) allows(f frame, looked int) bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	at, erased := tr.erased[f.ID]
	return len(f.Ciphertext) == 0 || !erased || at > looked
}

// device is a connected client with a transport of its own: it takes a frame when
// the test lets it, so that a test decides who is slow.
type device struct {
	n    *node
	sess *Session

	mu      sync.Mutex
	cond    *sync.Cond
	woken   bool
	filling bool // the writer is at work
	frames  []frame
	closed  Reason
	stall   bool // does not read
	ended   bool
	manual  bool     // the test acknowledges
	filters []string // subscribed from the start
	pause   func()   // before it acknowledges; nil: none
	wg      sync.WaitGroup
}

type frame struct {
	T        string `json:"t"`
	Thread   string `json:"thread_id"`
	Seq      int    `json:"seq"`
	ID       string `json:"id"`
	By       string `json:"by"`
	UpTo     string `json:"up_to"`
	Event    string `json:"event"`
	LastID   string `json:"last_id"`
	Replayed int    `json:"replayed"`
	FrameSeq uint64 `json:"frame_seq"`

	Ciphertext     []byte `json:"ciphertext"`
	Reason         string `json:"reason"`
	Op             string `json:"op"`
	Redelivery     bool   `json:"redelivery"`
	OneTimePrekeys *int   `json:"one_time_prekeys"`

	Me         *ownState `json:"me"`
	User       string    `json:"user_id"`
	StoreID    string    `json:"store_id"`
	ExpiresAt  string    `json:"expires_at"`
	Status     string    `json:"status"`
	LastSeenAt *string   `json:"last_seen_at"`

	packet uint16
	again  bool
	reply  *Reply // T is "reply"
}

type ownState struct {
	Pinned       bool `json:"pinned"`
	MarkedUnread bool `json:"marked_unread"`
}

type option func(*device, *Params)

func lastSeen(id chat.MessageID) option { return func(_ *device, p *Params) { p.LastSeen = &id } }
func manualAcks(d *device, _ *Params)   { d.manual = true }
func stalled(d *device, _ *Params)      { d.stall = true }
func mqtt(d *device, p *Params)         { p.SubscribesAll, p.Pings = false, false }
func receiveMaximum(n int) option       { return func(_ *device, p *Params) { p.ReceiveMaximum = n } }

// connect opens a session. An MQTT one still has to subscribe.
func (n *node) connect(c chat.Caller, options ...option) *device {
	n.t.Helper()
	d := &device{n: n}
	d.cond = sync.NewCond(&d.mu)
	p := Params{Caller: c, Expires: time.Now().Add(time.Hour), Transport: d, SubscribesAll: true}
	for _, o := range options {
		o(d, &p)
	}
	s, err := n.sessions.Open(p)
	if err != nil {
		n.t.Fatal(err)
	}
	d.sess = s
	d.wg.Add(1)
	go d.write()
	n.t.Cleanup(d.disconnect)
	s.Start()
	for _, f := range d.filters {
		d.subscribe(f)
	}
	return d
}

func (d *device) Wake() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.woken = true
	d.cond.Broadcast()
}

func (d *device) Close(r Reason) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed == 0 {
		d.closed = r
	}
	d.ended = true
	d.cond.Broadcast()
}

// disconnect ends the connection and waits until the session has stored all.
func (d *device) disconnect() {
	d.mu.Lock()
	d.ended = true
	d.cond.Broadcast()
	d.mu.Unlock()
	d.wg.Wait()
	d.sess.End()
	<-d.sess.done
}

// write is the connection's writer.
func (d *device) write() {
	defer d.wg.Done()
	for {
		d.mu.Lock()
		for !d.ended && (!d.woken || d.stall) {
			d.cond.Wait()
		}
		if d.ended {
			d.mu.Unlock()
			return
		}
		d.woken, d.filling = false, true
		d.mu.Unlock()
		b := &batch{n: d.n}
		d.sess.Fill(b)
		if len(b.frames) > 0 {
			d.deliver(b.frames)
		}
		d.mu.Lock()
		d.filling = false
		d.cond.Broadcast()
		d.mu.Unlock()
	}
}

// deliver takes frames. The hello of a JSON connection is looked at here, once for all tests.
func (d *device) deliver(frames []frame) {
	d.mu.Lock()
	if hello := frames[0]; d.sess.params.SubscribesAll && hello.FrameSeq == 1 {
		if hello.T != contracts.FrameHello || hello.StoreID != d.n.store.ID().String() {
			d.n.t.Errorf("the first frame is %+v, want hello of the store %s", hello, d.n.store.ID())
		}
		frames = frames[1:]
	}
	d.frames = append(d.frames, frames...)
	d.woken = true
	d.cond.Broadcast()
	manual := d.manual
	d.mu.Unlock()
	if d.pause != nil {
		d.pause()
	}
	if !manual {
		d.ack(frames...)
	}
}

func (d *device) ack(frames ...frame) {
	for _, f := range frames {
		if f.packet != 0 {
			d.sess.AckPackets([]uint16{f.packet})
		} else if f.reply != nil {
			continue
		} else if !d.sess.AckThrough(f.FrameSeq) {
			d.n.t.Errorf("frame %d cannot be acknowledged", f.FrameSeq)
		}
	}
}

// release acknowledges what has come, and from then on everything.
func (d *device) release() {
	d.mu.Lock()
	d.manual, d.stall = false, false
	frames := slices.Clone(d.frames)
	d.cond.Broadcast()
	d.mu.Unlock()
	d.ack(frames...)
}

func (d *device) resume() { d.setStall(false) }

func (d *device) setStall(stall bool) {
	d.mu.Lock()
	d.stall = stall
	d.cond.Broadcast()
	d.mu.Unlock()
}

// batch takes up to eight frames at once.
type batch struct {
	n      *node
	frames []frame
	looked int // the version of the truth before the session decided what to put
}

func (b *batch) Room() bool {
	b.looked = b.n.truth.now()
	return len(b.frames) < 8
}

func (b *batch) Put(d Delivery) bool {
	f := frame{}
	if d.Reply != nil {
		b.frames = append(b.frames, frame{T: "reply", reply: d.Reply})
		return true
	}
	if err := json.Unmarshal(d.Frame.Append(nil, d.FrameSeq), &f); err != nil {
		panic(err)
	}
	if !b.n.truth.allows(f, b.looked) {
		b.n.t.Errorf("%s %d was sent with %q after its deletion was announced", f.T, f.Seq, f.Ciphertext)
	}
	f.packet, f.again = d.PacketID, d.Again
	b.frames = append(b.frames, f)
	return true
}

// await waits until the frames so far satisfy want, and returns them.
func (d *device) await(what string, want func([]frame) bool) []frame {
	d.n.t.Helper()
	expired := false
	timer := time.AfterFunc(2*time.Minute, func() {
		d.mu.Lock()
		expired = true
		d.cond.Broadcast()
		d.mu.Unlock()
	})
	defer timer.Stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	for !want(d.frames) {
		if expired {
			d.n.t.Fatalf("%s never came; got %d frames: %+v", what, len(d.frames), d.frames)
		}
		d.cond.Wait()
	}
	return append([]frame(nil), d.frames...)
}

// all are the frames so far.
func (d *device) all() []frame { return d.await("nothing", func([]frame) bool { return true }) }

func (d *device) awaitFrame(t string, match func(frame) bool) frame {
	d.n.t.Helper()
	var found frame
	d.await(t, func(frames []frame) bool {
		for _, f := range frames {
			if f.T == t && match(f) {
				found = f
				return true
			}
		}
		return false
	})
	return found
}

func (d *device) awaitCaughtUp() frame {
	d.n.t.Helper()
	return d.awaitFrame(contracts.FrameCaughtUp, func(frame) bool { return true })
}

func (d *device) awaitSeq(thread chat.ThreadID, seq chat.Seq) []frame {
	d.n.t.Helper()
	return d.await(fmt.Sprintf("event %d", seq), func(frames []frame) bool {
		for _, f := range frames {
			if f.Thread == thread.String() && f.Seq == int(seq) {
				return true
			}
		}
		return false
	})
}

func (d *device) subscribe(name string) {
	d.n.t.Helper()
	f, err := contracts.ParseFilter(name)
	if err != nil {
		d.n.t.Fatal(err)
	}
	if !d.sess.Subscribe(name, f, 1) {
		d.n.t.Fatalf("%s was refused", name)
	}
	d.sess.Subscribed()
}

// seqs lists the event numbers of one thread in the order they came.
func seqs(frames []frame, thread chat.ThreadID) []int {
	var got []int
	for _, f := range frames {
		if f.Thread == thread.String() && f.Seq > 0 {
			got = append(got, f.Seq)
		}
	}
	return got
}

// summary lists what came of one thread: the number of each event and what it is.
func summary(frames []frame, thread chat.ThreadID) []string {
	var got []string
	for _, f := range frames {
		if f.Thread != thread.String() || f.Seq == 0 {
			continue
		}
		what := f.T + f.Op + f.Event
		if f.T == "msg" || f.T == "edit" {
			what += " " + string(f.Ciphertext)
		}
		got = append(got, fmt.Sprintf("%d %s", f.Seq, strings.TrimSpace(what)))
	}
	return got
}

func count(frames []frame, t string) int {
	found := 0
	for _, f := range frames {
		if f.T == t {
			found++
		}
	}
	return found
}

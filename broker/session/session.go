// Package session delivers. A session is one connected device: its inbox, the
// window of frames that it has not acknowledged yet, its acknowledgements, its
// subscriptions, and its deadlines.
//
// There is one way for a frame to reach a device, in replay and live alike: the
// writer of its connection calls [Session.Fill], which puts what the session's feed
// gives next into the window, as far as the window has room. Whoever commits an
// event only leaves a wake in the inboxes of the sessions concerned, and waits for
// none of them. A slow session is just one whose feed is further back in the logs.
//
// The package knows no protocol: a connection is a [Transport].
//
// Read in this order: session.go (what a session has, and who touches it), fill.go
// (what it sends), window.go, acks.go, clientframes.go (what a client sends),
// registry.go, registry_notices.go, subscriptions.go, keptsubscriptions.go, and the
// queues of what is not durable: receipts.go, ephemera.go, replies.go. Then what
// happens to a connection: takeover.go (the device connects again), nodes.go (at
// another node too), redelivery.go, renewal.go (of its token), heartbeat.go,
// removed.go (of its device), loss.go (of notices).
package session

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parleyhq/parley/broker/feed"
	"github.com/parleyhq/parley/broker/presence"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// Transport is a session's connection.
type Transport interface {
	// Wake has the connection's writer call [Session.Fill] soon and again until
	// Fill adds nothing, one call at a time. It never blocks.
	Wake()
	// Close tells the client why and ends the connection. It never blocks; the
	// connection calls [Session.End] when it is gone.
	Close(Reason)
}

// Pinger is a Transport with a ping of its own, below the frames: that of a WebSocket which
// carries MQTT. The session has it ping every PingInterval and looks for no answer.
type Pinger interface {
	// Ping queues a ping. It never blocks.
	Ping()
}

// Reason is why the server ends a connection; each protocol has its own code for
// it (docs/contract.md#connecting).
type Reason int

// The reasons of docs/contract.md#connecting.
const (
	TakenOver      Reason = iota + 1 // the same device connected again
	TokenExpired                     // the token's exp has passed, or its key is gone
	Unresponsive                     // no pong, or a full window, for too long
	FrameTooLarge                    // a frame exceeds what the client accepts
	BadFrames                        // too many malformed frames
	ShuttingDown                     // the server stops
	ProtocolError                    // an acknowledgement of a frame that was never sent
	QoSUnsupported                   // a publish with QoS 2
	StoreFailing                     // what the client sent cannot be stored
	TokensRefused                    // too many new tokens that were refused
	DeviceRemoved                    // the user has removed the device
)

// String names the reason, for the log and the metrics.
func (r Reason) String() string {
	switch r {
	case TakenOver:
		return "taken_over"
	case TokenExpired:
		return "token_expired"
	case Unresponsive:
		return "unresponsive"
	case FrameTooLarge:
		return "frame_too_large"
	case BadFrames:
		return "bad_frames"
	case ShuttingDown:
		return "shutting_down"
	case ProtocolError:
		return "protocol_error"
	case QoSUnsupported:
		return "qos_2"
	case StoreFailing:
		return "store_failing"
	case TokensRefused:
		return "tokens_refused"
	case DeviceRemoved:
		return "device_removed"
	}
	return "reason_" + strconv.Itoa(int(r))
}

// Batch collects what a connection writes at once.
type Batch interface {
	// Room reports whether another delivery fits into what is written at once.
	Room() bool
	// Put adds one delivery. It reports false, and adds nothing, if the client
	// said that it takes no packet that large.
	Put(Delivery) bool
}

// Delivery is one frame, or one reply, on its way to one connection.
type Delivery struct {
	Frame    contracts.Frame
	FrameSeq uint64
	Topic    contracts.Topic
	QoS      byte
	PacketID uint16 // for QoS 1
	Again    bool   // an earlier connection of the MQTT session was sent it too

	// Reply is set instead of all that: it is no frame and has no number.
	Reply *Reply
}

// Params say who connects and how.
type Params struct {
	Caller    chat.Caller
	Expires   time.Time       // when the token does
	Key       string          // see [Token]
	Issued    time.Time       // when the token was; zero: it does not say
	LastSeen  *chat.MessageID // the client's resume position; nil: what it acknowledged
	Transport Transport

	// NamesDevice says that the token is for this device alone.
	NamesDevice bool
	// Pings is set for JSON connections, which are pinged and must answer.
	Pings bool
	// SubscribesAll is set for JSON connections, which get every topic. Others
	// get what they subscribe.
	SubscribesAll bool
	// CleanStart drops the subscriptions that an earlier connection left.
	CleanStart bool
	// KeepFor is how long this connection's subscriptions outlive it.
	KeepFor time.Duration
	// ReceiveMaximum bounds unacknowledged QoS 1 deliveries; 0 is no bound but
	// the window's.
	ReceiveMaximum int
}

// Session is one connected device. Its methods may be called from any goroutine
// but Fill, which belongs to the connection's writer.
type Session struct {
	// Static.
	reg     *Registry
	params  Params
	user    chat.UserID
	device  chat.DeviceID
	started time.Time
	conn    chat.Conn     // of the device's connections the number of this one
	resumed bool          // an earlier connection's subscriptions were taken on
	slot    int           // in the heartbeat's wheel, which guards it
	expiry  int           // in the heartbeat's order of expiry, which guards it
	due     time.Time     // when something is due for the token; the heartbeat guards it
	prev    *Session      // the one it took over, if any
	await   *awaited      // one that it took over at another node, if any
	beaten  bool          // a later connection of the device was faster
	done    chan struct{} // closed once it ended and its position is stored

	token atomic.Pointer[Token] // the present one; the heartbeat puts it in force

	// The writer's, inside Fill.
	feed feed.Feed
	out  outbox

	mu        sync.Mutex // guards all below; held for moments, never across I/O
	inbox     inbox
	declared  interest          // what the client asked for
	interest  interest          // what of it is in force
	replays   bool              // declared has thread frames that interest had not
	greeting  presence.Greeting // whose presence the client is still to be told
	asked     presence.Greeting // and by subscriptions that are not in force yet
	keeping   keeping
	window    window
	again     map[place]uint16 // what an earlier connection was sent, and this one was not yet, with packet ids
	frameSeq  uint64
	progress  feed.Progress
	acked     pendingAcks // of what was acknowledged, not yet stored
	flushing  bool
	hurry     chan struct{} // closed by the end of the session while a flush rests; else nil
	nudged    time.Time     // when the connection was last woken for receipts
	nudging   bool          // a timer will wake it
	badFrames int
	// refusedTokens counts the new tokens that were refused.
	refusedTokens int
	lastPong      time.Time
	toldDrop      time.Time // when the client was last told that signals are dropped
	fullSince     time.Time // when the window was first found full; zero while it is not
	begun         bool      // the client knows that it is connected
	retrying      bool      // the store failed; a timer will try again
	held          int       // Hold without Release
	watched       bool      // a timer looks after the full window
	ended         bool
	removed       bool      // from the registry, after it ended
	untold        bool      // all is stored, and the registry is to be told
	lastSeen      time.Time // it was the user's last session until then; zero: not, or stored
}

// inbox is what others have left for the writer.
type inbox struct {
	wakes    []wake
	resync   bool // look at the heads of all threads
	catchUp  bool // a catch-up begins: announce its end
	owed     bool // an announced end that nobody was subscribed to yet
	warning  bool // the client was not told that its token expires, as it has not subscribed that
	control  []control
	last     Reason // why the connection ends once control is sent; zero: it does not
	receipts receiptQueue
	ephemera ephemeralQueue
	replies  replyQueue
}

type wake struct {
	thread chat.ThreadID
	seq    chat.Seq
}

// Bounds of the inbox; each has a way on that loses nothing durable.
const (
	maxWakes   = 1024 // beyond: a resync finds them all
	maxControl = 16   // beyond: dropped, an earlier one still says it
	maxStates  = 1024 // beyond: dropped, the client reads the state when it asks for it
)

// Resumed reports whether the session has the subscriptions of an earlier connection.
func (s *Session) Resumed() bool { return s.resumed }

// KeepFor is how long the client wants its subscriptions to outlive the connection.
func (s *Session) KeepFor() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.params.KeepFor
}

// SetKeepFor changes KeepFor. A client may do so when it leaves.
func (s *Session) SetKeepFor(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.params.KeepFor = d
}

// Lasted is how long ago the session was opened.
func (s *Session) Lasted() time.Duration { return s.reg.now().Sub(s.started) }

// FramesSent is how many frames the client was sent.
func (s *Session) FramesSent() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.frameSeq
}

// Start begins delivery: for a connection that gets everything, or resumed its
// subscriptions, with the replay. It is called once, when the client has been
// told that it is connected.
func (s *Session) Start() {
	prev, await := s.prev, s.await
	switch {
	case s.beaten:
		s.Close(TakenOver)
		return
	case prev == nil && await == nil:
		s.begin()
		return
	}
	// What the device acknowledged on its old connection narrows the replay: wait
	// until it is stored, but not for ever.
	s.reg.spawn(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, takeoverTimeout)
		defer cancel()
		if prev != nil {
			select {
			case <-prev.done:
			case <-ctx.Done():
			}
		}
		if await != nil {
			select {
			case <-await.left:
			case <-ctx.Done():
			}
			s.reg.shard(s.user).stopAwaiting(s)
		}
		s.begin()
	})
}

// takeoverTimeout bounds how long a takeover waits for the old connection.
const takeoverTimeout = 2 * time.Second

func (s *Session) begin() {
	s.mu.Lock()
	if !s.params.SubscribesAll && !s.ended {
		if left := s.reg.inFlight.pop(keptKey{s.user, s.device}); s.resumed {
			s.again, s.window.lastPacket = left.packets, left.last
		}
	}
	s.prev, s.begun = nil, true
	s.inbox.resync = true
	s.inbox.catchUp = s.interest.anyFrames()
	if s.params.SubscribesAll && !s.ended {
		s.inbox.control = slices.Insert(s.inbox.control, 0, control{frame: contracts.HelloFrame(s.reg.store.ID())})
	}
	s.mu.Unlock()
	s.warnIfDue()
	s.params.Transport.Wake()
	s.greet()
}

// wake says that a thread's log has reached seq.
func (s *Session) wake(thread chat.ThreadID, seq chat.Seq) {
	s.mu.Lock()
	if !s.interest.frames(thread).ok {
		s.mu.Unlock()
		return
	}
	in := &s.inbox
	if n := len(in.wakes); n > 0 && in.wakes[n-1].thread == thread {
		in.wakes[n-1].seq = max(in.wakes[n-1].seq, seq)
	} else if n < maxWakes {
		in.wakes = append(in.wakes, wake{thread, seq})
	} else {
		in.wakes, in.resync = nil, true
	}
	s.mu.Unlock()
	s.params.Transport.Wake()
}

// resync has the feed look at all heads, since wakes may have been lost.
func (s *Session) resync() {
	s.mu.Lock()
	s.inbox.resync = true
	s.mu.Unlock()
	s.params.Transport.Wake()
}

// tell queues a control frame.
func (s *Session) tell(f contracts.Frame) {
	s.mu.Lock()
	waiting := 0 // besides those that say a state
	for _, c := range s.inbox.control {
		if c.about == "" {
			waiting++
		}
	}
	if waiting < maxControl {
		s.inbox.control = append(s.inbox.control, control{frame: f})
	}
	s.mu.Unlock()
	s.params.Transport.Wake()
}

// tellState queues a control frame that says the present state of something, in place of an
// earlier one about that which still waits.
func (s *Session) tellState(about string, f contracts.Frame) {
	s.mu.Lock()
	if i := slices.IndexFunc(s.inbox.control, func(c control) bool { return c.about == about }); i >= 0 {
		s.inbox.control[i].frame = f
	} else if len(s.inbox.control) < maxStates {
		s.inbox.control = append(s.inbox.control, control{frame: f, about: about})
	}
	s.mu.Unlock()
	s.params.Transport.Wake()
}

// Subscribe adds a topic filter with the granted QoS, to take effect with Subscribed. The caller
// has checked that the user may. It reports false when the session has too many, or all of the
// user's have together, or the name is longer than any of the tree. It keeps the name: the caller
// has copied it out of its packet.
func (s *Session) Subscribe(name string, f contracts.Filter, qos byte) bool {
	if len(name) > maxFilterBytes {
		return false
	}
	others := s.reg.filtersOfOthers(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.declared.place(name) < 0 && others+s.declared.size()+len(name) > maxUserFiltersBytes {
		return false
	}
	ok, fresh, changed := s.declared.add(name, f, qos)
	s.replays = s.replays || fresh && f.Frames
	s.keeping.changed = s.keeping.changed || changed
	if ok {
		askPresence(&s.asked, f)
	}
	return ok
}

// Unsubscribe removes a topic filter, to take effect with Subscribed. It reports
// whether there was one.
func (s *Session) Unsubscribe(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	removed := s.declared.remove(name)
	s.keeping.changed = s.keeping.changed || removed
	return removed
}

// Subscribed has the subscriptions take effect. The replay of a thread starts at the
// first subscription that matches it. A transport that acknowledges subscriptions calls
// [Session.Hold] before, so that no frame goes out before the acknowledgement.
func (s *Session) Subscribed() {
	s.mu.Lock()
	s.interest = s.declared.share()
	s.greeting.Merge(&s.asked)
	if s.replays {
		s.replays, s.inbox.resync, s.inbox.catchUp = false, true, true
	}
	s.mu.Unlock()
	s.payWarning()
	s.params.Transport.Wake()
	s.greet()
}

// Hold has Fill send nothing until Release is called as often: no frame goes out before
// the acknowledgement of its subscription, which waits to be written.
func (s *Session) Hold() {
	s.mu.Lock()
	s.held++
	s.mu.Unlock()
}

// Release ends a Hold. A call of Fill follows.
func (s *Session) Release() {
	s.mu.Lock()
	s.held--
	s.mu.Unlock()
}

// connection is the session as other nodes know it.
func (s *Session) connection() chat.Connection {
	return chat.Connection{User: s.user, Device: s.device, Conn: s.conn}
}

// Close ends the connection.
func (s *Session) Close(r Reason) { s.params.Transport.Close(r) }

// End says that the connection is gone. The session stops, and stores what the client
// has acknowledged.
func (s *Session) End() {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.ended = true
	s.inbox, s.greeting, s.asked = inbox{}, presence.Greeting{}, presence.Greeting{}
	if s.params.KeepFor > 0 && !s.params.SubscribesAll && s.begun {
		s.reg.inFlight.put(keptKey{s.user, s.device}, s.left())
	}
	s.again = nil
	if !s.fullSince.IsZero() {
		s.reg.stats.WindowFull.Observe(int64(s.reg.now().Sub(s.fullSince)))
	}
	s.mu.Unlock()
	lastSeen := s.reg.remove(s)

	s.mu.Lock()
	s.removed, s.lastSeen = true, lastSeen
	if s.hurry != nil {
		close(s.hurry)
		s.hurry = nil
	}
	idle := !s.flushing
	s.flushing = true
	s.mu.Unlock()
	if idle {
		s.reg.spawn(s.flush)
	}
}

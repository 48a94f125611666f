// Package nats is the bus of several nodes: it carries notices over a NATS server or
// cluster, and within the node without it. NATS may lose what it carries, and may be gone
// altogether: then notices within the node go on, and its handlers are told of the loss, so
// that they look into the store that all nodes share.
//
//	Publish ──► handlers of this node, at once
//	   └──────► outbox: number n of its subject ──► sender ──► NATS ──► other nodes
//	beat, every second: the last number of each subject ──┘
//
// A notice goes to one of 64 subjects, by its thread or, without one, its first user:
//
//	PREFIX.hint.0 … PREFIX.hint.63    a stamp and a notice (package wire)
//	PREFIX.beat                       a heartbeat
//
// and each node hears all by one subscription, so that nothing overtakes. What is missing
// of a node is looked for in the store (repair.go) when a number is missing (peers.go), and
// every two seconds while the node is not heard: as long as it lives, and for a while
// longer. The handlers hear of a loss only where such a look cannot find what is missing.
//
// Goroutines, all ended by Close: connect makes the connection, greet watches it come up,
// send empties the outbox, tick sends heartbeats, enlist tells the register that this node
// lives, repair looks for what is missing, tellLosses calls the handlers. The goroutine of
// NATS's client hands what comes in to the handlers.
//
// Read in this order: nats.go, outbox.go, heartbeat.go (what nodes tell of themselves),
// peers.go (what of theirs is missing), repair.go (the look for it), config.go.
package nats

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/bus/wire"
	"github.com/parleyhq/parley/chat"
)

const (
	subjects    = 64
	beatSubject = subjects
)

// What may wait for the handlers before NATS's client drops some, which is noticed.
const (
	maxPending      = 1 << 16
	maxPendingBytes = 64 << 20
)

// Bus implements [chat.Bus].
type Bus struct {
	local    *local.Bus
	node     chat.NodeID
	register chat.Register // may be nil
	standing func() chat.Standing
	log      *slog.Logger
	names    [subjects + 1]string // of the subjects
	prefix   string
	out      *outbox
	peers    *peers
	stats    stats

	conn      atomic.Pointer[nats.Conn] // nil until connect has made it
	connected atomic.Bool
	enlisted  atomic.Bool           // the register has answered the last time
	serverMax atomic.Int64          // the longest message that the server takes; 0: not known. Asking the client may take as long as a dial
	down      atomic.Pointer[error] // why there is no connection
	up        chan struct{}         // has an item when the connection came up
	lost      chan struct{}         // has an item while the handlers are to be told of a loss
	missing   chan struct{}         // has an item while something may be missing that a look finds
	live      atomic.Pointer[[]chat.Standing]
	listed    time.Time // when the register was last asked who lives, and answered; of enlist

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	closed sync.Once
}

var _ chat.Bus = (*Bus)(nil)

// stats count what the bus did.
type stats struct {
	sent, received atomic.Int64 // notices
	skipped        atomic.Int64 // of those received: messages to nobody here
	dropped        atomic.Int64 // not sent: there was no connection
	broken         atomic.Int64 // received and not readable
	losses         atomic.Int64 // how often the handlers were told
	looks          atomic.Int64 // into the log of a node
	found          atomic.Int64 // threads with news, by those looks
}

// Open makes a bus and connects it. NATS need not be there: the bus goes on trying. The
// error is of the configuration, and tells no secret.
func Open(cfg Config) (*Bus, error) {
	servers, opts, err := cfg.options()
	if err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Standing == nil {
		cfg.Standing = func() chat.Standing { return chat.Standing{} }
	}
	b := &Bus{
		local: local.New(), node: cfg.Node, register: cfg.Register, standing: cfg.Standing, log: cfg.Log.With("nats", servers), prefix: cfg.Prefix,
		out: newOutbox(), peers: newPeers(), up: make(chan struct{}, 1), lost: make(chan struct{}, 1), missing: make(chan struct{}, 1),
	}
	for i := range subjects {
		b.names[i] = b.prefix + ".hint." + strconv.Itoa(i)
	}
	b.names[beatSubject] = b.prefix + ".beat"
	b.wentDown(errors.New("not connected yet"))
	b.ctx, b.cancel = context.WithCancel(context.Background())
	opts = append(opts,
		nats.SetCustomDialer(dialer{b.ctx}), nats.ConnectHandler(b.cameUp), nats.ReconnectHandler(b.cameUp),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { b.disconnected(err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { b.wentDown(err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { b.failed(err) }),
	)
	ready := make(chan struct{})
	b.wg.Go(func() { b.connect(servers, opts, ready) })
	b.wg.Go(func() { b.greet(ready) })
	b.wg.Go(func() { b.send(ready) })
	b.wg.Go(b.tick)
	b.wg.Go(b.tellLosses)
	b.wg.Go(b.repair)
	if b.register != nil {
		b.wg.Go(b.enlist)
	}
	return b, nil
}

// dialer gives up when the bus is closed.
type dialer struct{ ctx context.Context }

// Dial implements nats.CustomDialer.
func (d dialer) Dial(network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(d.ctx, network, address)
}

// connect makes the connection. The first try may take as long as the servers let it,
// and is no reason for anybody to wait.
func (b *Bus) connect(servers string, opts []nats.Option, ready chan<- struct{}) {
	defer close(ready)
	conn, err := nats.Connect(servers, opts...)
	if err != nil { // of the options alone
		b.wentDown(err)
		b.log.Error("the bus cannot be connected", "error", err)
		return
	}
	sub, err := conn.Subscribe(b.prefix+".>", b.receive)
	if err == nil {
		err = sub.SetPendingLimits(maxPending, maxPendingBytes)
	}
	if err != nil {
		b.wentDown(err)
		b.log.Error("the bus cannot be subscribed", "error", err)
	}
	b.conn.Store(conn)
}

// cameUp is called by NATS's client, which must not wait.
func (b *Bus) cameUp(*nats.Conn) {
	select {
	case b.up <- struct{}{}:
	default:
	}
}

// greet has the handlers look for what they missed while there was no connection, once
// the server has the subscription.
func (b *Bus) greet(ready <-chan struct{}) {
	<-ready
	conn := b.conn.Load()
	if conn == nil {
		return
	}
	for {
		select {
		case <-b.up:
		case <-b.ctx.Done():
			return
		}
		for conn.IsConnected() && b.ctx.Err() == nil {
			if conn.FlushTimeout(writeTimeout) != nil {
				continue
			}
			b.serverMax.Store(conn.MaxPayload())
			if !b.connected.Swap(true) {
				b.log.Info("connected to NATS")
			}
			if b.register == nil { // else the heartbeats say what is missing
				b.lose()
			}
			break
		}
	}
}

func (b *Bus) disconnected(err error) {
	if err == nil {
		err = errors.New("the connection was closed")
	}
	b.wentDown(err)
	b.log.Warn("NATS cannot be reached: other nodes hear of events late", "error", err)
}

func (b *Bus) wentDown(err error) {
	b.down.Store(&err)
	b.connected.Store(false)
}

// failed takes what NATS says of the connection beside its end, such as a refused
// permission. What a slow consumer has lost, the numbers show.
func (b *Bus) failed(err error) {
	b.log.Warn("NATS says that something is wrong", "error", err)
}

// Publish implements [chat.Bus]. When it returns, every handler of this node has returned.
func (b *Bus) Publish(n chat.Notice) {
	b.local.Publish(n)
	subject := subjectOf(&n)
	stamped := wire.AppendNotice(wire.AppendStamp(make([]byte, 0, sizeOf(&n)), b.node), &n)
	if len(stamped) > b.maxPayload() && n.Event != nil {
		stamped = wire.AppendNotice(wire.AppendStamp(nil, b.node), wire.Wake(&n))
	}
	if len(stamped) > b.maxPayload() {
		stamped = nil // the others notice that it is missing
	}
	b.out.put(subject, stamped)
}

// maxPayload is the length of the longest notice that is sent.
func (b *Bus) maxPayload() int {
	const stampBytes = 17
	most := wire.MaxBytes + stampBytes
	if limit := int(b.serverMax.Load()); limit > 0 {
		most = min(most, limit)
	}
	return most
}

// sizeOf estimates the length of a notice.
func sizeOf(n *chat.Notice) int {
	size := 256 + 24*len(n.Audience)
	if n.Event != nil && n.Event.Message != nil {
		size += len(n.Event.Message.Ciphertext)
	}
	return size
}

// subjectOf spreads notices over the subjects. Those about one thread share one.
func subjectOf(n *chat.Notice) int {
	var thread chat.ThreadID
	switch {
	case n.Event != nil:
		thread = n.Event.Thread
	case n.Receipt != nil:
		thread = n.Receipt.Thread
	case n.Failure != nil:
		thread = n.Failure.Thread
	case n.Typing != nil:
		thread = n.Typing.Thread
	case n.Wake != nil:
		thread = n.Wake.Thread
	case n.Signal != nil:
		thread = n.Signal.Thread
	case n.Node != nil: // what one node tells arrives in order
		return int(n.Node.From % subjects)
	case n.Presence != nil:
		return hashed(string(n.Presence.User))
	case len(n.Audience) > 0:
		return hashed(string(n.Audience[0]))
	}
	return int(binary.BigEndian.Uint64(thread[8:]) % subjects)
}

func hashed(name string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return int(h.Sum32() % subjects)
}

// send empties the outbox. What there is no connection for is dropped: whoever misses it
// looks into the store.
func (b *Bus) send(ready <-chan struct{}) {
	<-ready // connect ends by itself
	conn := b.conn.Load()
	if conn == nil {
		return
	}
	var batch []outgoing
	for {
		select {
		case <-b.out.some:
		case <-b.ctx.Done():
			return
		}
		batch = b.out.drain(batch)
		for _, out := range batch {
			switch err := conn.Publish(b.names[out.subject], out.data); {
			case err != nil:
				b.stats.dropped.Add(1)
			case out.subject != beatSubject:
				b.stats.sent.Add(1)
			}
		}
	}
}

// receive takes what another node sent.
func (b *Bus) receive(m *nats.Msg) {
	name := strings.TrimPrefix(m.Subject, b.prefix+".")
	if name == "beat" {
		b.receiveBeat(m.Data)
		return
	}
	number, isHint := strings.CutPrefix(name, "hint.")
	subject, err := strconv.Atoi(number)
	if !isHint || err != nil || subject < 0 || subject >= subjects {
		return // a newer node's
	}
	from, n, packed, err := wire.CutStamp(m.Data)
	if err != nil {
		b.unreadable(err)
		return
	}
	if from == b.node {
		return
	}
	b.stats.received.Add(1)
	lost := b.peers.hint(from, subject, n, time.Now())
	if err := b.handOn(packed); err != nil {
		b.unreadable(err)
	}
	if lost {
		b.lose()
	}
}

func (b *Bus) handOn(packed []byte) error {
	p, err := wire.Open(packed)
	if err != nil {
		return err
	}
	if (p.Live || p.Message != (chat.MessageID{})) && b.local.Skip(p.Audience, p.Message) {
		b.stats.skipped.Add(1)
		return nil
	}
	n, err := p.Notice()
	if err != nil {
		return err
	}
	b.local.Publish(n)
	return nil
}

// unreadable counts a notice that cannot be read. If it is not just newer than this build,
// what it told is lost.
func (b *Bus) unreadable(err error) {
	b.stats.broken.Add(1)
	if !errors.Is(err, wire.ErrNewer) {
		b.log.Debug("a notice cannot be read", "error", err)
		b.lose()
	}
}

// lose has the handlers told of a loss.
func (b *Bus) lose() {
	select {
	case b.lost <- struct{}{}:
	default: // they are not told of the one before yet
	}
}

// tellLosses tells the handlers of losses, of those that come close together once.
func (b *Bus) tellLosses() {
	for {
		select {
		case <-b.lost:
		case <-b.ctx.Done():
			return
		}
		b.stats.losses.Add(1)
		b.local.Lose()
		select {
		case <-time.After(lossPause):
		case <-b.ctx.Done():
			return
		}
	}
}

// Subscribe implements [chat.Bus].
func (b *Bus) Subscribe(h chat.BusHandler) (stop func()) { return b.local.Subscribe(h) }

// Ping implements [chat.Bus]. It does not ask NATS: the connection is watched all the time.
func (b *Bus) Ping(ctx context.Context) error {
	if err := b.local.Ping(ctx); err != nil {
		return err
	}
	if !b.connected.Load() {
		return fmt.Errorf("NATS cannot be reached: %w", *b.down.Load())
	}
	return nil
}

// Notices lists how many notices had each fate.
func (b *Bus) Notices(yield func(count int64, fate ...string)) {
	s := &b.stats
	yield(s.sent.Load(), "sent")
	yield(s.received.Load(), "received")
	yield(s.skipped.Load(), "skipped")
	yield(s.dropped.Load(), "dropped")
	yield(b.out.overflowed.Load(), "overflowed")
	yield(s.broken.Load(), "unreadable")
}

// Losses is how often the handlers were told of a loss.
func (b *Bus) Losses() int64 { return b.stats.losses.Load() }

// Repairs is how often the log was looked into for what was missing of a node, and in how
// many threads there was news.
func (b *Bus) Repairs() (looks, threads int64) { return b.stats.looks.Load(), b.stats.found.Load() }

// Live lists the nodes that live, this one too, as the register gave them last.
func (b *Bus) Live() []chat.Standing {
	if live := b.live.Load(); live != nil {
		return *live
	}
	return nil
}

// Connected reports whether there is a connection to NATS.
func (b *Bus) Connected() bool { return b.connected.Load() }

// Peers is how many other nodes are heard.
func (b *Bus) Peers() int { return b.peers.count(time.Now()) }

// Close implements [chat.Bus]. It says goodbye, so that nobody looks for this node.
func (b *Bus) Close() error {
	b.closed.Do(func() {
		b.beat(true)
		b.cancel()
		_ = b.local.Close()
		b.wg.Wait()
		if conn := b.conn.Load(); conn != nil {
			b.goodbye(conn)
			conn.Close()
		}
		if b.register != nil {
			ctx, cancel := context.WithTimeout(context.Background(), byeTimeout)
			defer cancel()
			_ = b.register.Leave(ctx, b.node) // or the list forgets it by itself
		}
	})
	return nil
}

// goodbye sends what still waits, the last heartbeat at its end.
func (b *Bus) goodbye(conn *nats.Conn) {
	if !conn.IsConnected() {
		return
	}
	for _, out := range b.out.drain(nil) {
		_ = conn.Publish(b.names[out.subject], out.data)
	}
	_ = conn.FlushTimeout(byeTimeout)
}

package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/auth/jwks"
	"github.com/parleyhq/parley/broker"
	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/bus"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/hooks"
	"github.com/parleyhq/parley/internal/admission"
	"github.com/parleyhq/parley/internal/measure"
	"github.com/parleyhq/parley/rest"
	"github.com/parleyhq/parley/store"
)

// Time limits of a start and a stop (docs/contract.md#running-a-server: both
// within 10 s). The drain delay is part of a stop, but at least minStop remains
// for the rest.
const (
	startTimeout = 8 * time.Second
	openTimeout  = 6 * time.Second // the store's part of a start; within it the store says what is wrong
	stopTimeout  = 7 * time.Second // without the closing of the store, which may need a moment more
	minStop      = 3 * time.Second
)

// serve is `parley serve`: it runs until ctx ends, then drains.
func serve(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	set, err := parseServe(args, stdout)
	if err != nil {
		return err
	}
	keepFilesPrivate()
	var level slog.Level
	if err := level.UnmarshalText([]byte(set.logLevel)); err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	n, err := start(ctx, set, slog.New(newRepeatsHandler(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: level}))))
	if err != nil {
		return err
	}
	if set.dev {
		if err := welcome(stdout, n.secret, n.http.Addr(), n.cert != nil, addrOf(n.mqtt)); err != nil {
			n.stop()
			return err
		}
	}
	select {
	case <-ctx.Done():
	case err = <-n.failed:
	}
	n.stop()
	return err
}

// node is a running server with all its parts.
type node struct {
	set    settings
	log    *slog.Logger
	now    func() time.Time
	secret []byte       // nil: tokens are verified with the key set alone
	keys   *jwks.Source // nil: tokens are verified with the secret alone
	cert   *certificate // nil: no TLS

	id         chat.NodeID // of this process among those that share the store
	store      chat.Store
	skew       *chat.Skew // nil: the store has no clock of its own
	bus        chat.Bus
	chat       *chat.Service
	serving    atomic.Pointer[chat.Service] // chat, for what runs before it is made
	sessions   *session.Registry
	broker     *broker.Broker
	metrics    *prometheus.Registry
	refusals   measure.Tally[[2]string] // of REST, by protocol and code
	publishes  measure.Tally[string]    // of messages over MQTT, by result
	subscribes measure.Tally[string]    // filters refused over MQTT, by reason code
	servers    []*rest.Server

	http, mqtt, mqtts, scrape net.Listener // nil: the address is not set

	stopBackground context.CancelFunc
	background     sync.WaitGroup

	backups *backups // nil: the store is not embedded

	gate     *admission.Gate
	draining atomic.Bool
	dead     atomic.Bool // only a restart can help
	failed   chan error  // the error of a listener that has ended, or of the store
}

// start opens all parts of a server and lets it serve. On an error it closes again what it
// has opened.
func start(ctx context.Context, set settings, log *slog.Logger) (*node, error) {
	n := &node{set: set, log: log, now: clock(), id: chat.NewNodeID(), failed: make(chan error, 5)}
	if len(set.unknownVariables) > 0 {
		log.Warn("environment variables that look like settings and are none; Kubernetes makes some for a Service named parley (enableServiceLinks: false stops it)",
			"names", set.unknownVariables)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := n.open(ctx); err != nil {
		n.close()
		return nil, err
	}
	n.run()
	return n, nil
}

func (n *node) open(ctx context.Context) error {
	verifier, err := n.openKeys(ctx)
	if err != nil {
		return err
	}
	gate, files := n.set.gate(n.log)
	n.gate = gate
	if err := n.listen(); err != nil {
		return err
	}
	opts := store.Options{IdempotencyWindow: n.set.limits.IdempotencyWindow, Now: n.now, Log: n.log, OpenTables: files.tables, Node: n.id, MongoDB: n.set.mongodb}
	if n.store, err = openStore(ctx, n.set.store, opts); err != nil {
		return fmt.Errorf("open --store: %w", err)
	}
	n.backups = serveBackups(n.set.store, n.store, n.log)
	n.store = withPausePoints(n.store)
	if n.bus, err = n.openBus(); err != nil {
		return fmt.Errorf("open --bus: %w", err)
	}
	return n.assemble(verifier)
}

// openBus opens the bus. One over NATS knows by the store who else lives, and is told apart
// from that of another database.
func (n *node) openBus() (chat.Bus, error) {
	opts := bus.Options{
		Prefix: n.set.nats.prefix, Credentials: n.set.nats.credentials, NKey: n.set.nats.nkey, CA: n.set.nats.ca,
		Node: n.id, Log: n.log, Standing: n.standing,
	}
	if shared, ok := n.store.(interface {
		chat.Register
		Database() string
	}); ok {
		opts.Register = shared
		name := shared.Database()
		if !plainWord.MatchString(name) {
			name = "x" + hex.EncodeToString([]byte(name))
		}
		opts.Prefix = cmp.Or(opts.Prefix, bus.DefaultPrefix+"."+name)
	}
	return bus.Open(n.set.bus, opts)
}

// standing says how this node stands, to the others. Before the chat service is made,
// nothing can be said.
func (n *node) standing() chat.Standing {
	if svc := n.serving.Load(); svc != nil {
		return svc.Standing()
	}
	return chat.Standing{}
}

// plainWord is a name that a subject of NATS may have as it is.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// openStore opens the store, or gives up when ctx ends, since a store that cannot write may
// try for ever. What the store still does then ends with the process.
func openStore(ctx context.Context, url string, opts store.Options) (chat.Store, error) {
	type opened struct {
		store chat.Store
		err   error
	}
	done := make(chan opened, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, openTimeout)
		defer cancel()
		s, err := store.Open(ctx, url, opts)
		done <- opened{s, err}
	}()
	select {
	case o := <-done:
		return o.store, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("the store did not open in time: %w", context.Cause(ctx))
	}
}

// openKeys makes the verifier of tokens from the secret, the key set or both.
func (n *node) openKeys(ctx context.Context) (*auth.Verifier, error) {
	devData := ""
	if n.set.dev {
		devData = n.set.data
		if err := makeDevSecret(devData); err != nil {
			return nil, err
		}
	}
	var err error
	if n.secret, err = n.set.keys.readSecret(devData); err != nil {
		return nil, err
	}
	warnOfReaders(n.log, "jwt-secret-file", n.set.keys.secretFile)
	warnOfReaders(n.log, "tls-key", n.set.tlsKey)
	cfg := auth.Config{Secret: n.secret, Issuer: n.set.keys.issuer, Audience: n.set.keys.audience}
	if n.set.keys.jwks != "" {
		if n.keys, err = jwks.Open(ctx, n.set.keys.jwks, n.log); err != nil {
			return nil, fmt.Errorf("open --jwks: %w", err)
		}
		cfg.Keys = n.keys
	}
	return auth.NewVerifier(cfg)
}

// listen opens the listeners. It comes before the slower parts of a start, so that a port in
// use is reported at once.
func (n *node) listen() error {
	var err error
	if n.set.tlsCert != "" {
		if n.cert, err = loadCertificate(n.set.tlsCert, n.set.tlsKey, n.log); err != nil {
			return err
		}
	}
	for _, l := range []struct {
		flag, addr string
		ln         *net.Listener
		secure     string // the protocol inside TLS if there is a certificate; "": never TLS
	}{
		{"listen", n.set.listen, &n.http, protocolHTTP},
		{"mqtt-listen", n.set.mqttListen, &n.mqtt, ""},
		{"mqtts-listen", n.set.mqttsListen, &n.mqtts, protocolMQTT},
		{"metrics-listen", n.set.metricsListen, &n.scrape, ""},
	} {
		if l.addr == "" {
			continue
		}
		ln, err := listenTCP(l.addr, n.log)
		if err != nil {
			return fmt.Errorf("--%s: %w", l.flag, err)
		}
		if l.ln != &n.scrape { // operators are no strangers
			ln = n.gate.Listen(ln)
		}
		if l.ln == &n.mqtt || l.ln == &n.mqtts {
			ln = behindProxies(ln, n.set.proxies)
		}
		if l.secure != "" && n.cert != nil {
			ln = &secureListener{ln, n.cert.config(l.secure)}
		}
		*l.ln = ln
	}
	return nil
}

// assemble wires the parts together.
func (n *node) assemble(verifier *auth.Verifier) error {
	newest, err := n.newestID()
	if err != nil {
		return err
	}
	n.compareClocks()
	sweeps := n.sweeps()
	n.chat = chat.New(chat.Config{
		Store: n.store, Bus: n.bus, Log: n.log, Limits: n.set.limits, Now: n.now, Online: n.online, Connected: n.connected, Newest: newest, Skew: n.skew, Sweeps: sweeps,
	})
	n.serving.Store(n.chat)
	n.sessions = session.NewRegistry(session.Config{
		Store: n.skew.Guard(n.store), Bus: n.bus, Chat: n.chat, Log: n.log, Limits: n.set.live, Now: n.now,
		Node: n.id, Sweeps: sweeps,
		Verify: func(token string, c chat.Caller) (session.Token, error) {
			id, err := verifier.Renew(token, c)
			c.Scopes = id.Scopes
			return session.Token{Caller: c, Expires: id.Expires, Key: id.Key}, err
		},
	})
	if n.keys != nil {
		n.keys.OnGone(n.sessions.EndTokensOf)
	}
	verifier.RefuseRemoved(n.chat.CheckDevice)
	origins, err := n.set.originPolicy(n.log)
	if err != nil {
		return err
	}
	n.broker = broker.New(broker.Config{
		Sessions: n.sessions, Verifier: verifier, Log: n.log, Origins: origins, ReceiveMaximum: receiveMaximum(n.set.limits),
		Proxies: n.set.proxies,
	})
	err = n.broker.AddHook(hooks.New(hooks.Config{
		Server: n.broker.Server(), Sessions: n.sessions, Access: n.chat, Sender: n.chat, Verifier: verifier, Log: n.log, Store: n.store.ID(),
		MaxPacketBytes: broker.MaxPacketBytes, KeepSubscriptions: n.set.live.KeepSubscriptions,
		Published:        func(result string) { n.publishes.Add(result, 1) },
		SubscribeRefused: func(code byte) { n.subscribes.Add(fmt.Sprintf("0x%02X", code), 1) },
	}))
	if err != nil {
		return err
	}
	n.metrics = newMetrics(n)
	cfg := rest.Config{
		Chat: n.chat, Verifier: verifier, Log: n.log, Realtime: n.broker.Upgrade, Origins: origins,
		Metrics: n.metrics, ServeMetrics: n.scrape == nil, Draining: n.draining.Load, Dead: n.dead.Load,
		Proxies: n.set.proxies, AccessLog: n.set.accessLog,
		Refused: func(code chat.Code) { n.refusals.Add([2]string{"rest", string(code)}, 1) },
		Failed:  func(f rest.Failure) { n.sessions.Stats().StoreErrors.Add(string(f), 1) },
	}
	if cfg.Pages, err = n.demoPage(); err != nil {
		return err
	}
	n.servers = append(n.servers, rest.New(cfg))
	if n.scrape != nil {
		n.servers = append(n.servers, rest.NewOperations(cfg, n.set.debug))
	}
	return nil
}

// sweeps is the lease of what one of several nodes does for all; nil if this one is alone.
func (n *node) sweeps() *chat.Lease {
	if leaser, ok := n.store.(chat.Leaser); ok && bus.Spans(n.set.bus) {
		return chat.NewLease(leaser, "sweeps", n.id, nil)
	}
	return nil
}

// newestID asks the store from which id on new ones are to go on.
func (n *node) newestID() (chat.EventID, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	return n.store.NewestID(ctx)
}

// compareClocks compares the clock with the store's, if that has one, before anything is
// stored.
func (n *node) compareClocks() {
	keeper, ok := n.store.(chat.Timekeeper)
	if !ok {
		return
	}
	n.skew = chat.NewSkew(chat.SkewConfig{
		Keeper: keeper, Now: n.now, Tolerance: n.set.clockSkew, Log: n.log,
		Shared: func(by time.Duration) bool { return chat.MostAgree(by, n.id, bus.FiguresOf(n.bus).Live()) },
	})
	if err := n.skew.Compare(context.Background()); err != nil {
		n.log.Warn("the clock could not be compared with the database's, will retry", "error", err)
	}
}

// online asks the sessions whether a user is connected. The chat service needs it before
// the sessions are made.
func (n *node) online(ctx context.Context, user chat.UserID) (bool, error) {
	return n.sessions.Online(ctx, user)
}

// connected lists a user's connected devices, as the sessions know them.
func (n *node) connected(user chat.UserID) []chat.DeviceID { return n.sessions.Connected(user) }

// run starts the background work, and the serving on all listeners.
func (n *node) run() {
	ctx, stop := context.WithCancel(context.Background())
	n.stopBackground = stop
	n.background.Go(func() { n.chat.RunExpiry(ctx) })
	n.background.Go(func() { n.chat.WatchClock(ctx) })
	n.background.Go(func() { n.chat.TellStatesAgain(ctx) })
	if n.skew != nil {
		n.background.Go(func() { n.skew.Watch(ctx) })
	}
	n.background.Go(func() { n.chat.ForgetDevices(ctx) })
	n.background.Go(func() { giveBackMemory(ctx) })
	if s, ok := n.store.(interface{ Failed() <-chan error }); ok {
		n.background.Go(func() { n.watch(ctx, s.Failed()) })
	}
	n.serveOn("http", n.http, n.servers[0].Serve)
	if n.mqtt != nil {
		n.serveOn("mqtt", n.mqtt, n.broker.ServeTCP)
	}
	if n.mqtts != nil {
		n.serveOn("mqtts", n.mqtts, n.broker.ServeTCP)
	}
	if n.scrape != nil {
		n.serveOn("metrics", n.scrape, n.servers[1].Serve)
	}
}

// watch ends the node when its store cannot go on in this process and could in the next:
// its supervisor starts that.
func (n *node) watch(ctx context.Context, failed <-chan error) {
	select {
	case err := <-failed:
		n.dead.Store(true)
		n.failed <- err
	case <-ctx.Done():
	}
}

func (n *node) serveOn(service string, ln net.Listener, serve func(net.Listener) error) {
	_, secure := ln.(*secureListener)
	n.log.Info("listening", "service", service, "addr", ln.Addr().String(), "tls", secure, "version", version)
	go func() { // ends when stop closes the listener
		if err := serve(ln); err != nil && !errors.Is(err, net.ErrClosed) && !n.draining.Load() {
			n.failed <- fmt.Errorf("serve %s: %w", service, err)
		}
	}()
}

// stop drains the node (docs/contract.md#running-a-server): /readyz answers
// 503, and after the drain delay the node accepts no more connections, sends
// its clients away, finishes what is being written and closes the store.
func (n *node) stop() {
	n.log.Info("stopping", "drain_delay", n.set.drainDelay.String())
	n.draining.Store(true)
	if n.set.drainDelay > 0 {
		<-time.After(n.set.drainDelay)
	}
	ctx, cancel := context.WithTimeout(context.Background(), max(stopTimeout-n.set.drainDelay, minStop))
	defer cancel()
	n.sessions.Drain()
	closing, cancelClosing := context.WithTimeout(ctx, minStop/2) // the rest of the time is for storing what was acknowledged
	defer cancelClosing()
	n.broker.Close(closing)
	for _, server := range n.servers {
		if err := server.Shutdown(ctx); err != nil {
			n.log.Warn("requests were cut off", "error", err)
		}
	}
	n.stopBackground()
	n.background.Wait()
	n.chat.Close(ctx)
	n.sessions.Close(ctx)
	n.close()
	n.log.Info("stopped")
}

// close closes what start has opened and what is still open.
func (n *node) close() {
	for _, ln := range []net.Listener{n.http, n.mqtt, n.mqtts, n.scrape} {
		if ln != nil {
			_ = ln.Close() // the error says that it is closed already
		}
	}
	if n.keys != nil {
		n.keys.Close()
	}
	if n.bus != nil {
		if err := n.bus.Close(); err != nil {
			n.log.Error("close the bus", "error", err)
		}
	}
	n.backups.close()
	if n.store != nil {
		n.closeStore()
	}
}

// closeStore closes the store, or leaves that to the end of the process: one that has failed may
// try for ever.
func (n *node) closeStore() {
	closed := make(chan error, 1)
	go func() { closed <- n.store.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			n.log.Error("close the store", "error", err)
		}
	case <-time.After(minStop):
		n.log.Error("the store did not close in time")
	}
}

// warnOfReaders warns of a secret in a file that others on this machine can read.
func warnOfReaders(log *slog.Logger, flag, name string) {
	if name == "" {
		return
	}
	if info, err := os.Stat(name); err == nil && info.Mode().Perm()&0o004 != 0 {
		log.Warn("others on this machine can read a secret file", "flag", "--"+flag, "file", name, "mode", info.Mode().Perm().String())
	}
}

func addrOf(ln net.Listener) net.Addr {
	if ln == nil {
		return nil
	}
	return ln.Addr()
}

// receiveMaximum is how many publishes an MQTT client may have unanswered: no more than its
// user may send at once (docs/contract.md#mqtt). Zero is the broker's own bound.
func receiveMaximum(l chat.Limits) uint16 {
	if l.SendRate <= 0 {
		return 0
	}
	return uint16(min(l.SendBurst, broker.MaxUnanswered))
}

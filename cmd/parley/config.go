package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/bus"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/internal/clientaddr"
	"github.com/parleyhq/parley/internal/origin"
	"github.com/parleyhq/parley/rest"
	"github.com/parleyhq/parley/store"
)

// settings are the settings of `parley serve` (docs/contract.md#running-a-server).
type settings struct {
	dev  bool
	demo bool
	data string

	listen         string
	mqttListen     string
	mqttsListen    string
	tlsCert        string
	tlsKey         string
	metricsListen  string
	debug          bool
	allowedOrigins list
	trustedProxies list
	proxies        clientaddr.Proxies // those of trustedProxies
	store          string
	mongodb        store.MongoDBOptions
	bus            string
	nats           natsSettings
	drainDelay     time.Duration
	clockSkew      time.Duration
	connections    int // 0: as many as the limit of open files allows
	perAddress     int // 0: no limit
	logLevel       string
	accessLog      string

	unknownVariables []string // of the environment, that no flag reads

	keys   keySettings
	limits chat.Limits
	live   session.Limits
}

// keySettings say with what tokens are signed and verified.
type keySettings struct {
	secret     string
	secretFile string
	jwks       string // only serve has it
	issuer     string
	audience   string
}

// natsSettings say how to log in to NATS and what is whose there.
type natsSettings struct{ prefix, credentials, nkey, ca string }

func (n *natsSettings) register(fs *flag.FlagSet) {
	fs.StringVar(&n.prefix, "nats-prefix", "", "`words` that all subjects on NATS begin with, the same at all nodes of a database (default: parley and the database's name)")
	fs.StringVar(&n.credentials, "nats-creds", "", "`file` of the JWT and seed of a NATS user")
	fs.StringVar(&n.nkey, "nats-nkey", "", "`file` of the seed of an NKey for NATS")
	fs.StringVar(&n.ca, "nats-ca", "", "PEM `file` of the authorities that NATS's certificates may be of (default: the system's)")
}

// registerMongoDB makes the flags of a MongoDB store. What is 0 is as the URL says or, if it
// does not, as the defaults do.
func registerMongoDB(fs *flag.FlagSet, m *store.MongoDBOptions) {
	d := store.DefaultMongoDBOptions
	fs.DurationVar(&m.Timeout, "mongodb-timeout", 0, fmt.Sprintf("how long MongoDB may take for a command that has no closer deadline (default: timeoutMS of --store, else %v)", d.Timeout))
	fs.DurationVar(&m.SelectionTimeout, "mongodb-selection-timeout", 0, fmt.Sprintf("how long a command waits for a server that takes it, as during an election (default: serverSelectionTimeoutMS of --store, else %v)", d.SelectionTimeout))
	fs.DurationVar(&m.ConnectTimeout, "mongodb-connect-timeout", 0, fmt.Sprintf("how long a connection to MongoDB may take (default: connectTimeoutMS of --store, else %v)", d.ConnectTimeout))
	fs.IntVar(&m.MaxPool, "mongodb-max-pool", 0, fmt.Sprintf("connections to each server of MongoDB, at most (default: maxPoolSize of --store, else %d)", d.MaxPool))
	fs.IntVar(&m.MinPool, "mongodb-min-pool", 0, "connections to each server of MongoDB that are kept open (default: minPoolSize of --store, else 0)")
}

// The defaults of `serve --dev`: everything on loopback.
const (
	devListen     = "127.0.0.1:8080"
	devMQTTListen = "127.0.0.1:1883"
	devUserOne    = "alice"
	devUserTwo    = "bob"
)

func (k *keySettings) register(fs *flag.FlagSet) {
	fs.StringVar(&k.secret, "jwt-secret", "", "`secret` of HS256 tokens, at least 32 bytes")
	fs.StringVar(&k.secretFile, "jwt-secret-file", "", "`file` that holds the secret")
	fs.StringVar(&k.issuer, "jwt-issuer", "", "`iss` that tokens must have (default: any)")
	fs.StringVar(&k.audience, "jwt-audience", "", "`aud` that tokens must have (default: any)")
}

func parseServe(args []string, output io.Writer) (settings, error) {
	var s settings
	fs := newFlagSet("parley serve")
	fs.BoolVar(&s.dev, "dev", false, "try Parley: all on loopback, MQTT on port 1883, store and secret in --data, tokens for two demo users")
	fs.BoolVar(&s.demo, "demo", false, "serve the demo page at /, which asks for tokens; with --dev it is there, and has tokens of demo users")
	fs.StringVar(&s.data, "data", "./data", "`directory` in which --dev keeps its store and secret")
	fs.StringVar(&s.listen, "listen", ":8080", "`address` of REST and realtime")
	fs.StringVar(&s.mqttListen, "mqtt-listen", "", "`address` of MQTT over TCP (default: off)")
	fs.StringVar(&s.mqttsListen, "mqtts-listen", "", "`address` of MQTT over TLS, with --tls-cert and --tls-key (default: off)")
	fs.StringVar(&s.tlsCert, "tls-cert", "", "PEM `file` of the certificate and its chain; with it and --tls-key, --listen is HTTPS")
	fs.StringVar(&s.tlsKey, "tls-key", "", "PEM `file` of the key of --tls-cert")
	fs.StringVar(&s.metricsListen, "metrics-listen", "", "`address` for /metrics, /healthz and /readyz (default: /metrics is on --listen)")
	fs.BoolVar(&s.debug, "debug", false, "profiles under /debug/pprof/ on --metrics-listen")
	fs.Var(&s.allowedOrigins, "allowed-origins", "web `origins` whose pages may use the API and connect, as https://app.example, separated by commas, * for all (default: the same origin)")
	fs.Var(&s.trustedProxies, "trusted-proxies", "`addresses` and networks of your proxies, whose X-Forwarded-For and PROXY headers are believed (default: none)")
	s.logLevel, s.accessLog = "info", rest.LogErrors
	fs.Var(choice{&s.logLevel, []string{"debug", "info", "warn", "error"}}, "log-level", "the least `level` of lines in the log: debug, info, warn or error")
	fs.Var(choice{&s.accessLog, []string{rest.LogOff, rest.LogErrors, rest.LogAll}}, "access-log", "`which` requests are logged: off, errors (and slow ones) or all")
	fs.StringVar(&s.store, "store", "", "`URL` of the store: pebble:DIR or mongodb://HOST/DATABASE")
	fs.StringVar(&s.bus, "bus", "local", "`URL` of the bus: local or, for several nodes on one MongoDB, nats://HOST:PORT")
	s.nats.register(fs)
	registerMongoDB(fs, &s.mongodb)
	fs.DurationVar(&s.drainDelay, "drain-delay", time.Second, "how long /readyz answers 503 before a stopping server closes its listeners")
	fs.DurationVar(&s.clockSkew, "clock-skew", chat.DefaultSkewTolerance, "how far the clock may be from MongoDB's before /readyz says degraded")
	s.keys.register(fs)
	fs.StringVar(&s.keys.jwks, "jwks", "", "JSON Web Key Set of RS256, ES256 and EdDSA tokens: a `file or URL`, with https or, on loopback, http")
	d := chat.DefaultLimits
	fs.IntVar(&s.limits.Participants, "max-participants", d.Participants, "participants of a group")
	fs.IntVar(&s.limits.CiphertextBytes, "max-ciphertext", d.CiphertextBytes, "bytes of the ciphertext of a message")
	fs.Float64Var(&s.limits.SendRate, "rate-send", d.SendRate, "durable writes of a user per second, messages above all, 0 for no limit")
	fs.IntVar(&s.limits.SendBurst, "rate-send-burst", d.SendBurst, "durable writes of a user at once, before --rate-send applies")
	fs.Float64Var(&s.limits.SystemRate, "rate-system", d.SystemRate, "system messages of a service per second, 0 for no limit")
	fs.Float64Var(&s.limits.ReadRate, "rate-read", d.ReadRate, "reads of a user per second, 0 for no limit")
	fs.IntVar(&s.limits.ReadBurst, "rate-read-burst", d.ReadBurst, "reads of a user at once, before --rate-read applies")
	fs.Float64Var(&s.limits.SignalRate, "rate-signals", d.SignalRate, "signals of a user per second, 0 for no limit")
	fs.IntVar(&s.limits.PrekeyFetches, "rate-prekeys", d.PrekeyFetches, "prekey fetches of a caller per minute, 0 for no limit")
	fs.IntVar(&s.limits.PrekeyFetchesOf, "rate-prekeys-of", d.PrekeyFetchesOf, "prekey fetches of a caller for one and the same user per ten minutes, 0 for no limit")
	fs.IntVar(&s.limits.Strangers, "rate-strangers", d.Strangers, "people whom a user may put into threads in 24 hours who have accepted no 1:1 with it, 0 for no limit")
	fs.DurationVar(&s.limits.EditWindow, "edit-window", d.EditWindow, "how long a message may be edited or deleted")
	fs.IntVar(&s.limits.Pins, "max-pins", d.Pins, "pinned messages of a thread")
	fs.IntVar(&s.limits.PageSize, "max-page-size", d.PageSize, "items of the largest page")
	fs.DurationVar(&s.limits.IdempotencyWindow, "idempotency-window", d.IdempotencyWindow, "how long the server recognises a retry by its idempotency key")
	l := session.DefaultLimits
	fs.IntVar(&s.live.ConnectionsPerUser, "max-connections-per-user", l.ConnectionsPerUser, "realtime connections of one user")
	fs.IntVar(&s.connections, "max-connections", 0, "connections in all, HTTP's too (default: the limit of open files less a reserve)")
	fs.IntVar(&s.perAddress, "max-connections-per-address", 0, "connections of one IP address, or one IPv6 network of 64 bits, 0 for no limit")
	fs.IntVar(&s.live.Window, "ack-window", l.Window, "frames sent to a connection and not yet acknowledged, at most")
	fs.DurationVar(&s.live.AckTimeout, "ack-timeout", l.AckTimeout, "how long --ack-window may stay full before the connection is closed")
	fs.DurationVar(&s.live.PingInterval, "ping-interval", l.PingInterval, "time between two pings of a WebSocket")
	fs.DurationVar(&s.live.PresenceGrace, "presence-grace", l.PresenceGrace, "how long a user stays online without a connection")
	fs.DurationVar(&s.live.KeepSubscriptions, "mqtt-session-expiry", l.KeepSubscriptions, "the longest time that MQTT subscriptions outlive their connection")
	if err := parse(fs, args, output); err != nil {
		return settings{}, err
	}
	s.unknownVariables = unknownVariables(fs)
	s.forDev(fs)
	return s, s.check()
}

// forDev fills in the defaults of --dev where nothing was set.
func (s *settings) forDev(fs *flag.FlagSet) {
	if !s.dev {
		return
	}
	set := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if !set["listen"] {
		s.listen = devListen
	}
	if !set["mqtt-listen"] {
		s.mqttListen = devMQTTListen
	}
	if s.store == "" {
		s.store = "pebble:" + filepath.Join(s.data, "store")
	}
}

// check refuses settings that cannot work. The error names the flag.
func (s *settings) check() error {
	switch {
	case s.store == "":
		return errors.New("no store: set --store pebble:DIR or mongodb://…, or try --dev")
	case s.listen == "":
		return errors.New("--listen is empty")
	case (s.tlsCert == "") != (s.tlsKey == ""):
		return errors.New("--tls-cert and --tls-key go together: set both")
	case s.mqttsListen != "" && s.tlsCert == "":
		return errors.New("--mqtts-listen needs --tls-cert and --tls-key")
	case s.debug && s.metricsListen == "":
		return errors.New("--debug needs --metrics-listen, where it serves profiles")
	case s.drainDelay < 0:
		return fmt.Errorf("--drain-delay is %v: it must not be negative", s.drainDelay)
	case s.clockSkew <= 0 || s.clockSkew > chat.MaxSkew:
		return fmt.Errorf("--clock-skew is %v: it must be more than 0 and at most %v", s.clockSkew, chat.MaxSkew)
	case s.connections < 0 || s.perAddress < 0:
		return errors.New("--max-connections and --max-connections-per-address must not be negative")
	}
	if err := cmp.Or(s.checkBus(), s.checkMongoDB(), s.checkRanges()); err != nil {
		return err
	}
	var err error
	if s.proxies, err = clientaddr.Parse(s.trustedProxies); err != nil {
		return fmt.Errorf("--trusted-proxies: %w", err)
	}
	_, err = s.originPolicy(slog.New(slog.DiscardHandler))
	return err
}

// checkBus refuses a bus that does not go with the other settings.
func (s *settings) checkBus() error {
	switch {
	case bus.Spans(s.bus) && strings.HasPrefix(s.store, "pebble:"):
		return errors.New("--bus over NATS is for nodes that share a store, and an embedded one (pebble:) is of one node alone: set --store mongodb://…, or --bus local")
	case s.nats != (natsSettings{}) && !bus.Spans(s.bus):
		return errors.New("--nats-… settings are for --bus nats://…")
	}
	return nil
}

// checkMongoDB refuses settings of a MongoDB that cannot work, or are for another store.
func (s *settings) checkMongoDB() error {
	m := s.mongodb
	switch {
	case m != (store.MongoDBOptions{}) && strings.HasPrefix(s.store, "pebble:"):
		return errors.New("--mongodb-… settings are for --store mongodb://…")
	case m.Timeout < 0 || m.SelectionTimeout < 0 || m.ConnectTimeout < 0:
		return errors.New("--mongodb-timeout, --mongodb-selection-timeout and --mongodb-connect-timeout must not be negative")
	case m.MaxPool < 0 || m.MinPool < 0:
		return errors.New("--mongodb-max-pool and --mongodb-min-pool must not be negative")
	case m.MinPool > cmp.Or(m.MaxPool, store.DefaultMongoDBOptions.MaxPool):
		return fmt.Errorf("--mongodb-min-pool is %d: it must be at most --mongodb-max-pool", m.MinPool)
	}
	return nil
}

// checkRanges refuses numbers that are too small or too large. The error shows the number.
func (s *settings) checkRanges() error {
	for name, rate := range map[string]float64{"rate-send": s.limits.SendRate, "rate-read": s.limits.ReadRate, "rate-system": s.limits.SystemRate, "rate-signals": s.limits.SignalRate} {
		if math.IsNaN(rate) || math.IsInf(rate, 0) || rate < 0 {
			return fmt.Errorf("--%s is %v: it must be 0 (no limit) or more", name, rate)
		}
	}
	for name, n := range map[string]int{"rate-prekeys": s.limits.PrekeyFetches, "rate-prekeys-of": s.limits.PrekeyFetchesOf, "rate-strangers": s.limits.Strangers} {
		if n < 0 {
			return fmt.Errorf("--%s is %d: it must be 0 (no limit) or more", name, n)
		}
	}
	if n := s.limits.Strangers; n > chat.MaxStrangers {
		return fmt.Errorf("--rate-strangers is %d: it must be at most %d", n, chat.MaxStrangers)
	}
	for name, n := range map[string]int{
		"max-participants": s.limits.Participants, "max-ciphertext": s.limits.CiphertextBytes,
		"max-page-size": s.limits.PageSize, "max-pins": s.limits.Pins,
		"rate-send-burst": s.limits.SendBurst, "rate-read-burst": s.limits.ReadBurst,
		"max-connections-per-user": s.live.ConnectionsPerUser, "ack-window": s.live.Window,
	} {
		if n < 1 {
			return fmt.Errorf("--%s is %d: it must be at least 1", name, n)
		}
	}
	if n := s.limits.CiphertextBytes; n > maxCiphertext {
		return fmt.Errorf("--max-ciphertext is %d: it must be at most %d, since a request has at most %d KiB with it in base64", n, maxCiphertext, rest.DefaultLimits.BodyBytes>>10)
	}
	if n := s.live.Window; n > maxWindow {
		return fmt.Errorf("--ack-window is %d: it must be at most %d, since packet ids run out", n, maxWindow)
	}
	for name, d := range map[string]time.Duration{
		"edit-window": s.limits.EditWindow, "idempotency-window": s.limits.IdempotencyWindow,
		"ack-timeout": s.live.AckTimeout, "ping-interval": s.live.PingInterval,
		"mqtt-session-expiry": s.live.KeepSubscriptions, "presence-grace": s.live.PresenceGrace,
	} {
		if d <= 0 {
			return fmt.Errorf("--%s is %v: it must be more than 0", name, d)
		}
	}
	return nil
}

// maxCiphertext is what fits a request's body, in base64 and beside the longest of all other fields:
// the attachment's id, whose characters may be written as two escapes of six bytes each.
var maxCiphertext = (rest.DefaultLimits.BodyBytes - 4<<10) / 4 * 3

// maxWindow is half of MQTT's packet ids, so that those of a window differ.
const maxWindow = 32 << 10

// originPolicy is that of --allowed-origins.
func (s *settings) originPolicy(log *slog.Logger) (*origin.Policy, error) {
	policy, err := origin.Parse(log, s.allowedOrigins...)
	if err != nil {
		return nil, fmt.Errorf("--allowed-origins: %w", err)
	}
	return policy, nil
}

// readSecret gives the secret of HS256 tokens: the one set, that of the file or, if devData
// is the data directory of --dev, the one in there. It is nil if there is only a key set.
func (k *keySettings) readSecret(devData string) ([]byte, error) {
	switch {
	case k.secret != "" && k.secretFile != "":
		return nil, errors.New("set --jwt-secret or --jwt-secret-file, not both")
	case k.secret != "":
		return []byte(k.secret), nil
	case k.secretFile != "":
		b, err := os.ReadFile(k.secretFile)
		if err != nil {
			return nil, fmt.Errorf("read --jwt-secret-file: %w", err)
		}
		return trimNewline(b), nil
	case devData != "":
		return devSecret(devData)
	case k.jwks != "":
		return nil, nil
	}
	return nil, errors.New("no key for tokens: set --jwt-secret, --jwt-secret-file or --jwks, or try --dev")
}

// trimNewline drops one trailing line end, which is not a part of the secret in a file.
func trimNewline(b []byte) []byte {
	s := strings.TrimSuffix(string(b), "\n")
	return []byte(strings.TrimSuffix(s, "\r"))
}

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/peterbourgon/ff/v3"
	"github.com/peterbourgon/ff/v3/ffyaml"

	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/chat"
)

// settings are all that can be set (contract 6).
type settings struct {
	dev  bool
	data string

	listen         string
	mqttListen     string
	mqttsListen    string
	tlsCert        string
	tlsKey         string
	metricsListen  string
	allowedOrigins string
	store          string
	bus            string
	drainDelay     time.Duration

	keys   keySettings
	limits chat.Limits
	live   session.Limits
}

// keySettings say how tokens are signed.
type keySettings struct {
	secret     string
	secretFile string
	jwks       string // serve only
	issuer     string
	audience   string
}

// The defaults of `serve --dev`: everything on loopback.
const (
	devListen     = "127.0.0.1:8080"
	devMQTTListen = "127.0.0.1:1883"
	devUserOne    = "alice"
	devUserTwo    = "bob"
)

func (k *keySettings) register(fs *flag.FlagSet) {
	fs.StringVar(&k.secret, "jwt-secret", "", "secret of HS256 tokens, at least 32 bytes")
	fs.StringVar(&k.secretFile, "jwt-secret-file", "", "file that holds the secret")
	fs.StringVar(&k.issuer, "jwt-issuer", "", "iss that tokens must have (default any)")
	fs.StringVar(&k.audience, "jwt-audience", "", "aud that tokens must have (default any)")
}

func parseServe(args []string, output io.Writer) (settings, error) {
	var s settings
	fs := newFlagSet("parley serve")
	fs.BoolVar(&s.dev, "dev", false, "try it: all on loopback, MQTT on 1883, data and a secret of its own in --data, demo tokens")
	fs.StringVar(&s.data, "data", "./data", "where --dev keeps its store and secret")
	fs.StringVar(&s.listen, "listen", ":8080", "address of REST and realtime")
	fs.StringVar(&s.mqttListen, "mqtt-listen", "", "address of MQTT over TCP (default off)")
	fs.StringVar(&s.mqttsListen, "mqtts-listen", "", "address of MQTT over TLS (default off)")
	fs.StringVar(&s.tlsCert, "tls-cert", "", "PEM file of the certificate and its chain; with --tls-key, --listen is HTTPS")
	fs.StringVar(&s.tlsKey, "tls-key", "", "PEM file of the certificate's key")
	fs.StringVar(&s.metricsListen, "metrics-listen", "", "address of /metrics alone (default: on --listen)")
	fs.StringVar(&s.allowedOrigins, "allowed-origins", "", "web origins that may connect, comma-separated, * for all (default the same origin)")
	fs.StringVar(&s.store, "store", "", "pebble:DIR, or mongodb://HOST/DATABASE")
	fs.StringVar(&s.bus, "bus", "local", "local")
	fs.DurationVar(&s.drainDelay, "drain-delay", time.Second, "how long /readyz says 503 before the listeners stop")
	s.keys.register(fs)
	fs.StringVar(&s.keys.jwks, "jwks", "", "JSON Web Key Set of RS256, ES256 and EdDSA tokens: a file or an https URL (http on loopback)")
	d := chat.DefaultLimits
	fs.IntVar(&s.limits.Participants, "max-participants", d.Participants, "people in a group")
	fs.IntVar(&s.limits.CiphertextBytes, "max-ciphertext", d.CiphertextBytes, "bytes of a message's ciphertext")
	fs.Float64Var(&s.limits.SendRate, "rate-send", d.SendRate, "messages per second and user, 0 for no limit")
	fs.IntVar(&s.limits.SendBurst, "rate-send-burst", d.SendBurst, "how many of them at once")
	fs.IntVar(&s.limits.PrekeyFetches, "rate-prekeys", d.PrekeyFetches, "prekey fetches per caller and minute, 0 for no limit")
	fs.IntVar(&s.limits.PrekeyFetchesOf, "rate-prekeys-of", d.PrekeyFetchesOf, "of one user, per caller and ten minutes, 0 for no limit")
	fs.DurationVar(&s.limits.EditWindow, "edit-window", d.EditWindow, "how long a message may be edited or deleted")
	fs.IntVar(&s.limits.Pins, "max-pins", d.Pins, "pinned messages of a thread")
	fs.IntVar(&s.limits.PageSize, "max-page-size", d.PageSize, "items of the largest page")
	fs.DurationVar(&s.limits.IdempotencyWindow, "idempotency-window", d.IdempotencyWindow, "how long a retry is recognised by its key")
	l := session.DefaultLimits
	fs.IntVar(&s.live.ConnectionsPerUser, "max-connections-per-user", l.ConnectionsPerUser, "realtime connections of one user")
	fs.IntVar(&s.live.Window, "ack-window", l.Window, "unacknowledged frames of one connection")
	fs.DurationVar(&s.live.AckTimeout, "ack-timeout", l.AckTimeout, "how long that window may stay full")
	fs.DurationVar(&s.live.PingInterval, "ping-interval", l.PingInterval, "between two pings of a JSON connection")
	fs.DurationVar(&s.live.PresenceGrace, "presence-grace", l.PresenceGrace, "how long a user stays online without a connection")
	fs.DurationVar(&s.live.KeepSubscriptions, "mqtt-session-expiry", l.KeepSubscriptions, "the longest that MQTT subscriptions outlive a connection")
	if err := parse(fs, args, output); err != nil {
		return settings{}, err
	}
	s.forDev(fs)
	return s, s.check()
}

// forDev fills in what --dev chooses where nothing was set.
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

// check refuses what cannot work, naming the flag.
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
	case s.limits.SendRate < 0 || s.limits.SendBurst < 1:
		return errors.New("--rate-send must not be negative, --rate-send-burst at least 1")
	case s.limits.PrekeyFetches < 0 || s.limits.PrekeyFetchesOf < 0:
		return errors.New("--rate-prekeys and --rate-prekeys-of must not be negative")
	case s.drainDelay < 0:
		return errors.New("--drain-delay is negative")
	}
	for name, n := range map[string]int64{
		"max-participants": int64(s.limits.Participants), "max-ciphertext": int64(s.limits.CiphertextBytes),
		"max-page-size": int64(s.limits.PageSize), "max-pins": int64(s.limits.Pins), "edit-window": int64(s.limits.EditWindow), "idempotency-window": int64(s.limits.IdempotencyWindow),
		"max-connections-per-user": int64(s.live.ConnectionsPerUser), "ack-window": int64(s.live.Window),
		"ack-timeout": int64(s.live.AckTimeout), "ping-interval": int64(s.live.PingInterval),
		"mqtt-session-expiry": int64(s.live.KeepSubscriptions), "presence-grace": int64(s.live.PresenceGrace),
	} {
		if n <= 0 {
			return fmt.Errorf("--%s must be positive", name)
		}
	}
	if s.live.Window > maxWindow {
		return fmt.Errorf("--ack-window must be at most %d: packet ids run out", maxWindow)
	}
	return nil
}

// maxWindow keeps the packet ids of a window distinct, by far.
const maxWindow = 32 << 10

func (s *settings) origins() []string {
	var origins []string
	for o := range strings.SplitSeq(s.allowedOrigins, ",") {
		if o = strings.TrimSpace(o); o != "" {
			origins = append(origins, o)
		}
	}
	return origins
}

func newFlagSet(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // the error says it all in one line
	return fs
}

// parse reads flags, then the environment, then the file of --config.
func parse(fs *flag.FlagSet, args []string, output io.Writer, options ...ff.Option) error {
	fs.String("config", "", "YAML file of settings, its keys are the flag names")
	err := ff.Parse(fs, args, append(options, ff.WithEnvVarPrefix("PARLEY"),
		ff.WithConfigFileFlag("config"), ff.WithConfigFileParser(ffyaml.Parser))...)
	if errors.Is(err, flag.ErrHelp) {
		fs.SetOutput(output)
		fs.Usage()
		return err
	}
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if err != nil {
		return fmt.Errorf("%w (see %s --help)", err, fs.Name())
	}
	return nil
}

// load gives the secret: the one set, that of the file, or with a data directory
// the one kept there. It is nil where a key set serves alone.
func (k *keySettings) load(devData string) ([]byte, error) {
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

// trimNewline drops one trailing line end: it is no part of a secret.
func trimNewline(b []byte) []byte {
	s := strings.TrimSuffix(string(b), "\n")
	return []byte(strings.TrimSuffix(s, "\r"))
}

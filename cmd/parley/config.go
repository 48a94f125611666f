package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/peterbourgon/ff/v3"
	"github.com/peterbourgon/ff/v3/ffyaml"

	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/internal/origin"
)

// settings are the settings of `parley serve` (docs/contract.md#running-a-server).
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

// keySettings say with what tokens are signed and verified.
type keySettings struct {
	secret     string
	secretFile string
	jwks       string // only serve has it
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
	fs.StringVar(&k.secret, "jwt-secret", "", "`secret` of HS256 tokens, at least 32 bytes")
	fs.StringVar(&k.secretFile, "jwt-secret-file", "", "`file` that holds the secret")
	fs.StringVar(&k.issuer, "jwt-issuer", "", "`iss` that tokens must have (default: any)")
	fs.StringVar(&k.audience, "jwt-audience", "", "`aud` that tokens must have (default: any)")
}

func parseServe(args []string, output io.Writer) (settings, error) {
	var s settings
	fs := newFlagSet("parley serve")
	fs.BoolVar(&s.dev, "dev", false, "try Parley: all on loopback, MQTT on port 1883, store and secret in --data, tokens for two demo users")
	fs.StringVar(&s.data, "data", "./data", "`directory` in which --dev keeps its store and secret")
	fs.StringVar(&s.listen, "listen", ":8080", "`address` of REST and realtime")
	fs.StringVar(&s.mqttListen, "mqtt-listen", "", "`address` of MQTT over TCP (default: off)")
	fs.StringVar(&s.mqttsListen, "mqtts-listen", "", "`address` of MQTT over TLS, with --tls-cert and --tls-key (default: off)")
	fs.StringVar(&s.tlsCert, "tls-cert", "", "PEM `file` of the certificate and its chain; with it and --tls-key, --listen is HTTPS")
	fs.StringVar(&s.tlsKey, "tls-key", "", "PEM `file` of the key of --tls-cert")
	fs.StringVar(&s.metricsListen, "metrics-listen", "", "`address` that serves only /metrics (default: /metrics is on --listen)")
	fs.StringVar(&s.allowedOrigins, "allowed-origins", "", "web `origins` whose pages may use the API and connect, as https://app.example, separated by commas, * for all (default: the same origin)")
	fs.StringVar(&s.store, "store", "", "`URL` of the store: pebble:DIR or mongodb://HOST/DATABASE")
	fs.StringVar(&s.bus, "bus", "local", "`URL` of the bus: local")
	fs.DurationVar(&s.drainDelay, "drain-delay", time.Second, "how long /readyz answers 503 before a stopping server closes its listeners")
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
	fs.IntVar(&s.limits.PrekeyFetches, "rate-prekeys", d.PrekeyFetches, "prekey fetches of a caller per minute, 0 for no limit")
	fs.IntVar(&s.limits.PrekeyFetchesOf, "rate-prekeys-of", d.PrekeyFetchesOf, "prekey fetches of a caller for one and the same user per ten minutes, 0 for no limit")
	fs.DurationVar(&s.limits.EditWindow, "edit-window", d.EditWindow, "how long a message may be edited or deleted")
	fs.IntVar(&s.limits.Pins, "max-pins", d.Pins, "pinned messages of a thread")
	fs.IntVar(&s.limits.PageSize, "max-page-size", d.PageSize, "items of the largest page")
	fs.DurationVar(&s.limits.IdempotencyWindow, "idempotency-window", d.IdempotencyWindow, "how long the server recognises a retry by its idempotency key")
	l := session.DefaultLimits
	fs.IntVar(&s.live.ConnectionsPerUser, "max-connections-per-user", l.ConnectionsPerUser, "realtime connections of one user")
	fs.IntVar(&s.live.Window, "ack-window", l.Window, "frames sent to a connection and not yet acknowledged, at most")
	fs.DurationVar(&s.live.AckTimeout, "ack-timeout", l.AckTimeout, "how long --ack-window may stay full before the connection is closed")
	fs.DurationVar(&s.live.PingInterval, "ping-interval", l.PingInterval, "time between two pings of a JSON connection")
	fs.DurationVar(&s.live.PresenceGrace, "presence-grace", l.PresenceGrace, "how long a user stays online without a connection")
	fs.DurationVar(&s.live.KeepSubscriptions, "mqtt-session-expiry", l.KeepSubscriptions, "the longest time that MQTT subscriptions outlive their connection")
	if err := parse(fs, args, output); err != nil {
		return settings{}, err
	}
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
	case s.limits.SendRate < 0 || s.limits.SendBurst < 1:
		return errors.New("--rate-send must not be negative, --rate-send-burst at least 1")
	case s.limits.ReadRate < 0 || s.limits.ReadBurst < 1:
		return errors.New("--rate-read must not be negative, --rate-read-burst at least 1")
	case s.limits.SystemRate < 0:
		return errors.New("--rate-system must not be negative")
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
	if _, err := s.originPolicy(slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	if s.live.Window > maxWindow {
		return fmt.Errorf("--ack-window must be at most %d: packet ids run out", maxWindow)
	}
	return nil
}

// maxWindow is half of MQTT's packet ids, so that those of a window differ.
const maxWindow = 32 << 10

// originPolicy is that of --allowed-origins.
func (s *settings) originPolicy(log *slog.Logger) (*origin.Policy, error) {
	var origins []string
	for o := range strings.SplitSeq(s.allowedOrigins, ",") {
		if o = strings.TrimSpace(o); o != "" {
			origins = append(origins, o)
		}
	}
	policy, err := origin.Parse(log, origins...)
	if err != nil {
		return nil, fmt.Errorf("--allowed-origins: %w", err)
	}
	return policy, nil
}

func newFlagSet(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // the error says it all in one line
	return fs
}

// parse reads flags, then the environment, then the file of --config.
func parse(fs *flag.FlagSet, args []string, output io.Writer, options ...ff.Option) error {
	fs.String("config", "", "YAML `file` of settings, whose keys are the names of flags")
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

package nats

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/parleyhq/parley/chat"
)

// Config is what [Open] needs. URL and Node are required.
type Config struct {
	// URL is nats://[USER:PASSWORD@ or TOKEN@]HOST[:PORT], of several servers of one cluster
	// with commas between them; tls:// insists on TLS.
	URL         string
	Prefix      string // what all subjects begin with: nodes of one database have the same, others another
	Credentials string // file of a NATS user's JWT and seed
	NKey        string // file of an NKey seed
	CA          string // PEM file of the authorities that the servers' certificates may be of, in place of the system's

	Node chat.NodeID
	// Register says which nodes live, and finds what is missing of one. Nil: the handlers are
	// told of every loss, and a node that is not heard is taken for gone.
	Register chat.Register
	// Standing is how this node stands, but for its number. Nil: others cannot find out what
	// they miss of it.
	Standing func() chat.Standing
	Log      *slog.Logger // silent if nil
}

// How the connection is watched. A server that answers nothing for some 4 s is left.
const (
	dialTimeout   = 2 * time.Second
	writeTimeout  = 2 * time.Second
	pingEvery     = time.Second
	pingsUnheard  = 3
	reconnectWait = 250 * time.Millisecond
)

var subjectPrefix = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// options gives the servers and the options of a connection. No error tells a secret.
func (c Config) options() (servers string, opts []nats.Option, err error) {
	servers, user, err := parseURL(c.URL)
	if err != nil {
		return "", nil, err
	}
	if !subjectPrefix.MatchString(c.Prefix) {
		return "", nil, fmt.Errorf("the prefix %q of NATS subjects must be words of A-Z a-z 0-9 _ - with dots between them", c.Prefix)
	}
	opts = []nats.Option{
		nats.Name("parley"), nats.NoEcho(), nats.Timeout(dialTimeout), nats.FlusherTimeout(writeTimeout),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(), nats.NoCallbacksAfterClientClose(),
		nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectWait, reconnectWait),
		nats.ReconnectBufSize(-1), // what cannot be sent now is lost, and others notice
		nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(pingsUnheard),
	}
	ways := 0
	if user != nil {
		ways++
		if password, isUser := user.Password(); isUser {
			opts = append(opts, nats.UserInfo(user.Username(), password))
		} else {
			opts = append(opts, nats.Token(user.Username()))
		}
	}
	if c.Credentials != "" {
		ways++
		if err := readable(c.Credentials); err != nil {
			return "", nil, fmt.Errorf("the NATS credentials: %w", err)
		}
		opts = append(opts, nats.UserCredentials(c.Credentials))
	}
	if c.NKey != "" {
		ways++
		opt, err := nats.NkeyOptionFromSeed(c.NKey)
		if err != nil {
			return "", nil, fmt.Errorf("the NKey seed of NATS: %w", err)
		}
		opts = append(opts, opt)
	}
	if ways > 1 {
		return "", nil, errors.New("more than one way to log in to NATS: set one of a user or token in the URL, credentials, an NKey seed")
	}
	if c.CA != "" {
		if err := readable(c.CA); err != nil {
			return "", nil, fmt.Errorf("the authorities of NATS: %w", err)
		}
		opts = append(opts, nats.RootCAs(c.CA))
	}
	return servers, opts, nil
}

func readable(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	return f.Close()
}

// errURL does not show the URL, which may hold a password.
var errURL = errors.New("the bus URL must be nats://HOST:PORT or tls://HOST:PORT, of several servers with commas between them, with one USER:PASSWORD@ or TOKEN@ at most")

// parseURL splits the secrets off a URL.
func parseURL(text string) (servers string, user *url.Userinfo, err error) {
	scheme, rest, _ := strings.Cut(text, "://")
	var all []string
	for part := range strings.SplitSeq(rest, ",") {
		part = strings.TrimPrefix(strings.TrimSpace(part), scheme+"://")
		u, err := url.Parse(scheme + "://" + part)
		if err != nil || scheme != "nats" && scheme != "tls" || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
			return "", nil, errURL
		}
		if u.User != nil {
			if user != nil && user.String() != u.User.String() {
				return "", nil, errURL
			}
			user = u.User
		}
		port := u.Port()
		if port == "" {
			port = "4222"
		}
		all = append(all, scheme+"://"+net.JoinHostPort(u.Hostname(), port))
	}
	return strings.Join(all, ","), user, nil
}

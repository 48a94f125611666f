// Package bus opens the bus that a URL names. It is the only package that knows every
// kind of bus. [chat.Bus] says what a bus promises.
package bus

import (
	"cmp"
	"fmt"
	"log/slog"
	"strings"

	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/bus/nats"
	"github.com/parleyhq/parley/chat"
)

// Options are those of a bus over a network; a local one has none. The zero value is good,
// but for Node.
type Options struct {
	Prefix      string // what the subjects of NATS begin with; DefaultPrefix if empty
	Credentials string // file of a NATS user's JWT and seed
	NKey        string // file of an NKey seed
	CA          string // PEM file of the authorities of the servers' certificates

	Node     chat.NodeID          // this node; required
	Register chat.Register        // says which others live, and what they have stored; may be nil
	Standing func() chat.Standing // how this node stands; may be nil
	Log      *slog.Logger         // silent if nil
}

// DefaultPrefix is what the subjects of NATS begin with unless something else is asked for.
const DefaultPrefix = "parley"

// Figures are what a bus has counted. Those of one within a process are zero.
type Figures interface {
	// Connected reports whether notices can reach other nodes now.
	Connected() bool
	// Peers is how many other nodes are heard.
	Peers() int
	// Live lists the nodes that live, this one too, as the register gave them last.
	Live() []chat.Standing
	// Losses is how often the handlers were told that any notices may be lost.
	Losses() int64
	// Repairs is how often it was looked which threads' notices of a node were lost, and
	// in how many threads such a look found news.
	Repairs() (looks, threads int64)
	// Notices lists how many notices had each fate.
	Notices(yield func(count int64, fate ...string))
}

// FiguresOf gives the figures of a bus.
func FiguresOf(b chat.Bus) Figures {
	if f, ok := b.(Figures); ok {
		return f
	}
	return none{}
}

type none struct{}

func (none) Connected() bool                                 { return false }
func (none) Peers() int                                      { return 0 }
func (none) Live() []chat.Standing                           { return nil }
func (none) Losses() int64                                   { return 0 }
func (none) Repairs() (looks, threads int64)                 { return 0, 0 }
func (none) Notices(yield func(count int64, fate ...string)) { yield(0, "sent") }

// Spans reports whether the bus of a URL connects several nodes.
func Spans(url string) bool {
	scheme, _, _ := strings.Cut(url, ":")
	return scheme == "nats" || scheme == "tls"
}

// Open opens the bus of a URL:
//
//	local                              within this process: the bus of a single node
//	nats://[USER:PASSWORD@]HOST,HOST   over a NATS server or cluster; also with TOKEN@.
//	tls://…                            the same, and only with TLS
//
// NATS need not be there. No error tells a secret.
func Open(url string, opts Options) (chat.Bus, error) {
	scheme, _, _ := strings.Cut(url, ":")
	switch {
	case url == "local":
		return local.New(), nil
	case scheme == "local":
		return nil, fmt.Errorf("bus URL %q: local takes no address", url)
	case Spans(url):
		b, err := nats.Open(nats.Config{
			URL: url, Prefix: cmp.Or(opts.Prefix, DefaultPrefix), Credentials: opts.Credentials, NKey: opts.NKey, CA: opts.CA,
			Node: opts.Node, Register: opts.Register, Standing: opts.Standing, Log: opts.Log,
		})
		if err != nil { // a nil *Bus in an interface would not be nil
			return nil, err
		}
		return b, nil
	default:
		// The error does not show the URL: one of another scheme may hold a password.
		return nil, fmt.Errorf("bus URL has the unknown scheme %q: local and nats://… are known", scheme)
	}
}

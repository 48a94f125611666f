// Package origin decides of which web origins a server takes requests from a browser's
// pages (docs/contract.md#browsers). REST and the WebSocket upgrade share it.
package origin

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Policy says which origins are allowed, and logs which were not. Many goroutines may use it.
type Policy struct {
	all    bool
	listed map[string]bool // by their normal form
	log    *slog.Logger

	mu      sync.Mutex
	logged  time.Time // of the last line
	skipped int       // how many rejected requests have had no line since
}

// Parse makes the Policy that allows the listed origins besides the server's own: each a
// scheme and a host, maybe with a port, as browsers send them; "null" for pages that have no
// origin; or "*" for all. Anything else is an error, and a trailing slash too: no browser
// sends one, so such an entry would allow nothing.
func Parse(log *slog.Logger, list ...string) (*Policy, error) {
	p := &Policy{listed: make(map[string]bool), log: log}
	for _, entry := range list {
		if entry == "*" {
			p.all = true
			continue
		}
		form, ok := normal(entry)
		if !ok {
			return nil, fmt.Errorf("%q is no origin: write scheme://host or scheme://host:port, without a slash at the end", entry)
		}
		p.listed[form] = true
	}
	return p, nil
}

// Allows reports whether pages of an origin, the value of the header Origin, may use the
// server that the request's Host names. The server's own origin has that host and port; its
// scheme is not compared, since behind a proxy that ends TLS the server does not know it.
func (p *Policy) Allows(from, host string) bool {
	form, ok := normal(from)
	return p.all || p.listed[form] || ok && own(form, host)
}

// Admits is Allows, and logs an origin that is not allowed.
func (p *Policy) Admits(from, host string) bool {
	allowed := p.Allows(from, host)
	if !allowed {
		p.logRejected(from, host)
	}
	return allowed
}

// own reports whether an origin in normal form has the host and port of Host.
func own(form, host string) bool {
	scheme, at, ok := strings.Cut(form, "://")
	name, port := splitHost(host, scheme)
	return ok && name != "" && at == net.JoinHostPort(name, port)
}

const (
	logEvery  = time.Second // a line tells how many were rejected since the one before
	maxLogged = 256         // bytes of a value that a client chose
)

func (p *Policy) logRejected(from, host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.logged) < logEvery {
		p.skipped++
		return
	}
	p.log.Warn("a page of an origin that is not allowed was turned away, see --allowed-origins",
		"origin", from[:min(len(from), maxLogged)], "host", host[:min(len(host), maxLogged)], "not_logged", p.skipped)
	p.logged, p.skipped = now, 0
}

// noOrigin is what browsers send for pages that have no origin, such as files.
const noOrigin = "null"

// normal is an origin in lower case and with its port. It is "" and false for what is none.
func normal(s string) (form string, ok bool) {
	if s == noOrigin {
		return noOrigin, true
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Hostname() == "" {
		return "", false
	}
	if u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Opaque != "" || strings.Contains(s, "#") {
		return "", false
	}
	scheme := strings.ToLower(u.Scheme)
	name, port := splitHost(u.Host, scheme)
	return scheme + "://" + net.JoinHostPort(name, port), true
}

// splitHost splits a host as in a URL or the header Host. Without a port it has the scheme's
// default, which is "" for a scheme that has none.
func splitHost(host, scheme string) (name, port string) {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), ""
	}
	if port == "" {
		port = map[string]string{"http": "80", "ws": "80", "https": "443", "wss": "443"}[scheme]
	}
	return strings.ToLower(name), port
}

package main

import (
	"io"
	"net"
	"strings"
	"testing"
)

// `parley healthcheck` tells whether the server of the same settings is healthy, wherever that
// listens.
func TestHealthcheck(t *testing.T) {
	pair := newPair(t)
	port := func(ln net.Listener) string {
		_, port, err := net.SplitHostPort(ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	plain := startNode(t, "--jwt-secret", testSecret)
	secure := startNode(t, append(pair.flags(), "--jwt-secret", testSecret)...)
	scraped := startNode(t, append(pair.flags(), "--jwt-secret", testSecret, "--metrics-listen", "127.0.0.1:0")...)
	for name, c := range map[string]struct {
		n    *running
		args []string
	}{
		"plain":              {plain, []string{"--listen", plain.http.Addr().String()}},
		"on all addresses":   {plain, []string{"--listen", ":" + port(plain.http)}},
		"by 0.0.0.0":         {plain, []string{"--listen", "0.0.0.0:" + port(plain.http)}},
		"HTTPS":              {secure, []string{"--listen", secure.http.Addr().String(), "--tls-cert", "any"}},
		"by the metrics'":    {scraped, []string{"--listen", scraped.http.Addr().String(), "--tls-cert", "any", "--metrics-listen", scraped.scrape.Addr().String()}},
		"with serve's flags": {plain, []string{"--config", writeFile(t, t.TempDir()+"/parley.yaml", []byte("store: pebble:x\nlisten: "+plain.http.Addr().String()+"\n"))}},
	} {
		ask := func() error {
			return run(t.Context(), append([]string{"healthcheck"}, c.args...), io.Discard, io.Discard)
		}
		if err := ask(); err != nil {
			t.Errorf("%s: a healthy server: %v", name, err)
		}
		c.n.dead.Store(true)
		if err := ask(); err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("%s: a server that only a restart can help: %v", name, err)
		}
		c.n.dead.Store(false)
	}
	t.Setenv("PARLEY_LISTEN", plain.http.Addr().String())
	if err := run(t.Context(), []string{"healthcheck"}, io.Discard, io.Discard); err != nil {
		t.Errorf("by the environment: %v", err)
	}
	plain.leave()
	if err := run(t.Context(), []string{"healthcheck"}, io.Discard, io.Discard); err == nil {
		t.Error("nobody listens, and the server is said to be healthy")
	}
}

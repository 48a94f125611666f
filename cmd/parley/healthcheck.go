package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/peterbourgon/ff/v3"
)

// healthcheckTimeout is below the 30 s that Docker waits between two health checks.
const healthcheckTimeout = 5 * time.Second

// healthcheck is `parley healthcheck`: it asks /healthz of the server on this machine, for
// images that have no other program. It finds the server as serve was told where to listen:
// by the same flags, environment and file.
func healthcheck(ctx context.Context, args []string, stdout io.Writer) error {
	var listen, metricsListen, tlsCert string
	fs := newFlagSet("parley healthcheck")
	fs.StringVar(&listen, "listen", ":8080", "`address` on which the server listens")
	fs.StringVar(&metricsListen, "metrics-listen", "", "`address` of its /metrics, which is asked rather than --listen")
	fs.StringVar(&tlsCert, "tls-cert", "", "its certificate `file`, which says that --listen is HTTPS")
	// The file of --config is that of serve, with other flags in it.
	if err := parse(fs, args, stdout, ff.WithIgnoreUndefined(true)); err != nil {
		return err
	}
	scheme, addr := "http", metricsListen
	if addr == "" {
		addr = listen
		if tlsCert != "" {
			scheme = "https"
		}
	}
	addr, err := fromHere(addr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	return askHealth(ctx, scheme+"://"+addr+"/healthz")
}

// fromHere is the address at which a process of this machine reaches who listens on addr.
func fromHere(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if err == nil && ip.Is6() {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port), nil
}

func askHealth(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// The certificate is for the server's public name, and the question never leaves the machine.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true} //nolint:gosec // see above
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1024)) // the status says enough
		return fmt.Errorf("%s: %s: %s", url, resp.Status, strings.TrimSpace(string(body)))
	}
	return nil
}

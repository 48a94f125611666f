package main

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/auth/jwks/jwkstest"
	"github.com/parleyhq/parley/chat"
)

// getFrom gives the status and body of a GET from one of the node's listeners.
func (r *running) getFrom(t *testing.T, ln net.Listener, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ln.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// What the server serves is what docs/operations.md lists, no more and no less, and by
// Prometheus' conventions.
func TestMetricsAreThoseOfTheManual(t *testing.T) {
	pair := newPair(t)
	set := writeFile(t, filepath.Join(t.TempDir(), "jwks.json"), jwkstest.Document(t, jwkstest.New(t, "ES256", "key").JWK()))
	n := startNode(t, append(pair.flags(), "--jwt-secret", testSecret, "--jwks", set, "--metrics-listen", "127.0.0.1:0")...)
	n.broker.Stats().Open.Add("json", 0) // what appears only with its first count
	n.broker.Stats().Connects.Add("json", 0)
	n.broker.Stats().Refused.Add([2]string{"json", "expired"}, 0)
	n.broker.Stats().Ends.Add([2]string{"json", "client_gone"}, 0)
	n.refusals.Add([2]string{"rest", "not_found"}, 0)
	n.publishes.Add("stored", 0)
	n.subscribes.Add("0x87", 0)
	n.trust(pair.client())
	if status, _ := n.get(t, "https", "/healthz", ""); status != http.StatusOK {
		t.Fatalf("/healthz is %d", status)
	}
	status, text := n.getFrom(t, n.scrape, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics is %d", status)
	}

	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}

	served := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (parley_\S+) (\S+)$`).FindAllStringSubmatch(text, -1) {
		served[m[1]] = m[2]
	}
	manual, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]bool)
	for row := range strings.Lines(string(manual)) {
		if cell, _, ok := strings.Cut(strings.TrimPrefix(row, "| "), " | "); ok && strings.HasPrefix(row, "| `parley_") {
			for _, m := range regexp.MustCompile("`(parley_[a-z_0-9]+)").FindAllStringSubmatch(cell, -1) {
				listed[m[1]] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(served)) {
		if !listed[name] {
			t.Errorf("%s is served, and not listed in docs/operations.md", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(listed)) {
		if served[name] == "" {
			t.Errorf("%s is listed in docs/operations.md, and not served", name)
		}
	}
	t.Logf("%d metrics, all listed", len(served))
	var operations, inManual []string
	for _, m := range regexp.MustCompile(`(?m)^parley_store_errors_total{operation="([^"]+)"}`).FindAllStringSubmatch(text, -1) {
		operations = append(operations, m[1])
	}
	row := regexp.MustCompile("(?m)^\\| `parley_store_errors_total{operation}` \\|(.*)$").FindString(string(manual))
	for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row, -1) {
		inManual = append(inManual, m[1])
	}
	slices.Sort(operations)
	slices.Sort(inManual)
	if !slices.Equal(operations, inManual) {
		t.Errorf("operations that can fail: the server has %v, docs/operations.md %v", operations, inManual)
	}
	for _, name := range []string{"parley_send_to_ack_seconds", "parley_send_to_deliver_seconds"} {
		for _, le := range []string{"0.1", "0.2"} {
			if !strings.Contains(text, name+`_bucket{le="`+le+`"}`) {
				t.Errorf("%s has no bucket of %s s", name, le)
			}
		}
	}
}

// The address of the metrics has the probes too, and with --debug the profiles.
func TestOperatorsListener(t *testing.T) {
	for _, debug := range []bool{false, true} {
		args := []string{"--jwt-secret", testSecret, "--metrics-listen", "127.0.0.1:0"}
		profiles := http.StatusNotFound
		if debug {
			args, profiles = append(args, "--debug"), http.StatusOK
		}
		n := startNode(t, args...)
		for path, want := range map[string]int{
			"/metrics": http.StatusOK, "/healthz": http.StatusOK, "/readyz": http.StatusOK, "/v1/threads": http.StatusNotFound,
			"/debug/pprof/": profiles, "/debug/pprof/goroutine?debug=1": profiles, "/debug/pprof/heap": profiles,
			"/debug/pprof/cmdline": profiles, "/debug/pprof/profile?seconds=1": profiles,
		} {
			if status, body := n.getFrom(t, n.scrape, path); status != want {
				t.Errorf("with --debug=%v, %s is %d, want %d: %s", debug, path, status, want, body)
			}
		}
		for path, want := range map[string]int{
			"/metrics": http.StatusNotFound, "/healthz": http.StatusOK, "/readyz": http.StatusOK, "/debug/pprof/": http.StatusNotFound,
		} {
			if status, _ := n.getFrom(t, n.http, path); status != want {
				t.Errorf("with --debug=%v, %s of --listen is %d, want %d", debug, path, status, want)
			}
		}
		n.draining.Store(true)
		if status, body := n.getFrom(t, n.scrape, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "draining") {
			t.Errorf("/readyz of a node that drains: %d %s", status, body)
		}
		n.leave()
	}
	refusesToStart(t, "--debug needs --metrics-listen", "--jwt-secret", testSecret, "--debug")
}

// Which requests are logged is the operator's choice; a refused token always says why.
func TestAccessLog(t *testing.T) {
	token := func(expires time.Time) string {
		signed, err := auth.Mint([]byte(testSecret), auth.Claims{User: "ann", Scopes: []chat.Scope{chat.ScopeRead}, Issued: time.Now(), Expires: expires})
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	good, expired := token(time.Now().Add(time.Hour)), token(time.Now().Add(-time.Hour))
	const ok, refused = `"status":200`, `"status":401`
	for which, want := range map[string][2]bool{"all": {true, true}, "errors": {false, true}, "off": {false, false}, "": {false, true}} {
		args := []string{"--jwt-secret", testSecret, "--trusted-proxies", "127.0.0.1"}
		if which != "" {
			args = append(args, "--access-log", which)
		}
		n := startNode(t, args...)
		n.get(t, "http", "/v1/threads", good)
		n.get(t, "http", "/v1/threads", expired)
		n.leave()
		log := n.log.String()
		if got := strings.Contains(log, ok); got != want[0] {
			t.Errorf("--access-log=%s logs a good request: %v", which, got)
		}
		if got := strings.Contains(log, refused); got != want[1] {
			t.Errorf("--access-log=%s logs a refused request: %v", which, got)
		}
		if want[1] && (!strings.Contains(log, `"code":"unauthenticated","reason":"expired"`) || !strings.Contains(log, `"addr":"127.0.0.1`)) {
			t.Errorf("--access-log=%s does not say why, or who:\n%s", which, log)
		}
		if strings.Contains(log, expired) || strings.Contains(log, good) {
			t.Errorf("--access-log=%s logs tokens", which)
		}
	}
}

// Anybody can send requests without a token: of these ten a second are logged.
func TestDenialsAreSampled(t *testing.T) {
	n := startNode(t, "--jwt-secret", testSecret)
	const requests = 200
	began := time.Now()
	for range requests {
		if status, _ := n.get(t, "http", "/v1/threads", "no.token.here"); status != http.StatusUnauthorized {
			t.Fatalf("status %d", status)
		}
	}
	seconds := int(time.Since(began)/time.Second) + 2
	lines := n.log.count(`"status":401`)
	t.Logf("%d requests without a good token in %v: %d lines", requests, time.Since(began).Round(time.Millisecond), lines)
	if lines < 10 || lines > 10*seconds {
		t.Errorf("%d lines, want at most 10 a second", lines)
	}
}

func TestLogLevel(t *testing.T) {
	t.Setenv("PARLEY_NO_SUCH_SETTING", "x") // which is worth a warning
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	for level, want := range map[string]bool{"debug": true, "info": true, "warn": false} {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		free.Close()
		ctx, cancel := context.WithCancel(t.Context())
		log, done := &logBuffer{}, make(chan error, 1)
		args := []string{
			"serve", "--listen", free.Addr().String(), "--store", "pebble:" + filepath.Join(t.TempDir(), "store"),
			"--jwt-secret", testSecret, "--log-level", level, "--drain-delay", "0s",
		}
		go func() { done <- run(ctx, args, io.Discard, log) }()
		for deadline := time.Now().Add(patience); ; runtime.Gosched() {
			if resp, err := client.Get("http://" + free.Addr().String() + "/healthz"); err == nil {
				resp.Body.Close()
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("--log-level=%s: it does not serve:\n%s", level, log)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := log.count(`"level":"INFO"`) > 0; got != want || log.count(`"level":"WARN"`) == 0 {
			t.Errorf("--log-level=%s: lines at INFO: %v, want %v, and a warning:\n%s", level, got, want, log)
		}
	}
}

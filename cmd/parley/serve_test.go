package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parleyhq/parley/test/process"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.Cleanup(func(code int) {
			process.Remove()
			os.Exit(code)
		}),
		// fasthttp's goroutine that removes idle workers notices only every 10 s that its server has stopped.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		// fasthttp starts this clock with its first server and never stops it.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		// fasthttp's goroutine that closes a client's idle connections ends only when their time is over.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
	)
}

const testSecret = "0123456789abcdef0123456789abcdef"

// patience bounds the waits of tests that poll.
const patience = 2 * time.Minute

// logBuffer holds a log that the test reads while the server writes it.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String implements fmt.Stringer.
func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) count(text string) int { return strings.Count(l.String(), text) }

// running is a node that serves on ports of its own until the test ends.
type running struct {
	*node
	log    *logBuffer
	client *http.Client
	leave  func() // stops the node, once
}

// startNode runs `serve` with these flags, on an embedded store.
func startNode(t *testing.T, args ...string) *running {
	t.Helper()
	for name, value := range map[string]string{
		"--listen": "127.0.0.1:0", "--store": "pebble:" + filepath.Join(t.TempDir(), "store"), "--drain-delay": "0s",
	} {
		args = append(args, name, value)
	}
	set, err := parseServe(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{log: &logBuffer{}, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}}
	if r.node, err = start(t.Context(), set, slog.New(slog.NewJSONHandler(r.log, nil))); err != nil {
		t.Fatal(err)
	}
	r.leave = sync.OnceFunc(r.stop)
	t.Cleanup(r.leave)
	return r
}

// trust says which servers' certificates the client accepts.
func (r *running) trust(c *tls.Config) { r.client.Transport.(*http.Transport).TLSClientConfig = c }

// get gives the status and body of a GET with a token, or with none if token is "".
func (r *running) get(t *testing.T, scheme, path, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://"+r.http.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
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

// refusesToStart runs `serve` with flags that cannot work. It has to end soon
// (docs/contract.md#running-a-server), with an error of one line that contains
// says.
func refusesToStart(t *testing.T, says string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	args = append([]string{"serve", "--listen", "127.0.0.1:0", "--store", "pebble:" + filepath.Join(t.TempDir(), "store")}, args...)
	err := run(ctx, args, io.Discard, io.Discard)
	switch {
	case ctx.Err() != nil:
		t.Errorf("%v: still there after 10 s: %v", args, err)
	case err == nil:
		t.Errorf("%v: it left without a word", args)
	case !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n"):
		t.Errorf("%v: it should say in one line %q, it says: %v", args, says, err)
	}
}

// portInUse is an address on which another listener listens.
func portInUse(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

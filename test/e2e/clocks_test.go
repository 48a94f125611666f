package e2e

import (
	"encoding/json"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/internal/steppedclock"
)

// clockBinary is the server with a clock that a test can set. Everything else in it is the
// server under test.
var clockBinary = sync.OnceValues(func() (binary string, err error) {
	binary = filepath.Join(filepath.Dir(parleyBinary), "parley-steppedclock")
	return binary, buildServer(binary, "-race", "-tags", "steppedclock")
})

// startServerWithClock is startServer with a clock that can be set.
func startServerWithClock(t *testing.T, ahead time.Duration, extra ...string) *server {
	t.Helper()
	binary, err := clockBinary()
	if err != nil {
		t.Fatalf("building the server: %v", err)
	}
	dir := t.TempDir()
	s := &server{
		dir: dir, store: newStore(t, dir), extra: extra, http: "127.0.0.1:0", tcp: "127.0.0.1:0",
		binary: binary, clock: filepath.Join(dir, "clock"),
	}
	s.setClock(t, ahead)
	s.begin(t)
	return s
}

// setClock sets the server's wall clock, so far ahead of the machine's.
func (s *server) setClock(t testing.TB, ahead time.Duration) {
	t.Helper()
	if err := steppedclock.Write(s.clock, ahead); err != nil {
		t.Fatal(err)
	}
}

// health is the answer of /readyz.
type health struct {
	status  int
	Status  string   `json:"status"`
	Reasons []string `json:"reasons"`
}

func (s *server) health(t *testing.T) health {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url("http")+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := bulkClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	h := health{status: resp.StatusCode}
	if err := json.NewDecoder(resp.Body).Decode(&h); err != nil {
		t.Fatal(err)
	}
	return h
}

// A node whose clock is apart from the database's says so. If it is far off, the node stores
// nothing until the clock is set right.
func TestClockApartFromTheDatabases(t *testing.T) {
	t.Parallel()
	needsMongo(t)
	s := startServerWithClock(t, 4*time.Second)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := ann.createGroup(t, "bob")
	line := mqtt5TCP.live(t, bob, options{})
	for _, step := range []struct {
		ahead  time.Duration
		status int
		want   string
	}{
		{4 * time.Second, http.StatusOK, "ok"},
		{-6 * time.Second, http.StatusOK, "degraded"},
		{62 * time.Second, http.StatusServiceUnavailable, "unavailable"},
		{58 * time.Second, http.StatusOK, "degraded"},
		{-30 * 24 * time.Hour, http.StatusServiceUnavailable, "unavailable"},
		{0, http.StatusOK, "ok"},
	} {
		s.setClock(t, step.ahead)
		eventually(t, "/readyz says "+step.want, func() bool {
			h := s.health(t)
			return h.status == step.status && h.Status == step.want && (step.want == "ok" || slices.Contains(h.Reasons, "clock"))
		})
		if skew := s.metric(t, "parley_clock_skew_seconds"); math.Abs(skew-step.ahead.Seconds()) > 2 {
			t.Errorf("with a clock %v ahead, the skew is %v s", step.ahead, skew)
		}
		if step.status == http.StatusOK {
			line.untilMessage(t, ann.send(t, group.ID, "stored").ID)
			continue
		}
		before := len(ann.history(t, group.ID))
		a, err := ann.try(t.Context(), group.ID, outgoing{ClientSeq: 1_000_000, Ciphertext: []byte("refused")})
		if err != nil || a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "30" {
			t.Errorf("a send with a clock %v ahead: %v, %+v", step.ahead, err, a)
		}
		if after := len(ann.history(t, group.ID)); after != before {
			t.Errorf("with a clock %v ahead, %d messages were stored", step.ahead, after-before)
		}
	}
}

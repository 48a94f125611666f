package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// Two browsers call each other: offer, answer and candidates go as signals, and a data channel
// between them opens.
func TestBrowsersCallEachOtherBySignals(t *testing.T) {
	beforeTheStore(t)
	chromium := findChromium(t)
	both := newMeeting(2)
	caller, callee := newCallPage(t, both), newCallPage(t, both)
	s := startServer(t, "--allowed-origins", caller.URL+","+callee.URL)
	ann, bob := s.device(t, "ann", "browser"), s.device(t, "bob", "browser")
	group := ann.createOneToOne(t, bob.user)
	bob.accept(t, group.ID)
	heard := make(chan map[string]sight, 2)
	visit := func(p *page, me string, d *device) {
		config, err := json.Marshal(map[string]string{
			"realtime": s.url("ws") + "/v1/realtime", "token": d.token, "group": group.ID, "me": me,
		})
		if err != nil {
			t.Error(err)
		}
		go func() { heard <- p.visit(t, chromium, config) }()
	}
	visit(caller, "caller", ann)
	visit(callee, "callee", bob)
	said := map[string]bool{}
	for range 2 {
		got := (<-heard)["call"]
		if got.Error != "" {
			t.Errorf("a browser saw %s", got.Error)
		}
		said[got.Topic] = true
	}
	if !said["hello from caller"] || !said["hello from callee"] {
		t.Errorf("over the data channel came %v", said)
	}
}

// meeting has some wait for each other.
type meeting struct {
	left atomic.Int32
	all  chan struct{} // closed when all have come
}

func newMeeting(n int32) *meeting {
	m := &meeting{all: make(chan struct{})}
	m.left.Store(n)
	return m
}

func (m *meeting) come(ctx context.Context) {
	if m.left.Add(-1) == 0 {
		close(m.all)
	}
	select {
	case <-m.all:
	case <-ctx.Done():
	}
}

// newCallPage is a web server with the page of one end of a call. Its browser, which ends with
// what it reports, stays until the other one has heard it.
func newCallPage(t *testing.T, both *meeting) *page {
	t.Helper()
	p := &page{seen: make(chan map[string]sight, 16)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><script>const parley = %s</script><script src="/webrtc.js"></script>`, *p.config.Load())
	})
	mux.HandleFunc("GET /webrtc.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join("browser", "webrtc.js"))
	})
	var once sync.Once // what comes later is of the end of the call
	mux.HandleFunc("POST /seen", func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() {
			both.come(t.Context())
			p.see(w, r)
		})
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// sight is what a page saw of one step: an answer, or an error.
type sight struct {
	Status   int
	Code, ID string
	Headers  []*string
	Protocol string // of the WebSocket
	Topic    string // of an MQTT message
	Error    string
}

// Pages of another origin use the whole API in a real browser if the operator allows their
// origin, and nothing of it if not.
func TestBrowserPagesOfOtherOrigins(t *testing.T) {
	beforeTheStore(t)
	chromium := findChromium(t)
	allowed, stranger := newPage(t), newPage(t)
	s := startServer(t, "--allowed-origins", allowed.URL, "--rate-send", "20", "--rate-read", "50") // so that answers tell the rates
	ann := s.device(t, "ann", "")
	ann.token = mint(t, secret, jwt.MapClaims{"sub": "ann", "scope": "chat.read chat.write", "exp": time.Now().Add(time.Hour).Unix()})
	group := ann.createGroup(t, "bob")
	config, err := json.Marshal(map[string]string{
		"api": s.url("http"), "realtime": s.url("ws") + "/v1/realtime", "token": ann.token, "group": group.ID,
		"expired": mint(t, secret, jwt.MapClaims{"sub": "ann", "exp": time.Now().Add(-time.Hour).Unix()}),
	})
	if err != nil {
		t.Fatal(err)
	}

	seen := allowed.visit(t, chromium, config)
	for step, want := range map[string]struct {
		status int
		code   string
	}{
		"list": {200, ""}, "create": {201, ""}, "send": {202, ""}, "replay": {202, ""}, "differs": {409, ""},
		"patch": {200, ""}, "put": {204, ""}, "delete": {204, ""},
		"refused": {400, "invalid_request"}, "expired": {401, "unauthenticated"}, "not found": {404, "not_found"},
	} {
		if got := seen[step]; got.Status != want.status || got.Code != want.code {
			t.Errorf("%s: the page saw %+v, want %v", step, got, want)
		}
		for i, header := range seen[step].Headers {
			if header == nil {
				t.Errorf("%s: the page cannot read header %d", step, i)
			}
		}
	}
	if id := seen["send"].Headers; len(id) != 1 || id[0] == nil || *id[0] != "from-a-page" {
		t.Errorf("the request id of a page came back as %v", id)
	}
	if seen["send"].ID == "" || seen["send"].ID != seen["replay"].ID || seen["send"].ID != seen["differs"].ID {
		t.Errorf("sent %s, replayed %s, taken %s", seen["send"].ID, seen["replay"].ID, seen["differs"].ID)
	}
	if got := seen["websocket"]; got.Error != "" || got.Protocol != "parley.v1" {
		t.Errorf("the WebSocket: %+v", got)
	}
	if got := seen["mqtt"]; got.Error != "" || got.Topic != "v1/threads/"+group.ID+"/frames" {
		t.Errorf("MQTT.js: %+v", got)
	}

	before := len(ann.history(t, group.ID))
	for step, got := range stranger.visit(t, chromium, config) {
		if got.Error == "" {
			t.Errorf("%s: a page of an origin that is not allowed saw %+v", step, got)
		}
	}
	if after := len(ann.history(t, group.ID)); after != before {
		t.Errorf("a page of an origin that is not allowed sent %d messages", after-before)
	}
	if log := s.log.String(); !strings.Contains(log, stranger.URL) || !strings.Contains(log, "--allowed-origins") {
		t.Errorf("the log does not name the origin that was turned away:\n%s", log)
	}
}

// findChromium skips a test on a machine without the browser.
func findChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("there is no chromium on this machine: install it to test what pages of other origins may do")
	return ""
}

// page is a web server of an origin of its own, with one page.
type page struct {
	*httptest.Server
	config atomic.Pointer[[]byte] // JSON for the page's script
	seen   chan map[string]sight
}

func newPage(t *testing.T) *page {
	t.Helper()
	p := &page{seen: make(chan map[string]sight, 1)}
	modules := nodeModules(t, "mqttjs")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><script>const parley = %s</script><script src="/mqtt.js"></script><script src="/page.js"></script>`, *p.config.Load())
	})
	serve := func(pattern, file string) {
		mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) })
	}
	serve("/mqtt.js", filepath.Join(modules, "mqtt", "dist", "mqtt.min.js"))
	serve("/page.js", filepath.Join("browser", "page.js"))
	mux.HandleFunc("POST /seen", p.see)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

// see takes what the page reports.
func (p *page) see(w http.ResponseWriter, r *http.Request) {
	var seen map[string]sight
	if err := json.NewDecoder(r.Body).Decode(&seen); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.seen <- seen
}

// visit opens the page in a browser and gives what the page reports.
func (p *page) visit(t *testing.T, chromium string, config []byte) map[string]sight {
	t.Helper()
	p.config.Store(&config)
	profile, err := os.MkdirTemp("", "parley-browser-") //nolint:usetesting // the browser's last processes may still write when it is removed
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(profile)
	cmd := exec.Command(chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns", // of calls between pages on this machine
		"--user-data-dir="+profile, p.URL+"/")
	var said strings.Builder
	cmd.Stderr, cmd.Stdout = &said, io.Discard
	cmd.Env = append(os.Environ(), "HOME="+profile)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it has many processes
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-exited
	}()
	select {
	case seen := <-p.seen:
		return seen
	case <-exited:
		t.Fatalf("the browser ended:\n%s", said.String())
	case <-time.After(2 * patience):
		t.Fatal("the page reports nothing")
	}
	return nil
}

package rest

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// Whatever else is wrong with a request, the first fault in the order of
// docs/contract.md#requests is the one that is told.
func TestOrderOfRefusals(t *testing.T) {
	sc := newScene(t)
	phone := mint(t, auth.Claims{User: "alice", Device: "phone", Scopes: []chat.Scope{chat.ScopeRead, chat.ScopeWrite, chat.ScopeAdmin}})
	unknown := strings.NewReplacer(sc.thread, "018fca3e-52b2-7f3c-8a35-6a2f5c1d9e00", sc.message, "01HX9G3M2J8K4N5P7Q8R0S1TAB")
	for _, c := range sc.calls() {
		known := c
		c.path = unknown.Replace(c.path) + "?colour=red"
		if c.body != "" {
			c.body = strings.Repeat(" ", 512<<10) + c.body
		}
		all := func(r *request) { r.header["X-Device-Id"], r.header["Content-Type"] = "web", "text/plain" }
		sc.make(c, all, func(r *request) { r.token = "x.y.z" }).refused(401, contracts.CodeUnauthenticated)
		sc.make(c, all, func(r *request) { r.method, r.token = "BREW", phone }).refused(405, contracts.CodeMethodNotAllowed)
		sc.make(c, all, func(r *request) { r.path, r.token = "/v1/nothing", phone }).refused(404, contracts.CodeNotFound)
		sc.make(c, all, func(r *request) { r.token = sc.scoped("alice") }).refused(403, chat.CodeMissingScope)
		sc.make(c, all, func(r *request) { r.token = phone }).refused(403, contracts.CodeDeviceMismatch)
		device := func(r *request) { r.token, r.header["X-Device-Id"] = phone, "phone" }
		malformed := func(r *request) { r.header["X-Device-Id"] = "a b" }
		sc.make(c, all, malformed, func(r *request) { r.token = phone }).refused(403, contracts.CodeDeviceMismatch)
		sc.make(c, all, malformed, func(r *request) { r.token = sc.scoped("alice") }).refused(403, chat.CodeMissingScope)
		if c.body != "" {
			sc.make(c, all, device).refused(415, contracts.CodeUnsupportedMediaType)
			sc.make(c, all, malformed).refused(415, contracts.CodeUnsupportedMediaType)
			sc.make(c, device).refused(413, contracts.CodeBodyTooLarge)
			sc.make(c, malformed).refused(413, contracts.CodeBodyTooLarge)
			c.body = `{"nonsense":1}`
		}
		sc.make(c, device).invalid("colour")
		c.path = unknown.Replace(known.path)
		if c.body != "" {
			sc.make(c, device).invalid("nonsense")
		}
		if c.path == known.path {
			continue
		}
		c.body = known.body
		code := chat.CodeThreadNotFound
		if strings.Contains(c.path, "/messages/") {
			code = chat.CodeMessageNotFound
		}
		sc.make(c, device).refused(404, code)
	}
}

// Below /v1 nobody learns without a token what is there.
func TestTokenComesBeforeRouteAndMethod(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/v1", "/v1/", "/v1/nothing", "/v1/threads", "/v1/realtime"} {
		w.do(request{method: "POST", path: path}).refused(401, contracts.CodeUnauthenticated)
		w.do(request{method: "OPTIONS", path: path}).refused(401, contracts.CodeUnauthenticated) // no preflight: it has no Origin
	}
	w.do(request{method: "POST", path: "/healthz"}).refused(405, contracts.CodeMethodNotAllowed)
	w.do(request{method: "GET", path: "/nothing"}).refused(404, contracts.CodeNotFound)
}

func TestEveryQueryIsReadStrictly(t *testing.T) {
	sc := newScene(t)
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range sc.calls() {
		op, _ := doc.operationOf(c.method, c.path)
		known := append(doc.query(op), "device_id")
		ofOthers := slices.DeleteFunc(doc.queries(), func(name string) bool { return slices.Contains(known, name) })
		for _, bad := range append(ofOthers, "colour", "Page_size", "access_token", "page_size[]", "device_id ", "") {
			query := "?" + bad + "=1"
			sc.make(c, func(r *request) { r.path += strings.ReplaceAll(query, " ", "%20") }).invalid(bad)
		}
		for _, name := range known {
			if !strings.Contains(c.path, "?"+name) {
				sc.make(c, func(r *request) { r.path += "?" + name + "=1&x=1&" + name + "=1" }).invalid("x")
			}
			sc.make(c, func(r *request) { r.path += "?" + name + "=1&" + name + "=1" }).invalid(name)
		}
		if c.method != "GET" {
			continue
		}
		for _, ok := range []string{"?device_id=web", "?"} {
			if a := sc.make(c, func(r *request) { r.path += ok }); a.status == 400 {
				t.Errorf("%s%s: %s", c.path, ok, a.body)
			}
		}
	}
}

// heap is what the process holds after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// inMB is a difference that may be negative.
func inMB(before, after uint64) float64 { return (float64(after) - float64(before)) / (1 << 20) }

// Strangers announce large bodies and send halves of them, or half a head. All this waits
// here at once.
func TestStrangersCostLittleMemory(t *testing.T) {
	const strangers = 1500 // each needs two descriptors here; test/e2e has 3,000
	half := strings.Repeat("x", 200)
	for what, sent := range map[string]string{
		"half a body, no token":  "POST /v1/threads HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500000\r\n\r\n" + half,
		"half a body, bad token": "POST /v1/threads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x.y.z\r\nContent-Length: 500000\r\n\r\n" + half,
		"half a chunk, no token": "POST /v1/threads HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n70000\r\n" + half,
		"a body for a probe":     "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n" + half,
		"half a head":            "POST /v1/threads HTTP/1.1\r\nHost: x\r\nX-Half: " + half,
	} {
		w := newWideWorld(t, 2*strangers, chat.Limits{}) // those of before may linger
		lines := make([]*line, strangers)
		before := heap()
		for i := range lines {
			lines[i] = w.dial().write(sent)
		}
		if what == "half a head" {
			w.get("/healthz").want(200) // behind them
		} else {
			for _, l := range lines {
				l.answer()
			}
		}
		grown := inMB(before, heap()) - strangers*8.0/1024 // what each line holds in this process: two buffers of 4 KiB
		t.Logf("%s: %d connections, %.1f MB, %.1f KiB each", what, strangers, grown, grown*1024/strangers)
		// Each connection may have a goroutine with its stack still, some 11 KiB. Their bodies
		// would be over 700 MB.
		if grown > 30 {
			t.Errorf("%s: the heap grew by %.1f MB", what, grown)
		}
		for _, l := range lines {
			l.Close()
		}
	}
}

// A body takes memory as it arrives, not as it is announced, also that of a user.
func TestBodiesAreHeldAsTheyArrive(t *testing.T) {
	w := newWorld(t)
	const users = 200
	head := func(i int) string { // of a user of its own: of one user a few are read at once
		return "POST /v1/threads HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " + w.token(fmt.Sprint("user", i)) + "\r\n"
	}
	for what, rest := range map[string]string{
		"announced": "Content-Length: 524288\r\n\r\n{",
		"one chunk": "Transfer-Encoding: chunked\r\n\r\n80000\r\n{",
	} {
		before := heap()
		var lines []*line
		for i := range users {
			l := w.dial().write(head(i) + "Expect: 100-continue\r\n" + rest[:strings.Index(rest, "\r\n\r\n")+4])
			interim := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
			if _, err := io.ReadFull(l.in, interim); err != nil { // the server is reading the body now
				t.Fatal(err)
			}
			lines = append(lines, l.write(rest[strings.Index(rest, "\r\n\r\n")+4:]))
		}
		grown := inMB(before, heap())
		t.Logf("%s: %d half bodies of 512 KiB hold %.1f MB", what, users, grown)
		if grown > users*40.0/1024 {
			t.Errorf("%s: the heap grew by %.1f MB", what, grown)
		}
		for _, l := range lines {
			l.Close()
		}
	}
}

// A body that nobody will read ends the connection, and the client still learns why, however
// much it is sending: the socket is not closed under its hands.
func TestClientThatIsStillSendingLearnsWhy(t *testing.T) {
	w := newWorld(t)
	for what, tc := range map[string]struct {
		head   string
		status int
		code   chat.Code
	}{
		"no token":  {"POST /v1/threads HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n", 401, contracts.CodeUnauthenticated},
		"too large": {"POST /v1/threads HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " + w.token("alice") + "\r\nContent-Length: 2000000\r\n\r\n", 413, contracts.CodeBodyTooLarge},
		"faulty":    {"POST /v1/threads HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 2000000\r\n\r\n", 400, chat.CodeInvalidRequest},
		"no route":  {"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n", 404, contracts.CodeNotFound},
	} {
		l := w.dial().write(tc.head)
		var sending sync.WaitGroup
		sending.Go(func() {
			_, _ = io.Copy(l, strings.NewReader(strings.Repeat("x", 2_000_000)))
			_ = l.Conn.(*net.TCPConn).CloseWrite()
		})
		l.answer().refused(tc.status, tc.code)
		sending.Wait()
		l.closed(what)
	}
	small := w.dial().write("POST /v1/threads HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
	small.answer().refused(401, contracts.CodeUnauthenticated)
	_ = small.Conn.(*net.TCPConn).CloseWrite()
	small.closed("a 401 with an unread body")
}

// Half a head has the time of Limits.ReadTimeout, on a connection's first request and on
// every later one; a byte now and then gives it no more.
func TestSlowHeadsEnd(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.ReadTimeout = 200 * time.Millisecond })
	for _, before := range []string{"", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"} {
		l := w.dial().write(before + "GET /healthz HTTP/1.1\r\n")
		if before != "" {
			l.answer().want(200)
		}
		l.answer().refused(408, contracts.CodeRequestTimeout)
		l.closed(fmt.Sprintf("after %q", before))
	}
}

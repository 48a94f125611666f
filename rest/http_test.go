package rest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

func TestAuthentication(t *testing.T) {
	w := newWorld(t)
	good := mint(t, auth.Claims{User: "alice", Scopes: []chat.Scope{chat.ScopeRead}})
	with := func(authorization string) answer {
		return w.do(request{method: "GET", path: "/v1/threads", header: map[string]string{"Authorization": authorization}})
	}
	for _, ok := range []string{"Bearer " + good, "bearer " + good, "BEARER  " + good} {
		with(ok).want(200)
	}
	expired := mint(t, auth.Claims{User: "alice", Expires: time.Now().Add(-time.Minute)})
	for _, bad := range []string{"", "Bearer", "Bearer ", good, "Basic " + good, "Bearer " + good + "x", "Bearer " + expired} {
		a := with(bad)
		a.refused(401, contracts.CodeUnauthenticated)
		if a.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("WWW-Authenticate is %q", a.header.Get("WWW-Authenticate"))
		}
	}
	w.do(request{method: "GET", path: "/v1/threads?access_token=" + good}).refused(401, contracts.CodeUnauthenticated)

	readOnly := request{token: good, method: "POST", path: "/v1/threads", body: `{"type":"GROUP","participants":[]}`}
	w.do(readOnly).refused(403, chat.CodeMissingScope)
	writeOnly := mint(t, auth.Claims{User: "alice", Scopes: []chat.Scope{chat.ScopeWrite}})
	w.do(request{token: writeOnly, method: "GET", path: "/v1/threads"}).refused(403, chat.CodeMissingScope)
	if strings.Contains(w.log.String(), good) || strings.Contains(w.log.String(), expired) {
		t.Error("a token is in the log")
	}
}

func TestRoutesAndMethods(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	for _, path := range []string{"/", "/v1", "/v1/nothing", "/v1/Threads", "/v1/threads/", "/v1/threads/" + id + "/", "/v1/users/me", "//v1/threads"} {
		w.get(path).refused(404, contracts.CodeNotFound)
	}
	for _, tc := range []struct{ method, path, allow string }{
		{"DELETE", "/v1/threads", "GET, HEAD, POST"},
		{"OPTIONS", "/v1/threads", "GET, HEAD, POST"},
		{"PUT", "/v1/threads/" + id, "GET, HEAD, PATCH"},
		{"GET", "/v1/threads/" + id + "/read", "POST"},
		{"HEAD", "/v1/threads/" + id + "/read", "POST"},
		{"GET", "/v1/threads/" + id + "/participants/bob", "DELETE, PATCH"},
		{"POST", "/healthz", "GET, HEAD"},
		{"BREW", "/v1/threads", "GET, HEAD, POST"},
	} {
		a := w.do(request{user: "alice", method: tc.method, path: tc.path})
		if tc.method == "HEAD" {
			a.want(405)
		} else {
			a.refused(405, contracts.CodeMethodNotAllowed)
		}
		allowed := strings.Split(a.header.Get("Allow"), ", ")
		slices.Sort(allowed)
		if got := strings.Join(allowed, ", "); got != tc.allow {
			t.Errorf("%s %s: Allow is %q, want %q", tc.method, tc.path, got, tc.allow)
		}
	}
	w.do(request{method: "BREW", path: "/nothing"}).refused(404, contracts.CodeNotFound)
	head := w.do(request{user: "alice", method: "HEAD", path: "/v1/threads/" + id}).want(200)
	if len(head.body) != 0 || head.header.Get("Content-Type") != "application/json" {
		t.Errorf("HEAD: %v %s", head.header, head.body)
	}
}

func TestMediaTypes(t *testing.T) {
	w := newWorld(t)
	post := func(contentType, encoding string) answer {
		return w.do(request{
			user: "alice", method: "POST", path: "/v1/threads", body: `{"type":"GROUP","participants":[]}`,
			header: map[string]string{"Content-Type": contentType, "Content-Encoding": encoding},
		})
	}
	for _, ok := range []string{"application/json", "Application/JSON; charset=utf-8", "application/json;charset=utf-8"} {
		post(ok, "").want(201)
	}
	for _, bad := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json5", "application/merge-patch+json"} {
		post(bad, "").refused(415, contracts.CodeUnsupportedMediaType)
	}
	post("application/json", "gzip").refused(415, contracts.CodeUnsupportedMediaType)
}

func TestBodyLimit(t *testing.T) {
	w := newWorld(t)
	body := func(size int) string { // valid JSON of exactly that size
		const thread = `{"type":"GROUP","participants":[]}`
		return thread + strings.Repeat(" ", size-len(thread))
	}
	w.post("/v1/threads", body(512<<10)).want(201)
	for _, size := range []int{512<<10 + 1, 1 << 20} {
		a := w.do(request{
			user: "alice", method: "POST", path: "/v1/threads", body: body(size), header: map[string]string{"X-Request-Id": "mine"},
		})
		a.refused(413, contracts.CodeBodyTooLarge)
		if a.header.Get("X-Request-Id") != "mine" {
			t.Errorf("X-Request-Id is %s", a.header.Get("X-Request-Id"))
		}
	}
}

func TestRequestIDs(t *testing.T) {
	w := newWorld(t)
	with := func(id string) string {
		return w.do(request{method: "GET", path: "/healthz", header: map[string]string{"X-Request-Id": id}}).header.Get("X-Request-Id")
	}
	for _, sane := range []string{"a", strings.Repeat("~", 128), "!x"} {
		if got := with(sane); got != sane {
			t.Errorf("%q came back as %q", sane, got)
		}
	}
	made := map[string]bool{}
	for _, other := range []string{"", strings.Repeat("x", 129), "a b", "é"} {
		got := with(other)
		if got == other || len(got) < 20 || made[got] {
			t.Errorf("%q gave %q", other, got)
		}
		made[got] = true
	}
	for path, status := range map[string]int{"/nothing": 404, "/v1/threads": 401} {
		a := w.do(request{method: "GET", path: path, header: map[string]string{"X-Request-Id": "mine"}}).want(status)
		if a.header.Get("X-Request-Id") != "mine" {
			t.Errorf("%s lost the id", path)
		}
	}
	if !strings.Contains(w.log.String(), "request_id=mine") {
		t.Errorf("the log lacks the id:\n%s", w.log)
	}
}

// raw writes bytes to the server and reads one answer.
func (w *world) raw(request string) answer {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
	if _, err := io.WriteString(conn, request); err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.Header.Get("X-Request-Id") == "" {
		w.t.Errorf("no X-Request-Id for %.60q", request)
	}
	return answer{w.t, resp.StatusCode, resp.Header, body}
}

func TestRequestsThatAreNoHTTP(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.ReadTimeout = 300 * time.Millisecond })
	w.raw("nonsense\r\n\r\n").refused(400, chat.CodeInvalidRequest)
	w.raw("GET /v1/threads HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("x", 20<<10)+"\r\n\r\n").refused(431, contracts.CodeHeadersTooLarge)
	post := "POST /v1/threads HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " + w.token("alice") + "\r\n"
	w.raw(post+"Content-Length: 10\r\n\r\nslow").refused(408, contracts.CodeRequestTimeout)
	w.raw(post+"Transfer-Encoding: chunked\r\n\r\n5\r\nslow").refused(408, contracts.CodeRequestTimeout)
	w.raw(post+"X-Slow: ").refused(408, contracts.CodeRequestTimeout)
	w.raw(post+"Transfer-Encoding: chunked\r\n\r\n90000\r\n"+strings.Repeat("x", 0x90000)+"\r\n0\r\n\r\n").
		refused(413, contracts.CodeBodyTooLarge)
	w.raw("GET /v1/threads/%zz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+w.token("alice")+"\r\nConnection: close\r\n\r\n").
		refused(404, chat.CodeThreadNotFound)
}

func TestSilentConnectionIsClosed(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.ReadTimeout = 100 * time.Millisecond })
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the server to close", err)
	}
}

func TestRealtimeIsHandedOver(t *testing.T) {
	echo := func(c *fiber.Ctx) error {
		if c.Get("Authorization") != "" {
			return chat.Refuse(contracts.CodeUnauthenticated, "no")
		}
		c.Status(http.StatusSwitchingProtocols)
		c.Context().Hijack(func(conn net.Conn) {
			time.Sleep(300 * time.Millisecond) // the point: longer than the timeouts
			_, _ = io.CopyN(conn, conn, 4)
		})
		return nil
	}
	w := newWorld(t, func(c *Config) {
		c.Realtime = echo
		c.Limits.ReadTimeout, c.Limits.WriteTimeout, c.Limits.IdleTimeout = 100*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond
	})
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
	_, _ = io.WriteString(conn, "GET /v1/realtime HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\r\n")
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %d", resp.StatusCode)
	}
	_, _ = io.WriteString(conn, "ping")
	got := make([]byte, 4)
	if _, err := io.ReadFull(in, got); err != nil || string(got) != "ping" {
		t.Errorf("got %q, %v", got, err)
	}
	w.get("/v1/realtime").refused(401, contracts.CodeUnauthenticated)
	if a := w.do(request{user: "alice", method: "HEAD", path: "/v1/realtime"}).want(405); a.header.Get("Allow") != "GET" {
		t.Errorf("HEAD: Allow is %q", a.header.Get("Allow"))
	}
}

func TestOperations(t *testing.T) {
	draining := false
	w := newWorld(t, func(c *Config) { c.Draining = func() bool { return draining } })
	id := w.group("bob")
	w.get("/v1/threads/" + id)
	w.get("/nothing/" + id)
	w.do(request{method: "GET", path: "/healthz"}).want(200)
	w.do(request{method: "GET", path: "/readyz"}).want(200)
	metrics := string(w.do(request{method: "GET", path: "/metrics"}).want(200).body)
	for _, line := range []string{
		`parley_http_requests_total{method="GET",route="/v1/threads/:id",status="200"} 1`,
		`parley_http_requests_total{method="GET",route="unmatched",status="404"} 1`,
		`parley_http_request_duration_seconds_count{method="POST",route="/v1/threads",status="201"} 1`,
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("the metrics lack %s", line)
		}
	}
	if log := w.log.String(); strings.Contains(log, id) || !strings.Contains(log, "route=/v1/threads/:id") || !strings.Contains(log, "user=alice") {
		t.Errorf("the log:\n%s", log)
	}
	draining = true
	a := w.do(request{method: "GET", path: "/readyz"}).want(503)
	if a.header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	if got := string(a.body); got != `{"status":"unavailable","reasons":["draining"]}` {
		t.Errorf("/readyz of a node that drains: %s", got)
	}
	if got := string(w.do(request{method: "GET", path: "/healthz"}).want(200).body); got != `{"status":"ok","reasons":[]}` {
		t.Errorf("/healthz: %s", got)
	}
}

// ill is a service whose store or bus is down.
type ill struct {
	Chat
	health *chat.Health
}

func (i ill) Health(context.Context) chat.Health { return *i.health }

func TestReadinessSaysWhatIsWrong(t *testing.T) {
	down := errors.New("secret address")
	health := new(chat.Health)
	w := newWorld(t, func(c *Config) { c.Chat = ill{c.Chat, health} })
	for _, tc := range []struct {
		health chat.Health
		status int
		body   string
	}{
		{chat.Health{}, 200, `{"status":"ok","reasons":[]}`},
		{chat.Health{Bus: down}, 200, `{"status":"degraded","reasons":["bus"]}`},
		{chat.Health{Store: down}, 503, `{"status":"unavailable","reasons":["store"]}`},
		{chat.Health{Clock: down}, 200, `{"status":"degraded","reasons":["clock"]}`},
		{chat.Health{Clock: chat.ErrClockWrong}, 503, `{"status":"unavailable","reasons":["clock"]}`},
		{chat.Health{Store: down, Bus: down, Clock: down}, 503, `{"status":"unavailable","reasons":["bus","clock","store"]}`},
		{chat.Health{Store: down, Bus: down}, 503, `{"status":"unavailable","reasons":["bus","store"]}`},
	} {
		*health = tc.health
		if got := string(w.do(request{method: "GET", path: "/readyz"}).want(tc.status).body); got != tc.body {
			t.Errorf("/readyz: %s, want %s", got, tc.body)
		}
		w.do(request{method: "GET", path: "/healthz"}).want(200)
	}
	if log := w.log.String(); !strings.Contains(log, "secret address") {
		t.Errorf("the log does not say what is wrong:\n%s", log)
	}
}

func TestMetricsElsewhere(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ServeMetrics = false })
	w.get("/metrics").refused(404, contracts.CodeNotFound)
}

// broken is a service that fails in ways in which a correct one does not.
type broken struct{ Chat }

func (broken) Threads(context.Context, chat.Caller, chat.PageRequest) (chat.ThreadPage, error) {
	panic("secret panic")
}

func (broken) Thread(context.Context, chat.Caller, chat.ThreadID) (chat.ThreadView, error) {
	return chat.ThreadView{}, errors.New("secret failure")
}

func (broken) Receipts(ctx context.Context, _ chat.Caller, _ chat.MessageID) ([]chat.RecipientReceipt, error) {
	<-ctx.Done()
	return nil, fmt.Errorf("secret wait: %w", ctx.Err())
}

func TestInternalsAreLoggedAndNotShown(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Chat = broken{c.Chat}
		c.Limits.CallTimeout = 50 * time.Millisecond
	})
	for _, tc := range []struct {
		path   string
		status int
		code   chat.Code
		logged string
	}{
		{"/v1/threads", 500, contracts.CodeInternal, "secret panic"},
		{"/v1/threads/018fca3e-52b2-7f3c-8a35-6a2f5c1d9e00", 500, contracts.CodeInternal, "secret failure"},
		{"/v1/messages/01HX9G3M2J8K4N5P7Q8R0S1TAB/receipts", 503, chat.CodeUnavailable, "secret wait"},
	} {
		a := w.get(tc.path)
		a.refused(tc.status, tc.code)
		if strings.Contains(string(a.body), "secret") {
			t.Errorf("%s leaks: %s", tc.path, a.body)
		}
		if !strings.Contains(w.log.String(), tc.logged) {
			t.Errorf("%s: the log lacks %q", tc.path, tc.logged)
		}
		if tc.status == 503 && a.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", tc.path)
		}
	}
}

// unstored is a service whose store fails.
type unstored struct{ Chat }

func (unstored) Threads(context.Context, chat.Caller, chat.PageRequest) (chat.ThreadPage, error) {
	return chat.ThreadPage{}, chat.Unavailable("list the threads", errors.New("the store is away"))
}

func (unstored) Block(context.Context, chat.Caller, chat.UserID) error {
	return chat.Unavailable("change the block", errors.New("the store is away"))
}

func (unstored) Unblock(context.Context, chat.Caller, chat.UserID) error {
	return chat.Unavailable("change the block", context.Canceled)
}

func (unstored) Thread(context.Context, chat.Caller, chat.ThreadID) (chat.ThreadView, error) {
	return chat.ThreadView{}, chat.Refuse(chat.CodeUnavailable, "the server is full")
}

func TestCallsThatTheStoreFailsAreCounted(t *testing.T) {
	var mu sync.Mutex
	var failures []Failure
	w := newWorld(t, func(c *Config) {
		c.Chat = unstored{c.Chat}
		c.Failed = func(f Failure) { mu.Lock(); failures = append(failures, f); mu.Unlock() }
	})
	w.get("/v1/threads").refused(503, chat.CodeUnavailable)
	w.as("alice", "PUT", "/v1/users/me/blocks/bob", "").refused(503, chat.CodeUnavailable)
	w.as("alice", "DELETE", "/v1/users/me/blocks/bob", "").refused(503, chat.CodeUnavailable)
	w.get("/v1/threads/018fca3e-52b2-7f3c-8a35-6a2f5c1d9e00").refused(503, chat.CodeUnavailable)
	mu.Lock()
	defer mu.Unlock()
	if want := []Failure{ReadFailed, WriteFailed}; !slices.Equal(failures, want) {
		t.Errorf("counted are %v, want %v", failures, want)
	}
}

func TestOpenAPIHasTheServedRoutes(t *testing.T) {
	app := New(Config{ServeMetrics: true, Realtime: func(*fiber.Ctx) error { return nil }}).app
	var served []string
	for _, r := range app.GetRoutes(true) {
		if r.Method != fiber.MethodHead {
			path := regexp.MustCompile(`:(\w+)`).ReplaceAllString(r.Path, "{$1}")
			served = append(served, strings.ToLower(r.Method)+" "+path)
		}
	}
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for path, operations := range doc.Paths {
		for method := range operations {
			documented = append(documented, method+" "+path)
		}
	}
	slices.Sort(served)
	slices.Sort(documented)
	if !slices.Equal(served, documented) {
		t.Errorf("served     %v\ndocumented %v", served, documented)
	}
}

package rest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
	"github.com/parleyhq/parley/internal/admission"
	"github.com/parleyhq/parley/store"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's goroutine that removes idle workers notices only every 10 s that its server has stopped.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		// fasthttp starts this clock with its first server and never stops it.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	)
}

var secret = []byte("0123456789abcdef0123456789abcdef")

// world is a whole server on a real socket: the application over the real use
// cases, the embedded store and the local bus.
type world struct {
	t      *testing.T
	addr   string
	log    *logBuffer
	store  chat.Store
	frozen atomic.Int64 // what the use cases take for the present, in Unix ms; zero is the real time
	online sync.Map     // the users who are connected
	sends  int
}

// newWorld starts a server; change may alter its configuration before.
func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	return newWorldWithin(t, chat.Limits{}, change...)
}

// newWorldWithin is newWorld with other limits. There is no rate limit unless they set one.
func newWorldWithin(t *testing.T, limits chat.Limits, change ...func(*Config)) *world {
	t.Helper()
	return newWideWorld(t, testConnections, limits, change...)
}

// newWideWorld is newWorldWithin with so many connections at most.
func newWideWorld(t *testing.T, connections int, limits chat.Limits, change ...func(*Config)) *world {
	t.Helper()
	st, err := store.Open(t.Context(), "pebble:"+t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	bus := local.New()
	w := &world{t: t, log: &logBuffer{}, store: st}
	service := chat.New(chat.Config{Store: st, Bus: bus, Limits: limits, Now: w.now, Online: w.isOnline})
	verifier, err := auth.NewVerifier(auth.Config{Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Chat: service, Verifier: verifier, ServeMetrics: true,
		Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&cfg)
	}
	stop := w.listen(New(cfg), connections)
	t.Cleanup(func() {
		stop()
		service.Close(context.Background())
		if err := errors.Join(bus.Close(), st.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// testConnections is how many connections a server of these tests takes, unless a test says.
const testConnections = 250

func (w *world) listen(server *Server, connections int) (stop func()) {
	w.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.addr = ln.Addr().String()
	gate := admission.New(admission.Limits{Connections: connections, Over: 1}) // as the binary has one
	served := make(chan error, 1)
	go func() { served <- server.Serve(gate.Listen(ln)) }()
	return func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			w.t.Error(err)
		}
		if err := <-served; err != nil {
			w.t.Error(err)
		}
	}
}

func (w *world) now() time.Time {
	if ms := w.frozen.Load(); ms != 0 {
		return time.UnixMilli(ms)
	}
	return time.Now()
}

// advance stops the clock of the use cases, unless it is stopped already, and sets it
// forward.
func (w *world) advance(d time.Duration) { w.frozen.Store(w.now().Add(d).UnixMilli()) }

func (w *world) isOnline(_ context.Context, user chat.UserID) (bool, error) {
	_, online := w.online.Load(user)
	return online, nil
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func mint(t *testing.T, c auth.Claims) string {
	t.Helper()
	if c.Expires.IsZero() {
		c.Expires = time.Now().Add(time.Hour)
	}
	tok, err := auth.Mint(secret, c)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// request is one call. Unless token is set, it has a token of user with the scopes of an
// ordinary user.
type request struct {
	user, token  string
	method, path string
	body         string
	header       map[string]string // "" removes one
}

type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

func (w *world) do(r request) answer {
	w.t.Helper()
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(context.Background(), r.method, "http://"+w.addr+r.path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	if r.user != "" && r.token == "" {
		r.token = w.token(r.user)
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	if r.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.header {
		if value == "" {
			req.Header.Del(name)
		} else {
			req.Header.Set(name, value)
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{w.t, resp.StatusCode, resp.Header, got}
	a.checkDocumented(r)
	if a.header.Get("X-Request-Id") == "" {
		w.t.Errorf("%s %s: no X-Request-Id", r.method, r.path)
	}
	if a.header.Get("Server") != "" {
		w.t.Errorf("%s %s: Server is %s", r.method, r.path, a.header.Get("Server"))
	}
	return a
}

// token makes the token of an ordinary user.
func (w *world) token(user string) string {
	w.t.Helper()
	return mint(w.t, auth.Claims{User: chat.UserID(user), Scopes: []chat.Scope{chat.ScopeRead, chat.ScopeWrite}})
}

// as is a call of that user.
func (w *world) as(user, method, path, body string) answer {
	w.t.Helper()
	return w.do(request{user: user, method: method, path: path, body: body})
}

// asAdmin is a call of an operator.
func (w *world) asAdmin(method, path string) answer {
	w.t.Helper()
	return w.do(request{
		token: mint(w.t, auth.Claims{User: "root", Scopes: []chat.Scope{chat.ScopeAdmin}}), method: method, path: path,
	})
}

// get, post and del are calls of alice, who is in every thread of the tests.
func (w *world) get(path string) answer {
	w.t.Helper()
	return w.do(request{user: "alice", method: "GET", path: path})
}

func (w *world) post(path, body string) answer {
	w.t.Helper()
	return w.do(request{user: "alice", method: "POST", path: path, body: body})
}

func (w *world) del(path string) answer {
	w.t.Helper()
	return w.do(request{user: "alice", method: "DELETE", path: path})
}

// send posts a message with the given key.
func (w *world) send(user, thread, key, body string) answer {
	w.t.Helper()
	return w.do(request{
		user: user, method: "POST", path: "/v1/threads/" + thread + "/messages", body: body,
		header: map[string]string{"Idempotency-Key": key},
	})
}

// message sends a message with a body of its own, to which the members are added.
func (w *world) message(user, thread, members string) contracts.Message {
	w.t.Helper()
	w.sends++
	body := fmt.Sprintf(`{"client_seq":%d,"ciphertext":"aGVsbG8="%s}`, w.sends, members)
	return decoded[contracts.Message](w.send(user, thread, fmt.Sprint("message-", w.sends), body).want(http.StatusAccepted))
}

// pair makes the 1:1 thread of alice and another user and gives its id.
func (w *world) pair(other string) string {
	w.t.Helper()
	a := w.post("/v1/threads", `{"type":"1_TO_1","participants":["`+other+`"]}`).want(http.StatusCreated)
	return decoded[contracts.Thread](a).ID
}

// group makes a group of alice and others and gives its id.
func (w *world) group(others ...string) string {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{"type": "GROUP", "participants": append([]string{}, others...)})
	if err != nil {
		w.t.Fatal(err)
	}
	a := w.post("/v1/threads", string(body)).want(http.StatusCreated)
	return decoded[contracts.Thread](a).ID
}

func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("got %d %.300s, want %d", a.status, a.body, status)
	}
	return a
}

// refused checks that the answer is a complete problem document with that status and code.
func (a answer) refused(status int, code chat.Code) contracts.Problem {
	a.t.Helper()
	a.want(status)
	if ct := a.header.Get("Content-Type"); ct != contracts.ProblemContentType {
		a.t.Errorf("Content-Type is %s", ct)
	}
	p := decoded[contracts.Problem](a)
	if p.Code != code || p.Status != status || p.Title == "" || p.Type == "" || p.Detail == "" {
		a.t.Errorf("got %s, want %s", a.body, code)
	}
	return p
}

// invalid checks that the answer is an invalid_request whose first field is that one.
func (a answer) invalid(field string) {
	a.t.Helper()
	p := a.refused(http.StatusBadRequest, chat.CodeInvalidRequest)
	var got string
	if len(p.Errors) > 0 {
		got = p.Errors[0].Field
	}
	if got != field {
		a.t.Errorf("blames %q, want %q: %s", got, field, a.body)
	}
}

func decoded[T any](a answer) T {
	a.t.Helper()
	var v T
	if err := json.Unmarshal(a.body, &v, json.RejectUnknownMembers(true)); err != nil {
		a.t.Fatalf("%v in %.300s", err, a.body)
	}
	return v
}

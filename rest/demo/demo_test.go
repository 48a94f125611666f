package demo

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/auth"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

// serve starts the page on a socket of its own and gives its address.
func serve(t *testing.T, secret []byte) string {
	t.Helper()
	page, err := New(secret, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	app := fiber.New(fiber.Config{
		DisableStartupMessage: true,
		ErrorHandler: func(c *fiber.Ctx, err error) error {
			return c.Status(fiber.StatusForbidden).SendString(err.Error())
		},
	})
	page.Routes(func(method, path string, handle fiber.Handler) { app.Add(method, path, handle) })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = app.Listener(ln) }()
	t.Cleanup(func() { _ = app.Shutdown() })
	return ln.Addr().String()
}

func ask(t *testing.T, method, url string, headers map[string]string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		if name == "Host" {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func TestPageIsServedWithAStrictPolicy(t *testing.T) {
	addr := serve(t, nil)
	resp := ask(t, http.MethodGet, "http://"+addr+"/", nil)
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), "<!doctype html>") {
		t.Fatalf("%d %.80s, %v", resp.StatusCode, body, err)
	}
	policy := resp.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %q", policy)
	}
	tag := resp.Header.Get("ETag")
	if again := ask(t, http.MethodGet, "http://"+addr+"/", map[string]string{"If-None-Match": tag}); again.StatusCode != http.StatusNotModified {
		t.Errorf("the page that the browser has is answered with %d", again.StatusCode)
	}
	if missing := ask(t, http.MethodGet, "http://"+addr+"/assets/none.js", nil); missing.StatusCode == http.StatusOK {
		t.Error("an asset that is not there is served")
	}
	if none := ask(t, http.MethodPost, "http://"+addr+TokenPath+"?user=alice", map[string]string{"Origin": "http://" + addr}); none.StatusCode == http.StatusOK {
		t.Error("a page without a secret gives tokens")
	}
}

// Every file that the page names is there, is named after its content, and is kept for ever.
func TestAssetsAreThere(t *testing.T) {
	page, err := New(nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	addr := serve(t, nil)
	for path, f := range page.files {
		if path == "/" {
			if strings.Contains(string(f.plain), "://") {
				t.Error("the page names something of another origin")
			}
			continue
		}
		if strings.HasPrefix(path, docsPath) {
			continue // has no hash in its name, and is asked for anew
		}
		resp := ask(t, http.MethodGet, "http://"+addr+path, map[string]string{"Accept-Encoding": "gzip"})
		if resp.StatusCode != http.StatusOK || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") || resp.Header.Get("Content-Type") == "" {
			t.Errorf("%s: %d %v", path, resp.StatusCode, resp.Header)
		}
	}
}

func TestOnlyThePageItselfGetsTokens(t *testing.T) {
	addr := serve(t, secret)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	self := map[string]string{"Origin": "http://" + addr, "Sec-Fetch-Site": "same-origin"}
	with := func(more ...string) map[string]string {
		headers := map[string]string{}
		for name, value := range self {
			headers[name] = value
		}
		for i := 0; i < len(more); i += 2 {
			headers[more[i]] = more[i+1]
		}
		return headers
	}

	resp := ask(t, http.MethodPost, "http://"+addr+TokenPath+"?user=alice", self)
	var answer struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d, %v", resp.StatusCode, err)
	}
	verifier, err := auth.NewVerifier(auth.Config{Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	if identity, err := verifier.Verify(answer.Token); err != nil || identity.User != "alice" {
		t.Errorf("the token is of %v, %v", identity, err)
	}
	name := "localhost:" + port
	if resp := ask(t, http.MethodPost, "http://"+addr+TokenPath+"?user=bob", with("Host", name, "Origin", "http://"+name)); resp.StatusCode != http.StatusOK {
		t.Errorf("the page at localhost is refused: %d", resp.StatusCode)
	}

	for what, headers := range map[string]map[string]string{
		"no origin":              {},
		"another origin":         with("Origin", "http://evil.example"),
		"another port":           with("Origin", "http://127.0.0.1:1"),
		"no origin of a page":    with("Origin", "null"),
		"another site":           with("Sec-Fetch-Site", "same-site"),
		"a name that is rebound": with("Host", "evil.example:"+port, "Origin", "http://evil.example:"+port),
		"a name like localhost":  with("Host", "localhost.evil.example", "Origin", "http://localhost.evil.example"),
		"another machine's host": with("Host", "192.0.2.1:"+port, "Origin", "http://192.0.2.1:"+port),
		"a proxy":                with("X-Forwarded-For", "192.0.2.1"),
	} {
		if resp := ask(t, http.MethodPost, "http://"+addr+TokenPath+"?user=alice", headers); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d", what, resp.StatusCode)
		}
	}
	if resp := ask(t, http.MethodPost, "http://"+addr+TokenPath+"?user=mallory", self); resp.StatusCode != http.StatusForbidden {
		t.Errorf("somebody who is no user of the demo: %d", resp.StatusCode)
	}
	if resp := ask(t, http.MethodGet, "http://"+addr+TokenPath+"?user=alice", self); resp.StatusCode == http.StatusOK {
		t.Error("a GET gives a token")
	}
}

// The page knows by this whether it has to ask its visitor for a token.
func TestPageIsToldWhoseTokensItGets(t *testing.T) {
	for want, secret := range map[string][]byte{`{"users":["alice","bob","carol"]}`: secret, `{"users":[]}`: nil} {
		resp := ask(t, http.MethodGet, "http://"+serve(t, secret)+UsersPath, nil)
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || string(body) != want || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %s, %v, %v; want %s", resp.StatusCode, body, resp.Header, err, want)
		}
	}
}

// HEAD says what GET would, without the body (docs/contract.md#requests).
func TestPagesAnswerHead(t *testing.T) {
	addr := serve(t, nil)
	for _, path := range []string{"/", "/docs", "/docs/realtime", "/docs/guide", "/docs/style.css", "/docs/openapi.yaml", "/docs/asyncapi.yaml"} {
		plain := map[string]string{"Accept-Encoding": "identity"}
		got, head := ask(t, http.MethodGet, "http://"+addr+path, plain), ask(t, http.MethodHead, "http://"+addr+path, plain)
		body, err := io.ReadAll(got.Body)
		if err != nil || got.StatusCode != http.StatusOK || len(body) == 0 {
			t.Fatalf("GET %s: %d with %d bytes, %v", path, got.StatusCode, len(body), err)
		}
		none, err := io.ReadAll(head.Body)
		if err != nil || head.StatusCode != http.StatusOK || len(none) > 0 || head.ContentLength != int64(len(body)) {
			t.Errorf("HEAD %s: %d with %d bytes, Content-Length %d, want %d", path, head.StatusCode, len(none), head.ContentLength, len(body))
		}
		for _, name := range []string{"ETag", "Content-Type", "Content-Security-Policy", "Cache-Control"} {
			if got.Header.Get(name) != head.Header.Get(name) || head.Header.Get(name) == "" {
				t.Errorf("%s %s: GET has %q, HEAD %q", path, name, got.Header.Get(name), head.Header.Get(name))
			}
		}
		if policy := head.Header.Get("Content-Security-Policy"); path != "/" && (strings.Contains(policy, "script-src") || strings.Contains(policy, "unsafe")) {
			t.Errorf("%s: the policy is %q", path, policy)
		}
	}
	if missing := ask(t, http.MethodGet, "http://"+addr+"/docs/none", nil); missing.StatusCode == http.StatusOK {
		t.Error("a page of the reference that is not there is served")
	}
}

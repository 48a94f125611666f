package rest

import (
	"strings"
	"testing"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
	"github.com/parleyhq/parley/internal/origin"
)

const app = "https://app.example"

func newWorldFor(t *testing.T, origins ...string) *world {
	t.Helper()
	return newWorld(t, func(c *Config) {
		var err error
		if c.Origins, err = origin.Parse(c.Log, origins...); err != nil {
			t.Fatal(err)
		}
	})
}

// shared are the headers of an answer that a browser looks for.
func (a answer) shared() map[string]string {
	found := make(map[string]string)
	for name, values := range a.header {
		if strings.HasPrefix(name, "Access-Control-") {
			found[strings.TrimPrefix(name, "Access-Control-")] = strings.Join(values, "|")
		}
	}
	return found
}

func (a answer) sharedWith(from string) answer {
	a.t.Helper()
	got := a.shared()
	if a.header.Get("Vary") != "Origin" {
		a.t.Errorf("Vary is %q", a.header.Get("Vary"))
	}
	want := map[string]string{}
	if from != "" {
		want["Allow-Origin"] = from
		want["Expose-Headers"] = "Location, Retry-After, X-Request-Id, Idempotency-Replayed, Idempotency-Content-Differs, RateLimit, RateLimit-Policy"
	}
	for name, value := range want {
		if got[name] != value {
			a.t.Errorf("%s is %q, want %q", name, got[name], value)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		a.t.Errorf("unexpected: %v", got)
	}
	return a
}

func TestAnswersAreSharedWithAllowedOrigins(t *testing.T) {
	w := newWorldFor(t, app)
	id := w.group("bob")
	own := "http://" + w.addr
	for from, with := range map[string]string{
		app: app, own: own, "https://" + w.addr: "https://" + w.addr,
		"https://evil.example": "", "http://app.example": "", "null": "", "nonsense": "", "": "",
	} {
		ask := func(method, path, body string) answer {
			return w.do(request{user: "alice", method: method, path: path, body: body, header: map[string]string{"Origin": from}})
		}
		ask("GET", "/v1/threads", "").want(200).sharedWith(with)
		ask("HEAD", "/v1/threads/"+id, "").want(200).sharedWith(with)
		ask("POST", "/v1/threads", `{"type":"GROUP","participants":[]}`).want(201).sharedWith(with)
		ask("POST", "/v1/threads", `{}`).want(400).sharedWith(with)
		ask("GET", "/v1/nothing", "").want(404).sharedWith(with)
		ask("DELETE", "/v1/threads", "").want(405).sharedWith(with)
		ask("GET", "/healthz", "").want(200).sharedWith(with)
		w.do(request{method: "GET", path: "/v1/threads", header: map[string]string{"Origin": from}}).want(401).sharedWith(with)
	}
	if log := w.log.String(); !strings.Contains(log, "origin that is not allowed") || !strings.Contains(log, "--allowed-origins") {
		t.Errorf("the log does not say that an origin was rejected:\n%s", log)
	}
	w.raw("GET /v1/threads HTTP/1.1\r\nHost: x\r\nHost: y\r\nOrigin: " + app + "\r\n\r\n").want(400).sharedWith(app)
	everybody := newWorldFor(t, "*")
	everybody.do(request{user: "alice", method: "GET", path: "/v1/threads", header: map[string]string{"Origin": "null"}}).want(200).sharedWith("null")
}

func TestPreflights(t *testing.T) {
	w := newWorldFor(t, app)
	preflight := func(from, path string) answer {
		return w.do(request{method: "OPTIONS", path: path, header: map[string]string{
			"Origin": from, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
		}})
	}
	for _, path := range []string{"/v1/threads", "/v1/threads/x/messages", "/v1/users/me/prekeys", "/v1/nothing", "/healthz", "/v1/threads?colour=red"} {
		a := preflight(app, path).want(204)
		got := a.shared()
		for name, want := range map[string]string{
			"Allow-Origin": app, "Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE", "Max-Age": "600",
			"Allow-Headers": "Authorization, Content-Type, Idempotency-Key, X-Device-Id, X-Request-Id",
		} {
			if got[name] != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got[name], want)
			}
		}
		if _, credentials := got["Allow-Credentials"]; credentials || len(a.body) > 0 {
			t.Errorf("%s: %v %q", path, got, a.body)
		}
		preflight("https://evil.example", path).want(204).sharedWith("")
	}
	for _, none := range []map[string]string{ // no preflights
		{}, {"Origin": app}, {"Access-Control-Request-Method": "POST"},
	} {
		w.do(request{user: "alice", method: "OPTIONS", path: "/v1/threads", header: none}).refused(405, contracts.CodeMethodNotAllowed)
	}
	w.raw("OPTIONS /v1/threads HTTP/1.1\r\nHost: x\r\nHost: y\r\nOrigin: "+app+"\r\nAccess-Control-Request-Method: POST\r\n\r\n").
		refused(400, chat.CodeInvalidRequest)
}

// A browser's page reads all headers that the API documents for its answers.
func TestDocumentedHeadersAreExposed(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	for name := range doc.Components.Headers {
		hidden := name == "WWW-Authenticate" || name == "Allow" || name == "Upgrade"
		if !hidden && !strings.Contains(exposedHeaders, name) {
			t.Errorf("%s is documented and not exposed", name)
		}
	}
}

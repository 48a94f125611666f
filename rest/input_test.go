package rest

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// scene is a world with one of each thing that a path can name.
type scene struct {
	*world
	thread, message, pinned string
}

func newScene(t *testing.T) scene {
	w := newWorld(t)
	sc := scene{world: w, thread: w.group("bob")}
	sc.message = w.message("alice", sc.thread, "").ID
	sc.pinned = w.message("alice", sc.thread, "").ID
	w.post("/v1/threads/"+sc.thread+"/pins", `{"message_id":"`+sc.pinned+`"}`).want(201)
	return sc
}

// call is a well-formed request to one route.
type call struct {
	method, path string
	body         string // "" has none
	status       int    // of its success
	admin        bool
	optional     bool // all members of the body are
}

// calls has one call of each operation of docs/contract.md#requests. A call
// whose effect would disturb others comes after them.
func (sc scene) calls() []call {
	thread, message := "/v1/threads/"+sc.thread, "/v1/messages/"+sc.message
	denied := "/v1/admin/attachment-denylist/" + strings.Repeat("0f", 32)
	return []call{
		{method: "POST", path: "/v1/threads", body: `{"type":"GROUP","participants":["bob"]}`, status: 201},
		{method: "GET", path: "/v1/threads", status: 200},
		{method: "GET", path: thread, status: 200},
		{method: "PATCH", path: thread, body: `{"title":"tea"}`, status: 200},
		{method: "POST", path: thread + "/participants", body: `{"user_id":"bob"}`, status: 200},
		{method: "PATCH", path: thread + "/participants/bob", body: `{"role":"member"}`, status: 200},
		{method: "POST", path: thread + "/messages", body: `{"ciphertext":"AA==","client_seq":99}`, status: 202},
		{method: "GET", path: thread + "/messages", status: 200},
		{method: "GET", path: thread + "/events", status: 200},
		{method: "POST", path: thread + "/read", body: `{"up_to_msg_id":"` + sc.message + `"}`, status: 204},
		{method: "GET", path: thread + "/pins", status: 200},
		{method: "POST", path: thread + "/pins", body: `{"message_id":"` + sc.pinned + `"}`, status: 200},
		{method: "DELETE", path: thread + "/pins/" + sc.pinned, status: 204},
		{method: "GET", path: message, status: 200},
		{method: "GET", path: message + "/receipts", status: 200},
		{method: "PATCH", path: message, body: `{"ciphertext":"AA=="}`, status: 200},
		{method: "POST", path: message + "/reactions", body: `{"emoji":"x"}`, status: 200},
		{method: "GET", path: message + "/reactions?emoji=x", status: 200},
		{method: "DELETE", path: message + "/reactions/x", status: 204},
		{method: "POST", path: message + "/reports", body: `{"reason":"spam","note":"x"}`, status: 201},
		{method: "DELETE", path: message, status: 204},
		{method: "PUT", path: prekeys, body: upload(keys(1, 3), ""), status: 200},
		{method: "GET", path: prekeys, status: 200},
		{method: "GET", path: "/v1/users/alice/prekeys", status: 200},
		{method: "POST", path: thread + "/prekeys", body: `{"user_ids":["bob"]}`, status: 200, optional: true},
		{method: "GET", path: "/v1/users/me/devices", status: 200},
		{method: "GET", path: "/v1/users/alice/devices", status: 200},
		{method: "GET", path: "/v1/users/bob/presence", status: 200},
		{method: "GET", path: "/v1/users/me/unread", status: 200},
		{method: "GET", path: thread + "/me", status: 200},
		{method: "PATCH", path: thread + "/me", body: `{"pinned":true,"muted_until":null,"custom":"AA=="}`, status: 200, optional: true},
		{method: "PUT", path: "/v1/users/me/blocks/mallory", status: 204},
		{method: "GET", path: "/v1/users/me/blocks", status: 200},
		{method: "DELETE", path: "/v1/users/me/blocks/mallory", status: 204},
		{method: "GET", path: "/v1/admin/reports", status: 200, admin: true},
		{method: "PUT", path: denied, status: 204, admin: true},
		{method: "DELETE", path: denied, status: 204, admin: true},
		{method: "DELETE", path: thread + "/participants/bob", status: 204},
		{method: "DELETE", path: "/v1/users/me/devices/default", status: 204},
	}
}

// make makes the call as alice, or as an operator if only operators may make it.
func (sc scene) make(c call, change ...func(*request)) answer {
	sc.t.Helper()
	r := request{user: "alice", method: c.method, path: c.path, body: c.body, header: map[string]string{}}
	if strings.HasSuffix(c.path, "/messages") {
		r.header["Idempotency-Key"] = "input"
	}
	if c.admin {
		r.token = sc.scoped("alice", chat.ScopeAdmin)
	}
	for _, f := range change {
		f(&r)
	}
	if path, query, has := strings.Cut(r.path, "?"); has { // what was added to a query begins with ? too
		r.path = path + "?" + strings.ReplaceAll(query, "?", "&")
	}
	return sc.do(r)
}

// with is the same call with another body.
func (c call) with(body string) call { c.body = body; return c }

func TestEveryCallSucceeds(t *testing.T) {
	sc := newScene(t)
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	called := map[string]bool{"connect": true, "healthz": true, "readyz": true, "metrics": true} // have tests of their own
	for _, c := range sc.calls() {
		sc.make(c).want(c.status)
		op, _ := doc.operationOf(c.method, c.path)
		called[op.ID] = true
		if (op.RequestBody != nil) != (c.body != "") {
			t.Errorf("%s: the document and this test do not agree that it has a body", op.ID)
		}
	}
	for path, operations := range doc.Paths {
		for method, op := range operations {
			if !called[op.ID] {
				t.Errorf("%s %s is not among the calls of this test", method, path)
			}
		}
	}
}

func TestEveryCallAuthenticates(t *testing.T) {
	sc := newScene(t)
	phone := mint(t, auth.Claims{User: "alice", Device: "phone", Scopes: []chat.Scope{chat.ScopeRead, chat.ScopeWrite, chat.ScopeAdmin}})
	for _, c := range sc.calls() {
		sc.make(c, func(r *request) { r.user, r.token = "", "" }).refused(401, contracts.CodeUnauthenticated)
		sc.make(c, func(r *request) { r.token = "x.y.z" }).refused(401, contracts.CodeUnauthenticated)
		sc.make(c, func(r *request) { r.token = sc.scoped("alice") }).refused(403, chat.CodeMissingScope)
		sc.make(c, func(r *request) { r.token, r.header["X-Device-Id"] = phone, "web" }).refused(403, contracts.CodeDeviceMismatch)
		sc.make(c, func(r *request) { r.header["X-Device-Id"] = "a b" }).invalid("device_id")
		sc.make(c, func(r *request) { r.path += "?device_id=" + strings.Repeat("x", 65) }).invalid("device_id")
		wrong := []chat.Scope{chat.ScopeRead, chat.ScopeWrite}
		if !c.admin {
			wrong = []chat.Scope{chat.ScopeAdmin, chat.ScopeRead}
			if c.method == "GET" {
				wrong[1] = chat.ScopeWrite
			}
		}
		sc.make(c, func(r *request) { r.token = sc.scoped("alice", wrong...) }).refused(403, chat.CodeMissingScope)
	}
}

// firstMember gives the name of an object's first member, and the member as text.
var firstMember = regexp.MustCompile(`^\{("(\w+)":(?:"[^"]*"|\d+|true|\[.*?\]|\{.*?\})),?`)

func TestEveryBodyIsReadStrictly(t *testing.T) {
	sc := newScene(t)
	for _, c := range sc.calls() {
		if c.body == "" {
			continue
		}
		first := firstMember.FindStringSubmatch(c.body)
		if first == nil {
			t.Fatalf("%s has no first member", c.body)
		}
		whole, name := first[1], first[2]
		miscased := strings.ToUpper(name[:1]) + name[1:]
		deep := strings.Repeat("[", 100_000)
		for what, tc := range map[string]struct{ body, field string }{
			"unknown field":      {`{"colour":1,` + c.body[1:], "colour"},
			"duplicate field":    {`{` + whole + `,` + c.body[1:], name},
			"wrong case":         {strings.Replace(c.body, name, miscased, 1), miscased},
			"deep and unknown":   {`{"colour":` + deep, "colour"},
			"deep object":        {`{"colour":` + strings.Repeat(`{"a":`, 40_000), "colour"},
			"no object":          {`[]`, ""},
			"a string":           {`"x"`, ""},
			"nothing":            {` `, ""},
			"unfinished":         {c.body[:len(c.body)-1], ""},
			"something behind":   {c.body + `x`, ""},
			"a second one":       {c.body + c.body, ""},
			"a NUL behind":       {c.body + "\x00", ""},
			"a NUL in a name":    {strings.Replace(c.body, name, name+"\x00", 1), ""},
			"an escaped NUL":     {strings.Replace(c.body, name, name+`\u0000`, 1), name + "\x00"},
			"not UTF-8":          {strings.Replace(c.body, name, name+"\xff", 1), ""},
			"byte order mark":    {"\ufeff" + c.body, ""},
			"single quotes":      {strings.ReplaceAll(c.body, `"`, `'`), ""},
			"comment":            {c.body + "//", ""},
			"all of it too deep": {deep, ""},
		} {
			t.Run(c.method+" "+c.path+" "+what, func(t *testing.T) {
				sc := sc
				sc.world = &world{t: t, addr: sc.addr, log: sc.log}
				sc.make(c.with(tc.body)).invalid(tc.field)
			})
		}
		sc.make(c.with(`null`)).refused(400, chat.CodeInvalidRequest)
		if !c.optional {
			sc.make(c.with(`{}`)).refused(400, chat.CodeInvalidRequest)
		}
		sc.make(c.with(`{`+`"`+name+`":`+deep)).refused(400, chat.CodeInvalidRequest)
		sc.make(c.with(""), func(r *request) { r.header["Content-Type"] = "application/json" }).invalid("")
	}
}

func TestEveryBodyIsJSONOfBoundedSize(t *testing.T) {
	sc := newScene(t)
	for _, c := range sc.calls() {
		if c.body == "" {
			continue
		}
		for _, bad := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/merge-patch+json"} {
			sc.make(c, func(r *request) { r.header["Content-Type"] = bad }).refused(415, contracts.CodeUnsupportedMediaType)
		}
		sc.make(c, func(r *request) { r.header["Content-Encoding"] = "gzip" }).refused(415, contracts.CodeUnsupportedMediaType)
		pad := strings.Repeat(" ", 512<<10-len(c.body))
		sc.make(c.with(c.body+pad+" ")).refused(413, contracts.CodeBodyTooLarge)
		sc.make(c.with(c.body + pad)).want(c.status)
	}
}

func TestStringsInBodiesAreBounded(t *testing.T) {
	sc := newScene(t)
	thread, message := "/v1/threads/"+sc.thread, "/v1/messages/"+sc.message
	for _, tc := range []struct{ method, path, body, field string }{
		{"POST", "/v1/threads", `{"type":"%s","participants":[]}`, "type"},
		{"POST", "/v1/threads", `{"type":"GROUP","participants":["%s"]}`, "participants"},
		{"POST", thread + "/participants", `{"user_id":"%s"}`, "user_id"},
		{"PATCH", thread + "/participants/bob", `{"role":"%s"}`, "role"},
		{"POST", thread + "/messages", `{"ciphertext":"%s","client_seq":1}`, "ciphertext"},
		{"POST", thread + "/messages", `{"ciphertext":"AA==","client_seq":1,"content_type":"%s"}`, "content_type"},
		{"POST", thread + "/messages", `{"ciphertext":"AA==","client_seq":1,"attachment_sha256":"%s"}`, "attachment_sha256"},
		{"POST", thread + "/messages", `{"ciphertext":"AA==","client_seq":1,"reply_to_msg_id":"%s"}`, "reply_to_msg_id"},
		{"POST", thread + "/read", `{"up_to_msg_id":"%s"}`, "up_to_msg_id"},
		{"POST", thread + "/pins", `{"message_id":"%s"}`, "message_id"},
		{"PATCH", message, `{"ciphertext":"%s"}`, "ciphertext"},
		{"PATCH", message, `{"ciphertext":"AA==","content_type":"%s"}`, "content_type"},
		{"POST", message + "/reactions", `{"emoji":"%s"}`, "emoji"},
		{"POST", message + "/reports", `{"reason":"%s"}`, "reason"},
		{"PUT", prekeys, `{"identity_key":"%s","signed_prekey":{},"one_time_prekeys":[]}`, "identity_key"},
	} {
		for _, bad := range []string{`\u0000`, `x\u0000`, strings.Repeat("é", 10_000)} {
			sc.make(call{method: tc.method, path: tc.path, body: fmt.Sprintf(tc.body, bad)}).invalid(tc.field)
		}
	}
	// Free text may hold any characters, up to its bound.
	sc.make(call{method: "POST", path: message + "/reports", body: `{"reason":"spam","note":"a\u0000b"}`}).want(201)
}

// Every route answers a malformed id like an unknown one.
func TestEveryUnknownIDNamesNothing(t *testing.T) {
	sc := newScene(t)
	threads := []string{"018fca3e-52b2-7f3c-8a35-6a2f5c1d9e00", "x", strings.ToUpper(sc.thread), "%00", "%zz", "me", sc.thread + "%00", strings.Repeat("x", 5000)}
	messages := []string{"01HX9G3M2J8K4N5P7Q8R0S1TAB", "x", strings.ToLower(sc.message), "%00", "%zz", "me", sc.message + "%20", strings.Repeat("0", 5000)}
	for _, c := range sc.calls() {
		for i := range threads {
			r := c
			switch {
			case strings.Contains(c.path, "/threads/"):
				r.path = strings.Replace(c.path, "/threads/"+sc.thread, "/threads/"+threads[i], 1)
				sc.raws(r).refused(404, chat.CodeThreadNotFound)
			case strings.Contains(c.path, "/messages/"):
				r.path = strings.Replace(c.path, "/messages/"+sc.message, "/messages/"+messages[i], 1)
				sc.raws(r).refused(404, chat.CodeMessageNotFound)
			}
		}
	}
}

// raws sends a request whose path no client library would send.
func (sc scene) raws(c call) answer {
	sc.t.Helper()
	return sc.raw(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\n"+
		"Connection: close\r\nContent-Length: %d\r\n\r\n%s", c.method, c.path, sc.token("alice"), len(c.body), c.body))
}

// Every route answers each method, or says which methods it has.
func TestEveryMethodOfEveryRoute(t *testing.T) {
	echo := func(c *fiber.Ctx) error { return chat.Refuse(contracts.CodeUpgradeRequired, "no") }
	var app *fiber.App
	w := newWorld(t, func(c *Config) {
		c.Realtime = echo
		app = New(*c).app
	})
	allowed := map[string][]string{} // by path
	for _, r := range app.GetRoutes(true) {
		allowed[r.Path] = append(allowed[r.Path], r.Method)
	}
	if len(allowed) < 20 {
		t.Fatalf("only %d routes", len(allowed))
	}
	for route, methods := range allowed {
		path := regexp.MustCompile(`:\w+`).ReplaceAllString(route, "x")
		slices.Sort(methods)
		for _, method := range append([]string{"BREW"}, fiber.DefaultMethods...) {
			if slices.Contains(methods, method) {
				continue
			}
			a := w.as("alice", method, path, "").want(http.StatusMethodNotAllowed)
			if method != http.MethodHead {
				a.refused(http.StatusMethodNotAllowed, contracts.CodeMethodNotAllowed)
			}
			got := strings.Split(a.header.Get("Allow"), ", ")
			slices.Sort(got)
			if !slices.Equal(got, methods) {
				t.Errorf("%s %s: Allow is %v, want %v", method, route, got, methods)
			}
		}
		if slices.Contains(methods, http.MethodHead) {
			get, head := w.as("alice", "GET", path, ""), w.as("alice", "HEAD", path, "")
			if head.status != get.status || len(head.body) != 0 || head.header.Get("Content-Type") != get.header.Get("Content-Type") {
				t.Errorf("HEAD %s: %d %v, the GET was %d", path, head.status, head.header, get.status)
			}
		}
	}
	for _, path := range []string{"/v1/realtime", "/v1/users/:id/prekeys"} {
		if !slices.Equal(allowed[path], []string{"GET"}) {
			t.Errorf("%s has %v: a GET with an effect has no HEAD", path, allowed[path])
		}
	}
}

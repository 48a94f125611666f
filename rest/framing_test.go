package rest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// line is a connection on which a test writes any bytes and reads the answers.
type line struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

func (w *world) dial() *line {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
	return &line{conn, w.t, bufio.NewReader(conn)}
}

func (l *line) write(s string) *line {
	l.t.Helper()
	if _, err := io.WriteString(l, s); err != nil {
		l.t.Fatal(err)
	}
	return l
}

func (l *line) answer() answer {
	l.t.Helper()
	resp, err := http.ReadResponse(l.in, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return answer{l.t, resp.StatusCode, resp.Header, body}
}

// closed checks that the server says no more and closes.
func (l *line) closed(what string) {
	l.t.Helper()
	if rest, err := io.ReadAll(l.in); err != nil || len(rest) > 0 {
		l.t.Errorf("%s: after the answer came %q, %v, want the end", what, rest, err)
	}
}

// stays checks that the connection serves another request.
func (l *line) stays(what string) {
	l.t.Helper()
	l.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(l.in, nil)
	if err != nil {
		l.t.Errorf("%s: the next request: %v", what, err)
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		l.t.Errorf("%s: the next request got %d", what, resp.StatusCode)
	}
}

// Of a request whose end could be seen in two ways, nothing is believed: it is refused, and
// what stands behind it on the connection is never taken for a request.
func TestAmbiguousRequestsAreRefusedAndClosed(t *testing.T) {
	w := newWorld(t)
	token := "Authorization: Bearer " + w.token("alice") + "\r\nContent-Type: application/json\r\n"
	const group = `{"type":"GROUP","participants":[]}`
	const smuggled = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	for what, request := range map[string]string{
		"CL and TE":                 "POST /v1/threads HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"TE and CL":                 "POST /v1/threads HTTP/1.1\r\nHost: x\r\n" + token + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"CL and TE on a GET":        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"CL and TE identity":        "POST /v1/threads HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length: 0\r\nTransfer-Encoding: identity\r\n\r\n",
		"TE identity":               "POST /v1/threads HTTP/1.1\r\nHost: x\r\n" + token + "Transfer-Encoding: identity\r\n\r\n",
		"TE gzip, chunked":          "POST /v1/threads HTTP/1.1\r\nHost: x\r\n" + token + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"TE xchunked":               "POST /v1/threads HTTP/1.1\r\nHost: x\r\n" + token + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"TE twice":                  "POST /v1/threads HTTP/1.1\r\nHost: x\r\n" + token + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"TE before the colon":       "POST /v1/threads HTTP/1.1\r\nHost: x\r\n" + token + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"TE in HTTP/1.0":            "POST /v1/threads HTTP/1.0\r\nHost: x\r\n" + token + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"CL twice, the same":        "POST /v1/threads HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length: 34\r\nContent-Length: 34\r\n\r\n" + group,
		"CL twice, different":       "POST /v1/threads HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length: 34\r\nContent-Length: 0\r\n\r\n" + group,
		"CL a list":                 "POST /v1/threads HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length: 34, 34\r\n\r\n" + group,
		"CL with a sign":            "POST /v1/threads HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length: +34\r\n\r\n" + group,
		"CL in hex":                 "POST /v1/threads HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length: 0x22\r\n\r\n" + group,
		"CL negative":               "POST /v1/threads HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length: -1\r\n\r\n" + group,
		"CL empty":                  "POST /v1/threads HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length: \r\n\r\n" + group,
		"CL beyond 64 bits":         "POST /v1/threads HTTP/1.1\r\nHost: x\r\n" + token + "Content-Length: 18446744073709551650\r\n\r\n" + group,
		"no Host":                   "GET /v1/threads HTTP/1.1\r\n" + token + "\r\n",
		"two Hosts":                 "GET /v1/threads HTTP/1.1\r\nHost: x\r\nHost: y\r\n" + token + "\r\n",
		"two Hosts, the same":       "GET /v1/threads HTTP/1.1\r\nHost: x\r\nhost: x\r\n" + token + "\r\n",
		"two Hosts in HTTP/1.0":     "GET /v1/threads HTTP/1.0\r\nHost: x\r\nHost: y\r\n" + token + "\r\n",
		"two tokens":                "GET /v1/threads HTTP/1.1\r\nHost: x\r\n" + token + token + "\r\n",
		"a list of Hosts":           "GET /v1/threads HTTP/1.1\r\nHost: x, y\r\n" + token + "\r\n",
		"a path as Host":            "GET /v1/threads HTTP/1.1\r\nHost: x/y\r\n" + token + "\r\n",
		"a user in the Host":        "GET /v1/threads HTTP/1.1\r\nHost: u@x\r\n" + token + "\r\n",
		"a folded header":           "GET /v1/threads HTTP/1.1\r\nHost: x\r\nX-A: a\r\n b\r\n" + token + "\r\n",
		"a folded Host":             "GET /v1/threads HTTP/1.1\r\nHost:\r\n x\r\n" + token + "\r\n",
		"a header without a colon":  "GET /v1/threads HTTP/1.1\r\nHost: x\r\nnonsense\r\n" + token + "\r\n",
		"a header without a name":   "GET /v1/threads HTTP/1.1\r\nHost: x\r\n: a\r\n" + token + "\r\n",
		"a blank in a name":         "GET /v1/threads HTTP/1.1\r\nHost: x\r\nX A: a\r\n" + token + "\r\n",
		"a NUL in a value":          "GET /v1/threads HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n" + token + "\r\n",
		"a bare CR in a value":      "GET /v1/threads HTTP/1.1\r\nHost: x\r\nX-A: a\rb\r\n" + token + "\r\n",
		"a bare LF behind a header": "GET /v1/threads HTTP/1.1\r\nHost: x\r\nX-A: a\n" + token + "\r\n",
		"a bare LF as the end":      "GET /v1/threads HTTP/1.1\r\nHost: x\r\n" + token + "\n",
		"bare LFs alone":            "GET /v1/threads HTTP/1.1\nHost: x\n\n",
		"a blank in the target":     "GET /v1/threads ?x HTTP/1.1\r\nHost: x\r\n" + token + "\r\n",
		"a tab in the target":       "GET /v1/thr\teads HTTP/1.1\r\nHost: x\r\n" + token + "\r\n",
		"no target":                 "GET HTTP/1.1\r\nHost: x\r\n" + token + "\r\n",
		"HTTP/1.2":                  "GET /v1/threads HTTP/1.2\r\nHost: x\r\n" + token + "\r\n",
		"HTTP/2.0":                  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"http in lower case":        "GET /v1/threads http/1.1\r\nHost: x\r\n" + token + "\r\n",
		"no version":                "GET /v1/threads\r\n\r\n",
	} {
		l := w.dial().write(request + smuggled)
		a := l.answer()
		a.refused(400, chat.CodeInvalidRequest)
		if a.header.Get("X-Request-Id") == "" {
			t.Errorf("%s: %v", what, a.header)
		}
		l.closed(what)
	}
}

func TestBrokenChunksAreRefusedAndClosed(t *testing.T) {
	w := newWorld(t)
	head := "POST /v1/threads HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer " + w.token("alice") + "\r\n\r\n"
	const group = `{"type":"GROUP","participants":[]}` // 0x22 bytes
	for what, body := range map[string]string{
		"no size":               "\r\n" + group + "\r\n0\r\n\r\n",
		"no hex":                "zz\r\n" + group + "\r\n0\r\n\r\n",
		"a sign":                "+22\r\n" + group + "\r\n0\r\n\r\n",
		"0x":                    "0x22\r\n" + group + "\r\n0\r\n\r\n",
		"a blank before":        " 22\r\n" + group + "\r\n0\r\n\r\n",
		"a blank behind":        "22 \r\n" + group + "\r\n0\r\n\r\n",
		"nine digits":           "000000022\r\n" + group + "\r\n0\r\n\r\n",
		"too short":             "21\r\n" + group + "\r\n0\r\n\r\n",
		"too long":              "24\r\n" + group + "\r\n0\r\n\r\n",
		"LF behind the size":    "22\n" + group + "\r\n0\r\n\r\n",
		"LF behind the data":    "22\r\n" + group + "\n0\r\n\r\n",
		"CR in an extension":    "22;a\rb\r\n" + group + "\r\n0\r\n\r\n",
		"LF in an extension":    "22;a\nb\r\n" + group + "\r\n0\r\n\r\n",
		"NUL in an extension":   "22;a\x00\r\n" + group + "\r\n0\r\n\r\n",
		"an endless extension":  "22;" + strings.Repeat("x", 1000) + "\r\n" + group + "\r\n0\r\n\r\n",
		"a trailer that's none": "22\r\n" + group + "\r\n0\r\nnonsense\r\n\r\n",
		"LF behind the trailer": "22\r\n" + group + "\r\n0\r\nX: y\n\r\n",
		"endless trailers":      "22\r\n" + group + "\r\n0\r\n" + strings.Repeat("X: y\r\n", 1000) + "\r\n",
	} {
		l := w.dial().write(head + body + "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		a := l.answer()
		if a.status != 400 {
			t.Errorf("%s: %d %s", what, a.status, a.body)
			continue
		}
		a.refused(400, chat.CodeInvalidRequest)
		l.closed(what)
	}
	for what, body := range map[string]string{
		"one chunk":         "22\r\n" + group + "\r\n0\r\n\r\n",
		"upper and lower":   "1\r\n{\r\n1a\r\n" + group[1:27] + "\r\n7\r\n" + group[27:] + "\r\n0\r\n\r\n",
		"leading zeros":     "00000022\r\n" + group + "\r\n000\r\n\r\n",
		"extensions":        "22;a=b;c=\"d\"\r\n" + group + "\r\n0;e\r\n\r\n",
		"a blank before it": "22 ;a\r\n" + group + "\r\n0\r\n\r\n",
		"trailers":          "22\r\n" + group + "\r\n0\r\nX-A: b\r\nX-C: d\r\n\r\n",
	} {
		l := w.dial().write(head + body)
		l.answer().want(201)
		l.stays(what)
	}
	l := w.dial()
	for _, b := range []byte(head + "22\r\n" + group + "\r\n0\r\n\r\n") { // byte by byte
		l.write(string(b))
	}
	l.answer().want(201)
	l.stays("byte by byte")
}

// Requests that are whole and unambiguous are served, one behind the other.
func TestWellFramedRequestsShareAConnection(t *testing.T) {
	w := newWorld(t)
	token := "Authorization: Bearer " + w.token("alice") + "\r\n"
	const group = `{"type":"GROUP","participants":[]}`
	post := fmt.Sprintf("POST /v1/threads HTTP/1.1\r\nHost: x\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", token, len(group), group)
	l := w.dial()
	l.write(post + post + "\r\n\r\n" + "GET /v1/threads HTTP/1.1\r\nhOST:x\r\n" + token + "\r\n" + post)
	for _, want := range []int{201, 201, 200, 201} {
		l.answer().want(want)
	}
	l.write("GET /v1/threads HTTP/1.1\r\nHost:\r\n" + token + "\r\n").answer().want(200)
	l.write("GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc").answer().want(200) // nobody wants it, and it is there
	l.stays("a body of a GET that had arrived")

	waiting := w.dial()
	waiting.write(strings.Replace(post, "\r\n\r\n"+group, "\r\nExpect: 100-continue\r\n\r\n", 1))
	resp, err := http.ReadResponse(waiting.in, nil)
	if err != nil || resp.StatusCode != http.StatusContinue {
		t.Fatalf("%v, %v", resp, err)
	}
	resp.Body.Close()
	waiting.write(group).answer().want(201)
	waiting.stays("100 Continue")

	old := w.dial().write("GET /v1/threads HTTP/1.0\r\n" + token + "\r\n")
	old.answer().want(200)
	old.closed("HTTP/1.0")
}

// The end of a head is where fasthttp sees it too, whatever comes before and in which pieces.
func FuzzEndOfHead(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET"), 5)
	f.Add([]byte("GET / HTTP/1.1\nA: b\n c\n\n"), 3)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), 1)
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		whole := endOfHead(data, 0)
		end := 0
		for i, searched := 0, 0; i < len(data) && end == 0; searched = max(0, i-3) {
			i = min(len(data), i+1+max(0, piece)%7)
			end = endOfHead(data[:i], searched)
		}
		if end != whole {
			t.Errorf("%q in pieces ends at %d, whole at %d", data, end, whole)
		}
		if whole > 0 {
			_ = framingOf(data[:whole])
		}
	})
}

// FuzzFraming compares with net/http: what is found to have no fault is a request there too,
// with a body of the same length.
func FuzzFraming(f *testing.F) {
	f.Add("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
	f.Add("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	f.Add("GET /a?b HTTP/1.0\r\nX-Y:\t z \r\n\r\n")
	f.Fuzz(func(t *testing.T, head string) {
		if endOfHead([]byte(head), 0) != len(head) || head == "" {
			return
		}
		got := framingOf([]byte(head))
		if got.fault != "" || head[0] == '\r' || head[0] == '\n' {
			return
		}
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		if err != nil { // net/http also judges targets, methods and hosts, as fasthttp does
			return
		}
		if req.ContentLength != got.length {
			t.Errorf("%q: %d bytes, net/http says %d", head, got.length, req.ContentLength)
		}
	})
}

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// device is one device of one user, with a token of its own. It speaks REST by
// itself and connects to realtime by a protocol (see connect).
type device struct {
	srv      *server
	user, id string
	token    string
	sent     atomic.Int64 // numbers client_seq
	bulk     bool         // sends large bodies: their schemas are not worth the time
}

// device makes a user's device; nothing has to be registered anywhere.
func (s *server) device(t testing.TB, user, id string) *device {
	t.Helper()
	return &device{srv: s, user: user, id: id, token: mint(t, secret, userClaims(user, id))}
}

// withClaims is the same device with another token.
func (d *device) withClaims(t testing.TB, change func(jwt.MapClaims)) *device {
	t.Helper()
	claims := userClaims(d.user, d.id)
	change(claims)
	return &device{srv: d.srv, user: d.user, id: d.id, token: mint(t, secret, claims)}
}

type thread struct {
	ID           string  `json:"id"`
	Type         string  `json:"type"`
	Title        *string `json:"title"`
	LastMsgID    *string `json:"last_msg_id"`
	UnreadCount  int     `json:"unread_count"`
	Participants []struct {
		UserID        string  `json:"user_id"`
		Role          string  `json:"role"`
		DeliveredUpTo *string `json:"delivered_up_to"`
		ReadUpTo      *string `json:"read_up_to"`
	} `json:"participants"`
}

type message struct {
	ID          string `json:"id"`
	ThreadID    string `json:"thread_id"`
	Seq         uint64 `json:"seq"`
	SenderID    string `json:"sender_id"`
	DeviceID    string `json:"device_id"`
	ClientSeq   int64  `json:"client_seq"`
	Ciphertext  []byte `json:"ciphertext"`
	ContentType string `json:"content_type"`
	CreatedAt   string `json:"created_at"`
}

type receipts struct {
	States []struct {
		RecipientID string  `json:"recipient_id"`
		State       string  `json:"state"`
		DeliveredAt *string `json:"delivered_at"`
		ReadAt      *string `json:"read_at"`
	} `json:"states"`
}

// answer is a response whose body has been read and held to openapi.yaml.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

// outgoing is one send; the zero values are filled in.
type outgoing struct {
	Key         string `json:"-"`
	ClientSeq   int64  `json:"client_seq"`
	Ciphertext  []byte `json:"ciphertext"`
	ContentType string `json:"content_type,omitempty"`
}

var (
	transport  = &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: time.Second, TLSClientConfig: clientTLS()}
	httpClient = &http.Client{Transport: contractTransport{transport}, Timeout: patience}
	bulkClient = &http.Client{Transport: transport, Timeout: patience}
)

// contractTransport holds every exchange to openapi.yaml.
type contractTransport struct{ next http.RoundTripper }

// RoundTrip fails on a response that the document does not describe; requests
// are checked too, since this suite means all of those it sends here to be valid.
func (c contractTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	contract, err := openAPI()
	if err != nil {
		return nil, err
	}
	body := []byte{}
	if req.Body != nil {
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	fresh := func() *http.Request {
		r := req.Clone(req.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
		return r
	}
	if ok, problems := contract.ValidateHttpRequestSync(fresh()); !ok {
		return nil, fmt.Errorf("%s %s: the request is not what openapi.yaml says: %v", req.Method, req.URL.Path, problems)
	}
	resp, err := c.next.RoundTrip(fresh())
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(got))
	if ok, problems := contract.ValidateHttpResponse(fresh(), resp); !ok {
		return nil, contractError{fmt.Errorf("%s %s: status %d is not what openapi.yaml says: %v\n%s", req.Method, req.URL.Path, resp.StatusCode, problems, got)}
	}
	resp.Body = io.NopCloser(bytes.NewReader(got))
	return resp, nil
}

// contractError tells a breach of the document from a broken connection.
type contractError struct{ error }

// call makes one request; only a broken connection or contract is an error.
func (d *device) call(ctx context.Context, method, path string, body any, header ...string) (answer, error) {
	var payload io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		payload = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, d.srv.url("http")+path, payload)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+d.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := httpClient
	if d.bulk {
		client = bulkClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, got}, err
}

// must makes a request that has to be answered with the status.
func (d *device) must(t testing.TB, status int, method, path string, body any, header ...string) answer {
	t.Helper()
	a, err := d.call(context.Background(), method, path, body, header...)
	if err != nil {
		t.Fatalf("%s %s as %s: %v", method, path, d.user, err)
	}
	if a.status != status {
		t.Fatalf("%s %s as %s: %d, want %d: %s", method, path, d.user, a.status, status, a.body)
	}
	return a
}

func (d *device) createGroup(t testing.TB, others ...string) thread {
	t.Helper()
	var th thread
	d.must(t, http.StatusCreated, http.MethodPost, "/v1/threads",
		map[string]any{"type": "GROUP", "participants": append([]string{d.user}, others...)}).into(t, &th)
	return th
}

func (d *device) createOneToOne(t testing.TB, other string) thread {
	t.Helper()
	var th thread
	d.must(t, http.StatusCreated, http.MethodPost, "/v1/threads",
		map[string]any{"type": "1_TO_1", "participants": []string{d.user, other}}).into(t, &th)
	return th
}

func (d *device) add(t testing.TB, thread, user string) {
	t.Helper()
	d.must(t, http.StatusCreated, http.MethodPost, "/v1/threads/"+thread+"/participants", map[string]any{"user_id": user})
}

func (d *device) remove(t testing.TB, thread, user string) {
	t.Helper()
	d.must(t, http.StatusNoContent, http.MethodDelete, "/v1/threads/"+thread+"/participants/"+user, nil)
}

// send posts a message that has to be accepted.
func (d *device) send(t testing.TB, thread, text string) message {
	t.Helper()
	m, _, err := d.post(context.Background(), thread, outgoing{Ciphertext: []byte(text)})
	if err != nil {
		t.Fatalf("sending as %s: %v", d.user, err)
	}
	return m
}

var errRefused = errors.New("refused")

// post sends; a status other than 202 is errRefused.
func (d *device) post(ctx context.Context, thread string, out outgoing) (message, http.Header, error) {
	if out.ClientSeq == 0 {
		out.ClientSeq = d.sent.Add(1)
	}
	if out.Key == "" {
		out.Key = d.user + "-" + d.id + "-" + strconv.FormatInt(out.ClientSeq, 10)
	}
	a, err := d.call(ctx, http.MethodPost, "/v1/threads/"+thread+"/messages", out, "Idempotency-Key", out.Key)
	if err != nil {
		return message{}, nil, err
	}
	if a.status != http.StatusAccepted {
		return message{}, nil, fmt.Errorf("%w: %d %s", errRefused, a.status, a.body)
	}
	var m message
	return m, a.header, json.Unmarshal(a.body, &m)
}

func (d *device) markRead(t testing.TB, thread, upTo string) {
	t.Helper()
	d.must(t, http.StatusNoContent, http.MethodPost, "/v1/threads/"+thread+"/read", map[string]any{"up_to_msg_id": upTo})
}

// stateOf is where a recipient stands with a message.
func (d *device) stateOf(t testing.TB, messageID, recipient string) string {
	t.Helper()
	var r receipts
	d.must(t, http.StatusOK, http.MethodGet, "/v1/messages/"+messageID+"/receipts", nil).into(t, &r)
	for _, s := range r.States {
		if s.RecipientID == recipient {
			return s.State
		}
	}
	t.Fatalf("%s is no recipient of %s: %+v", recipient, messageID, r)
	return ""
}

// history is every message of a thread, oldest first.
func (d *device) history(t testing.TB, threadID string) []message {
	t.Helper()
	var all []message
	for cursor := ""; ; {
		var page struct {
			Messages   []message `json:"messages"`
			NextCursor *string   `json:"next_cursor"`
		}
		d.must(t, http.StatusOK, http.MethodGet, "/v1/threads/"+threadID+"/messages?page_size=100"+cursor, nil).into(t, &page)
		for _, m := range page.Messages {
			all = append([]message{m}, all...)
		}
		if page.NextCursor == nil {
			return all
		}
		cursor = "&cursor=" + *page.NextCursor
	}
}

// metric is a value of /metrics without labels.
func (s *server) metric(t testing.TB, name string) float64 {
	t.Helper()
	resp, err := http.Get("http://" + s.http + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("/metrics has no %s", name)
	return 0
}

func TestSendingTooFastIsRefusedAndSaysWhenToRetry(t *testing.T) {
	s := startServer(t, "--rate-send", "1", "--rate-send-burst", "3")
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := ann.createGroup(t, bob.user)
	sendMany(t, ann, group.ID, 3)
	out := outgoing{ClientSeq: 99, Key: "too-fast", Ciphertext: []byte("x")}
	a, err := ann.call(t.Context(), http.MethodPost, "/v1/threads/"+group.ID+"/messages", out, "Idempotency-Key", out.Key)
	if err != nil {
		t.Fatal(err)
	}
	if a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "1" || !strings.Contains(string(a.body), `"rate_limited"`) {
		t.Errorf("the fourth send at once: %d, Retry-After %q, %s", a.status, a.header.Get("Retry-After"), a.body)
	}
	bob.send(t, group.ID, "others are not held up")
}

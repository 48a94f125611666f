package e2e

import (
	"bytes"
	"context"
	"encoding/json"
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
	bulk     bool         // its calls are not checked against openapi.yaml, which takes long for large bodies
}

// device makes a user's device. A token is all it needs: devices are not registered.
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
	ID               string        `json:"id"`
	Type             string        `json:"type"`
	Title            *string       `json:"title"`
	CreatedAt        string        `json:"created_at"`
	CreatedBy        string        `json:"created_by"`
	LastMsgID        *string       `json:"last_msg_id"`
	LastActivityAt   string        `json:"last_activity_at"`
	ParticipantCount int           `json:"participant_count"`
	UnreadCount      int           `json:"unread_count"`
	Epoch            uint64        `json:"epoch"`
	Participants     []participant `json:"participants"`
}

type participant struct {
	UserID        string  `json:"user_id"`
	Role          string  `json:"role"`
	JoinedAt      string  `json:"joined_at"`
	DeliveredUpTo *string `json:"delivered_up_to"`
	ReadUpTo      *string `json:"read_up_to"`
	DevicesAt     *string `json:"devices_at"`
}

type message struct {
	ID               string     `json:"id"`
	ThreadID         string     `json:"thread_id"`
	Seq              uint64     `json:"seq"`
	SenderID         string     `json:"sender_id"`
	DeviceID         string     `json:"device_id"`
	ClientSeq        int64      `json:"client_seq"`
	Ciphertext       []byte     `json:"ciphertext"`
	Omitted          bool       `json:"omitted"`
	ContentType      string     `json:"content_type"`
	Epoch            *uint64    `json:"epoch"`
	CreatedAt        string     `json:"created_at"`
	EditedAt         *string    `json:"edited_at"`
	Deleted          bool       `json:"deleted"`
	Reactions        []reaction `json:"reactions"`
	ReplyToMsgID     *string    `json:"reply_to_msg_id"`
	AttachmentID     *string    `json:"attachment_id"`
	AttachmentSHA256 *string    `json:"attachment_sha256"`
	ExpiresAt        *string    `json:"expires_at"`
}

// reaction is one emoji of a message; By and At go together.
type reaction struct {
	Emoji string   `json:"emoji"`
	By    []string `json:"by"`
	At    []string `json:"at"`
}

// tombstone reports whether the message has no content any more.
func (m message) tombstone() bool {
	return m.Deleted && len(m.Ciphertext) == 0 && len(m.Reactions) == 0 && m.AttachmentID == nil && m.AttachmentSHA256 == nil
}

type receipts struct {
	States  []receipt `json:"states"`
	Summary struct {
		Sent      int `json:"sent"`
		Delivered int `json:"delivered"`
		Read      int `json:"read"`
		Failed    int `json:"failed"`
	} `json:"summary"`
}

type receipt struct {
	RecipientID string  `json:"recipient_id"`
	State       string  `json:"state"`
	DeliveredAt *string `json:"delivered_at"`
	ReadAt      *string `json:"read_at"`
	Reason      *string `json:"reason"`
}

// answer is a response whose body was read and checked against openapi.yaml.
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

// outgoing is one send. A zero Key or ClientSeq is filled in.
type outgoing struct {
	Key              string `json:"-"`
	ClientSeq        int64  `json:"client_seq"`
	Ciphertext       []byte `json:"ciphertext"`
	ContentType      string `json:"content_type,omitempty"`
	ReplyToMsgID     string `json:"reply_to_msg_id,omitempty"`
	AttachmentID     string `json:"attachment_id,omitempty"`
	AttachmentSHA256 string `json:"attachment_sha256,omitempty"`
	TTLSeconds       int    `json:"ttl_seconds,omitempty"`
	Epoch            uint64 `json:"epoch,omitempty"`
}

var (
	transport  = &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: time.Second, TLSClientConfig: clientTLS()}
	httpClient = &http.Client{Transport: contractTransport{next: transport}, Timeout: patience}
	// wrongClient may send what openapi.yaml forbids; the answer is still checked.
	wrongClient = &http.Client{Transport: contractTransport{next: transport, anyRequest: true}, Timeout: patience}
	bulkClient  = &http.Client{Transport: transport, Timeout: patience}
)

// contractTransport checks every request and response against openapi.yaml.
type contractTransport struct {
	next       http.RoundTripper
	anyRequest bool // only the response has to be valid
}

// RoundTrip fails on a response that the document does not describe, and on such a request
// too unless anyRequest is set.
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
	if c.anyRequest {
		// The request is not checked.
	} else if ok, problems := contract.ValidateHttpRequestSync(fresh()); !ok {
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

// verbatim is a body that goes out as it is.
type verbatim string

// call makes one request; only a broken connection or contract is an error.
func (d *device) call(ctx context.Context, method, path string, body any, header ...string) (answer, error) {
	client := httpClient
	if d.bulk {
		client = bulkClient
	}
	return d.callBy(ctx, client, method, path, body, header...)
}

func (d *device) callBy(ctx context.Context, client *http.Client, method, path string, body any, header ...string) (answer, error) {
	var payload io.Reader
	switch body := body.(type) {
	case nil:
	case verbatim:
		payload = strings.NewReader(string(body))
	default:
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
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, got}, err
}

// must makes a request, which has to be answered with the status.
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

// metric is the value of a metric without labels.
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
	s := startServer(t, "--rate-send", "0.1", "--rate-send-burst", "4") // the group is a write too
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := ann.createGroup(t, bob.user)
	sendMany(t, ann, group.ID, 3)
	out := outgoing{ClientSeq: 99, Key: "too-fast", Ciphertext: []byte("x")}
	a, err := ann.call(t.Context(), http.MethodPost, "/v1/threads/"+group.ID+"/messages", out, "Idempotency-Key", out.Key)
	if err != nil {
		t.Fatal(err)
	}
	after, _ := strconv.Atoi(a.header.Get("Retry-After"))
	if a.status != http.StatusTooManyRequests || after < 1 || after > 10 || !strings.Contains(string(a.body), `"rate_limited"`) {
		t.Errorf("the fourth send at once: %d, Retry-After %q, %s", a.status, a.header.Get("Retry-After"), a.body)
	}
	bob.send(t, group.ID, "others are not held up")
}

package e2e

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"
)

// frame is one frame from the server, whatever protocol it came by.
type frame struct {
	T              string  `json:"t"`
	FrameSeq       uint64  `json:"frame_seq"`
	ID             string  `json:"id"`
	ThreadID       string  `json:"thread_id"`
	Seq            uint64  `json:"seq"`
	SenderID       string  `json:"sender_id"`
	DeviceID       string  `json:"device_id"`
	ClientSeq      int64   `json:"client_seq"`
	Ciphertext     []byte  `json:"ciphertext"`
	Omitted        bool    `json:"omitted"`
	Epoch          uint64  `json:"epoch"`
	ContentType    string  `json:"content_type"`
	CreatedAt      string  `json:"created_at"`
	EditedAt       string  `json:"edited_at"`
	ExpiresAt      string  `json:"expires_at"`
	Redelivery     bool    `json:"redelivery"`
	Event          string  `json:"event"`
	By             *string `json:"by"` // null in the del of what expired
	UserID         string  `json:"user_id"`
	Role           string  `json:"role"`
	Title          *string `json:"title"`
	MessageID      string  `json:"message_id"`
	Emoji          string  `json:"emoji"`
	Op             string  `json:"op"`
	At             string  `json:"at"`
	Change         string  `json:"change"`
	Reason         string  `json:"reason"`
	UpTo           string  `json:"up_to"`
	OneTimePrekeys int     `json:"one_time_prekeys"`
	StoreID        string  `json:"store_id"`
	LastID         *string `json:"last_id"`
	Replayed       int     `json:"replayed"`
	Code           string  `json:"code"`
	Status         string  `json:"status"`
	LastSeenAt     *string `json:"last_seen_at"`
	TTLMillis      int     `json:"ttl_ms"`
	Name           string  `json:"name"`
	Data           string  `json:"data"`

	Me *ownState `json:"me"`

	raw    []byte
	topic  string // MQTT only
	qos    byte   // MQTT only
	moment uint64 // when it arrived, as now counts
	ack    func() // acknowledges the frame
}

// durable frames carry a seq; they are replayed and acknowledged.
func (f frame) durable() bool { return f.Seq > 0 }

func (f frame) String() string {
	switch f.T {
	case "msg":
		text := string(f.Ciphertext)
		return fmt.Sprintf("#%d msg %d %.20q by %s", f.FrameSeq, f.Seq, text, f.SenderID)
	default:
		return string(f.raw)
	}
}

// by reports whether the frame tells of something that the user did.
func (f frame) by(user string) bool { return f.By != nil && *f.By == user }

// body is the frame without its frame_seq. It is the same on all connections.
func (f frame) body() string {
	return frameEnd.ReplaceAllString(string(f.raw), "}")
}

// record is everything that one connection received, in order. Tests read it frame by
// frame, from its cursor on.
type record struct {
	mu         sync.Mutex
	frames     []frame
	acks       []ack
	violations []string
	subscribed byte // MQTT: the QoS of all subscriptions, if known to be 1
	ended      bool
	end        int // WebSocket close code or MQTT reason code; 0 if none was told
	changed    chan struct{}
	cursor     int
}

func newRecord() *record { return &record{changed: make(chan struct{})} }

// add checks a frame against the contract and keeps it. The test may have ended by then, so
// violations are reported later. A frame that comes from the client library after the test
// has ended the connection counts as never received: kept is false, and the frame must not
// be acknowledged.
func (r *record) add(raw []byte, topic string, qos byte, ack func(frame)) (f frame, kept bool) {
	f = frame{raw: raw, topic: topic, qos: qos, moment: now()}
	err := checkFrame(raw)
	if jsonErr := json.Unmarshal(raw, &f); err == nil {
		err = jsonErr
	}
	f.ack = func() { r.acknowledge(f); ack(f) }
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return f, false
	}
	if err != nil {
		r.violate("%v\n%s", err, raw)
	}
	if want := uint64(len(r.frames) + 1); f.FrameSeq != want {
		r.violate("frame %d of the connection has frame_seq %d: %s", want, f.FrameSeq, raw)
	}
	if err := checkPlace(f, max(qos, r.subscribed)); err != nil {
		r.violate("%v\n%s", err, raw)
	}
	if begins := topic == "" && len(r.frames) == 0; begins != (f.T == "hello") {
		r.violate("a JSON connection begins with hello, which comes nowhere else; frame %d is %s", f.FrameSeq, raw)
	}
	r.frames = append(r.frames, f)
	r.wake()
	return f, true
}

// acknowledge records an acknowledgement that is about to be sent.
func (r *record) acknowledge(f frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acks = append(r.acks, ack{now(), f.ThreadID, f.Seq})
}

func (r *record) violate(format string, args ...any) {
	if len(r.violations) < 5 {
		r.violations = append(r.violations, fmt.Sprintf(format, args...))
	}
}

// finish records that the connection has ended, and with which code.
func (r *record) finish(code int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.ended, r.end = true, code
		r.wake()
	}
}

func (r *record) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *record) all() []frame {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.frames[:len(r.frames):len(r.frames)]
}

// over reports whether the connection has ended.
func (r *record) over() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

// watch calls look with all frames so far, and again whenever there are more, until look
// returns true. watch returns false if the connection ended or the time ran out before.
func (r *record) watch(limit time.Duration, look func([]frame) bool) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		r.mu.Lock()
		frames, ended, changed := r.frames, r.ended, r.changed
		r.mu.Unlock()
		if look(frames) {
			return true
		}
		if ended {
			return false
		}
		select {
		case <-changed:
		case <-deadline.C:
			return false
		}
	}
}

// next is the frame after the last one that the test looked at. Pings, presence and the
// hello at the beginning are passed over.
func (r *record) next(t testing.TB) frame {
	t.Helper()
	return r.until(t, "any frame", func(f frame) bool {
		return f.T != "ping" && f.T != "presence" && f.T != "hello" && f.T != "thread_state"
	})
}

// nextDurable is the next durable frame; all others are passed over.
func (r *record) nextDurable(t testing.TB) frame {
	t.Helper()
	return r.until(t, "durable frame", frame.durable)
}

// expect is next, and has to be of that type.
func (r *record) expect(t testing.TB, kind string) frame {
	t.Helper()
	f := r.next(t)
	if f.T != kind {
		t.Fatalf("the next frame is %v, want %s; all: %v", f, kind, r.all())
	}
	return f
}

// until passes over frames to the first that matches.
func (r *record) until(t testing.TB, what string, match func(frame) bool) frame {
	t.Helper()
	var found frame
	ok := r.watch(patience, func(frames []frame) bool {
		for ; r.cursor < len(frames); r.cursor++ {
			if match(frames[r.cursor]) {
				found = frames[r.cursor]
				r.cursor++
				return true
			}
		}
		return false
	})
	if !ok {
		t.Fatalf("no %s came (connection over: %t, code %#x); all: %v", what, r.over(), r.end, r.all())
	}
	return found
}

// untilType passes over frames to the first of a type.
func (r *record) untilType(t testing.TB, kind string) frame {
	t.Helper()
	return r.until(t, kind, func(f frame) bool { return f.T == kind })
}

// untilMessage passes over frames to the message with that id.
func (r *record) untilMessage(t testing.TB, id string) frame {
	t.Helper()
	return r.until(t, "msg "+id, func(f frame) bool { return f.T == "msg" && f.ID == id })
}

// ackAll acknowledges every durable frame that has come so far.
func (r *record) ackAll() {
	for _, f := range r.all() {
		if f.durable() {
			f.ack()
		}
	}
}

// has reports whether any frame so far matches.
func (r *record) has(match func(frame) bool) bool {
	for _, f := range r.all() {
		if match(f) {
			return true
		}
	}
	return false
}

// awaitEnd waits for the end of the connection, which has to have this code.
func (r *record) awaitEnd(t testing.TB, code int) {
	t.Helper()
	r.watch(patience, func([]frame) bool { return false })
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.ended:
		t.Fatalf("the connection is still there, want its end with %#x", code)
	case r.end != code:
		t.Fatalf("the connection ended with %d (%#x), want %d (%#x)", r.end, r.end, code, code)
	}
}

// checkOrder checks that seq rises strictly in every thread of one connection.
func (r *record) checkOrder(t testing.TB) {
	t.Helper()
	last := map[string]uint64{}
	for _, f := range r.all() {
		if !f.durable() {
			continue
		}
		if f.Seq <= last[f.ThreadID] {
			t.Errorf("thread %s: seq %d came after %d on one connection", f.ThreadID, f.Seq, last[f.ThreadID])
			return
		}
		last[f.ThreadID] = f.Seq
	}
}

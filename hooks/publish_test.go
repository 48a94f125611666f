package hooks

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
	"github.com/parleyhq/parley/store"
)

// line is a connection that answers publishes at once and keeps the answers. What a
// PUBLISH does not need is not there.
type line struct {
	net.Conn

	session *session.Session
	answers []answer
}

type answer struct {
	id     uint16
	reason byte
	text   string
}

func (l *line) Session() *session.Session { return l.session }

func (l *line) Answer(id uint16, a session.Answer) {
	l.answers = append(l.answers, answer{id, a.Reason, a.Text})
}

func (l *line) AnswerLater(id uint16, _ int, p session.Unanswered) {
	p.Begin(new(chat.SendOrder))
	a, _ := p.Await()
	l.Answer(id, a)
}

func (l *line) ReceiveMaximum() uint16 { return 1024 }

// quiet is a transport that nobody reads.
type quiet struct{}

func (quiet) Wake()                {}
func (quiet) Close(session.Reason) {}

// The rest of Conn, for a connection that is there already.
func (l *line) Over() bool                                         { return false }
func (l *line) Offer() (token, device string, lastSeen *string)    { return "", "", nil }
func (l *line) SetProtocol(byte, uint32, bool)                     {}
func (l *line) Transport() session.Transport                       { return quiet{} }
func (l *line) Bind(s *session.Session, _ string, _ time.Duration) { l.session = s }
func (l *line) Refused(chat.UserID, chat.DeviceID, error)          {}
func (l *line) KeepReasonCodes([]byte)                             {}
func (l *line) PopReasonCodes() []byte                             { return nil }

// publisher is Ann's phone, in one thread, with the real service behind it.
type publisher struct {
	hook   *Hook
	line   *line
	chat   *chat.Service
	ann    chat.Caller
	thread chat.ThreadID
}

func newPublisher(tb testing.TB) *publisher {
	tb.Helper()
	st, err := store.Open(context.Background(), "pebble:"+tb.TempDir(), store.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	bus := local.New()
	svc := chat.New(chat.Config{Store: st, Bus: bus})
	sessions := session.NewRegistry(session.Config{Store: st, Bus: bus, Chat: svc})
	tb.Cleanup(func() {
		svc.Close(context.Background())
		sessions.Close(context.Background())
		if err := errors.Join(bus.Close(), st.Close()); err != nil {
			tb.Error(err)
		}
	})
	p := &publisher{
		hook: New(Config{Sender: svc, Access: svc, Sessions: sessions}), line: new(line), chat: svc,
		ann: chat.Caller{User: "ann", Device: "phone", Scopes: []chat.Scope{chat.ScopeRead, chat.ScopeWrite}},
	}
	p.begin(tb)
	if p.line.session, err = sessions.Open(session.Params{Caller: p.ann, Expires: time.Now().Add(time.Hour), Transport: quiet{}}); err != nil {
		tb.Fatal(err)
	}
	return p
}

// begin goes on in a new thread.
func (p *publisher) begin(tb testing.TB) {
	tb.Helper()
	view, _, err := p.chat.CreateThread(context.Background(), p.ann, chat.CreateThread{Type: chat.Group})
	if err != nil {
		tb.Fatal(err)
	}
	p.thread = view.ID
}

// publish has the hook take one PUBLISH and gives what it was answered with.
func (p *publisher) publish(tb testing.TB, pk packets.Packet) []answer {
	tb.Helper()
	p.line.answers = nil
	cl := &mqtt.Client{}
	cl.Properties.ProtocolVersion = 5
	cl.Net.Conn = p.line
	if _, err := p.hook.OnPublish(cl, pk); !errors.Is(err, packets.ErrRejectPacket) {
		tb.Fatalf("OnPublish: %v; nothing may be left to the server", err)
	}
	return p.line.answers
}

func (p *publisher) messages(tb testing.TB) int {
	tb.Helper()
	page, err := p.chat.Events(context.Background(), p.ann, p.thread, 0, chat.PageRequest{Size: 100})
	if err != nil {
		tb.Fatal(err)
	}
	return len(page.Events)
}

// FuzzMQTTSend publishes anything to any topic: with QoS 1 it is answered once, with
// a code of docs/contract.md#mqtt, and stored exactly when that is success;
// with QoS 0 neither.
func FuzzMQTTSend(f *testing.F) {
	p := newPublisher(f)
	for _, payload := range []string{
		`{"client_seq":1,"ciphertext":"aGVsbG8="}`,
		`{"client_seq":1,"ciphertext":"aGVsbG8=","idempotency_key":"k","content_type":"system","ttl_seconds":1}`,
		`{"client_seq":1,"client_seq":2,"ciphertext":"aGVsbG8="}`,
		`{"client_seq":1e3,"ciphertext":"aGVsbG8=","attachment_id":null,"reply_to_msg_id":"01JWFG3M2J8K4N5P7Q8R0S1TVW"}`,
		`{"client_seq":9223372036854775807,"ciphertext":"=","attachment_sha256":"x"}`,
		`{"t":"typing"}`, `{"t":"client_ack","frame_seq":18446744073709551615}`, "", "\x00", "{", "[[[[[[[[", `"\ud800"`,
	} {
		f.Add("m", []byte(payload), []byte("corr"), "v1/devices/phone/replies", true)
		f.Add("t", []byte(payload), []byte(nil), "", true)
		f.Add("v1/devices/phone/up", []byte(payload), []byte("\xff"), "v1/devices/phone/+", false)
	}
	stored, keys := p.messages(f), 0
	f.Fuzz(func(t *testing.T, name string, payload, correlation []byte, response string, acknowledged bool) {
		if stored > 80 { // of what a page shows
			p.begin(t)
			stored = 1
		}
		switch name { // what cannot be guessed
		case "m":
			name = "v1/threads/" + p.thread.String() + "/messages"
		case "t":
			name = "v1/threads/" + p.thread.String() + "/typing"
		}
		keys++
		pk := packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: map[bool]byte{true: 1}[acknowledged]},
			PacketID:    uint16(keys), TopicName: name, Payload: bytes.Clone(payload),
			Properties: packets.Properties{CorrelationData: correlation, ResponseTopic: response},
		}
		answers := p.publish(t, pk)
		if !acknowledged {
			if len(answers) > 0 {
				t.Fatalf("with QoS 0 it is answered with %+v", answers)
			}
		} else if len(answers) != 1 || answers[0].id != uint16(keys) || !slices.Contains([]byte{0, 0x87, 0x97, 0x99}, answers[0].reason) {
			t.Fatalf("it is answered with %+v", answers)
		}
		sent := acknowledged && answers[0].reason == 0 && contracts.ParseTopic(name).Kind == contracts.TopicThreadMessages
		now := p.messages(t)
		if now > stored && !sent || now > stored+1 {
			t.Fatalf("%d events became %d, answered with %+v", stored, now, answers)
		}
		stored = now
	})
}

// What the reason codes of docs/contract.md#mqtt are for each kind of refusal.
func TestPubackReasons(t *testing.T) {
	for code, want := range map[chat.Code]byte{
		contracts.CodeUnauthenticated: 0x87, chat.CodeMissingScope: 0x87, chat.CodeNotAParticipant: 0x87, chat.CodeThreadNotFound: 0x87,
		chat.CodeRateLimited: 0x97, chat.CodeInvalidRequest: 0x99, chat.CodeIdempotencyKeyReused: 0x99,
		chat.CodeCiphertextTooLarge: 0x99, chat.CodeAttachmentBlocked: 0x99,
	} {
		if reason, text := pubackReason(chat.Refuse(code, "")); reason != want || text != string(code) {
			t.Errorf("%s is answered with %#x %q, want %#x", code, reason, text, want)
		}
	}
	if reason, text := pubackReason(nil); reason != 0 || text != "" {
		t.Errorf("success is answered with %#x %q", reason, text)
	}
}

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	v4 "github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/golang-jwt/jwt/v5"

	v5 "github.com/eclipse/paho.golang/packets"
)

// published is the answer to a PUBLISH with QoS 1.
type published struct {
	id     uint16
	code   byte
	reason string // MQTT 5
	closed bool   // the connection was closed instead
}

// answered is the next PUBACK, or the end of the connection.
func (r *raw) answered(t testing.TB) published {
	t.Helper()
	for {
		p, err := r.tryRead()
		if err != nil {
			return published{closed: true}
		}
		switch p := p.(type) {
		case *v5.Puback:
			a := published{id: p.PacketID, code: p.ReasonCode}
			if p.Properties != nil {
				a.reason = p.Properties.ReasonString
			}
			return a
		case *v4.PubackPacket:
			if p.RemainingLength != 2 { // what is more, the codec passes over
				t.Errorf("a PUBACK of MQTT 3.1.1 has %d bytes, want the packet id alone", p.RemainingLength)
			}
			return published{id: p.MessageID}
		case *v5.Disconnect:
			return published{closed: true, code: p.ReasonCode}
		}
	}
}

func messagesTopic(thread string) string { return "v1/threads/" + thread + "/messages" }

// mqttSend is the payload of a message to send.
func mqttSend(t testing.TB, key string, clientSeq int64, text string, more ...any) string {
	t.Helper()
	body := map[string]any{"client_seq": clientSeq, "ciphertext": []byte(text)}
	if key != "" {
		body["idempotency_key"] = key
	}
	for i := 0; i+1 < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	payload, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(payload)
}

var rawKinds = []struct {
	name    string
	version byte
	dial    func(t testing.TB, s *server, version byte) *raw
}{
	{"MQTT5-tcp", mqtt5, dialRaw},
	{"MQTT311-tcp", mqtt311, dialRaw},
	{"MQTT5-ws", mqtt5, func(t testing.TB, s *server, v byte) *raw { return dialRawWS(t, s, v, "") }},
	{"MQTT311-ws", mqtt311, func(t testing.TB, s *server, v byte) *raw { return dialRawWS(t, s, v, "") }},
}

// A published message is acknowledged when it is stored. If it is published again, it is
// acknowledged again and not stored twice.
func TestPublishedMessageIsStoredOnce(t *testing.T) {
	s := startServer(t)
	for _, k := range rawKinds {
		t.Run(k.name, func(t *testing.T) {
			ann, bob := s.device(t, "ann-"+k.name, "phone"), s.device(t, "bob-"+k.name, "b")
			group := ann.createGroup(t, bob.user)
			line := jsonProtocol.live(t, bob, options{})
			r := k.dial(t, s, k.version)
			r.accepted(t, helloOf(ann))
			payload := mqttSend(t, "key-1", 1, "hello", "content_type", "text")
			for id, again := range []string{payload, payload, mqttSend(t, "key-2", 1, "another key, the same client_seq")} {
				r.publish(t, uint16(id+1), 1, messagesTopic(group.ID), again)
				if got := r.answered(t); got.closed || got.code != 0 || got.id != uint16(id+1) {
					t.Fatalf("publish %d was answered with %+v", id+1, got)
				}
				if history := ann.history(t, group.ID); len(history) != 1 || string(history[0].Ciphertext) != "hello" ||
					history[0].SenderID != ann.user || history[0].DeviceID != "phone" || history[0].ClientSeq != 1 {
					t.Fatalf("after publish %d the history is %+v", id+1, history)
				}
			}
			got := line.untilType(t, "msg")
			if string(got.Ciphertext) != "hello" || got.SenderID != ann.user {
				t.Errorf("Bob got %v", got)
			}
			m, header, err := ann.post(t.Context(), group.ID, outgoing{Key: "key-1", ClientSeq: 1, Ciphertext: []byte("hello"), ContentType: "text"})
			if err != nil || m.ID != got.ID || header.Get("Idempotency-Replayed") != "true" {
				t.Errorf("the retry by REST gave %+v, %v", m, err)
			}
		})
	}
}

// Every refusal of a published message, with its PUBACK code in MQTT 5. In 3.1.1 it is
// acknowledged and dropped.
func TestRefusedPublishes(t *testing.T) {
	s := startServer(t)
	ann, eve := s.device(t, "ann", "a"), s.device(t, "eve", "e")
	group, foreign := ann.createGroup(t), eve.createGroup(t)
	admin := s.device(t, "ops", "o").withClaims(t, func(c jwt.MapClaims) { c["scope"] = "chat.admin" })
	blocked := strings.Repeat("0f", 32)
	admin.must(t, http.StatusNoContent, http.MethodPut, "/v1/admin/attachment-denylist/"+blocked, nil)
	if got := ann.publishOne(t, messagesTopic(group.ID), mqttSend(t, "taken", 1, "first")); got.code != 0 || got.closed {
		t.Fatalf("the first message: %+v", got)
	}
	reader := ann.withClaims(t, func(c jwt.MapClaims) { c["scope"] = "chat.read" })
	for _, c := range []struct {
		name, topic, payload string
		by                   *device
		code                 byte
		reason               string
	}{
		{name: "no JSON", payload: "hello", code: 0x99, reason: "invalid_request"},
		{name: "empty", code: 0x99, reason: "invalid_request"},
		{name: "a typo", payload: mqttSend(t, "k", 2, "x", "contenttype", "text"), code: 0x99, reason: "invalid_request"},
		{name: "no key", payload: mqttSend(t, "", 2, "x"), code: 0x99, reason: "invalid_request"},
		{name: "a long key", payload: mqttSend(t, strings.Repeat("k", 65), 2, "x"), code: 0x99, reason: "invalid_request"},
		{name: "no ciphertext", payload: mqttSend(t, "k", 2, ""), code: 0x99, reason: "invalid_request"},
		{name: "a bad enum", payload: mqttSend(t, "k", 2, "x", "content_type", "song"), code: 0x99, reason: "invalid_request"},
		{name: "a negative client_seq", payload: mqttSend(t, "k", -1, "x"), code: 0x99, reason: "invalid_request"},
		{name: "a reused key", payload: mqttSend(t, "taken", 2, "another"), code: 0x99, reason: "idempotency_key_reused"},
		{name: "too large", payload: mqttSend(t, "k", 2, strings.Repeat("x", 64<<10+1)), code: 0x99, reason: "ciphertext_too_large"},
		{name: "a blocked attachment", payload: mqttSend(t, "k", 2, "x", "attachment_sha256", blocked), code: 0x99, reason: "attachment_blocked"},
		{name: "a foreign thread", topic: messagesTopic(foreign.ID), payload: mqttSend(t, "k", 2, "x"), code: 0x87, reason: "not_a_participant"},
		{
			name: "no thread", topic: messagesTopic("00000000-0000-7000-8000-000000000000"), payload: mqttSend(t, "k", 2, "x"),
			code: 0x87, reason: "thread_not_found",
		},
		{name: "no thread id", topic: "v1/threads/x/messages", payload: mqttSend(t, "k", 2, "x"), code: 0x87},
		{name: "no scope to write", by: reader, payload: mqttSend(t, "k", 2, "x"), code: 0x87, reason: "missing_scope"},
		{name: "a system message", payload: mqttSend(t, "k", 2, "x", "content_type", "system"), code: 0x87, reason: "missing_scope"},
	} {
		t.Run(c.name, func(t *testing.T) {
			by, topic := ann, messagesTopic(group.ID)
			if c.by != nil {
				by = c.by
			}
			if c.topic != "" {
				topic = c.topic
			}
			if got := by.publishOne(t, topic, c.payload); got.closed || got.code != c.code || got.reason != c.reason {
				t.Errorf("MQTT 5: %+v, want %#x %s", got, c.code, c.reason)
			}
			r := dialRaw(t, s, mqtt311)
			r.accepted(t, helloOf(by))
			r.publish(t, 1, 1, topic, c.payload)
			if got := r.answered(t); got.closed || got.id != 1 {
				t.Errorf("MQTT 3.1.1: %+v, want a PUBACK", got)
			}
		})
	}
	if history := ann.history(t, group.ID); len(history) != 1 {
		t.Errorf("refused messages are in the history: %+v", history)
	}
}

// publishOne connects by MQTT 5 and publishes one payload.
func (d *device) publishOne(t testing.TB, topic, payload string) published {
	t.Helper()
	r := dialRaw(t, d.srv, mqtt5)
	defer r.Close()
	r.accepted(t, helloOf(d))
	r.publish(t, 7, 1, topic, payload)
	return r.answered(t)
}

// A client that asks for no Reason Strings gets none.
func TestReasonStringsAreOptional(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	no := byte(0)
	r := dialRaw(t, s, mqtt5)
	r.send5(t, &v5.Connect{
		ProtocolName: "MQTT", ProtocolVersion: 5, ClientID: ann.id, CleanStart: true, PasswordFlag: true, Password: []byte(ann.token),
		Properties: &v5.Properties{RequestProblemInfo: &no},
	})
	if ack, ok := r.read(t).(*v5.Connack); !ok || ack.ReasonCode != 0 {
		t.Fatalf("CONNACK %+v", ack)
	}
	r.publish(t, 1, 1, messagesTopic("00000000-0000-7000-8000-000000000000"), mqttSend(t, "k", 1, "x"))
	if got := r.answered(t); got.code != 0x87 || got.reason != "" {
		t.Errorf("answered with %+v", got)
	}
}

// A message published with QoS 0 is not stored, and the client is told so.
func TestMessageWithQoS0IsNotStored(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	group := ann.createGroup(t)
	for _, k := range rawKinds[:2] {
		r := dialRaw(t, s, k.version)
		r.accepted(t, helloOf(ann))
		r.subscribe(t, 1, 0, "v1/devices/a/frames")
		for range 12 { // more than the limit of wrong frames
			r.publish(t, 0, 0, messagesTopic(group.ID), mqttSend(t, "k", 1, "x"))
			if got := string(r.deliver(t).payload); !strings.Contains(got, `"t":"error"`) || !strings.Contains(got, `"invalid_request"`) {
				t.Fatalf("%s: the device was told %s", k.name, got)
			}
		}
		r.ping(t)
	}
	if history := ann.history(t, group.ID); len(history) != 0 {
		t.Errorf("stored: %+v", history)
	}
}

// A pipelined client: all publishes are answered, in their order, and the messages
// of each thread are stored in theirs.
func TestPublishesAreAnsweredAndStoredInOrder(t *testing.T) {
	total := bulk(600)
	s := startServer(t, "--rate-send", "0")
	for _, k := range rawKinds[:2] {
		ann := s.device(t, "ann-"+k.name, "a")
		var threads []string
		for range 3 {
			threads = append(threads, ann.createGroup(t).ID)
		}
		r := dialRaw(t, s, k.version)
		r.accepted(t, helloOf(ann))
		go func() {
			for i := 1; i <= total; i++ {
				topic, payload := messagesTopic(threads[i%3]), mqttSend(t, fmt.Sprint("k", i), int64(i), strconv.Itoa(i))
				switch {
				case i%7 == 0: // answered without the store
					topic, payload = "v1/devices/a/up", `{"t":"client_ack","frame_seq":0}`
				case i%11 == 0 && k.version == mqtt5: // refused
					topic = messagesTopic("00000000-0000-7000-8000-000000000000")
				}
				r.publish(t, uint16(i), 1, topic, payload)
			}
		}()
		for i := 1; i <= total; i++ {
			if got := r.answered(t); got.closed || got.id != uint16(i) {
				t.Fatalf("%s: answer %d is %+v", k.name, i, got)
			}
		}
		for at, id := range threads {
			last := 0
			for _, m := range ann.history(t, id) {
				var n int
				if _, err := fmt.Sscan(string(m.Ciphertext), &n); err != nil || n <= last || n%3 != at {
					t.Fatalf("%s: in thread %d message %q came after %d (%v)", k.name, at, m.Ciphertext, last, err)
				}
				last = n
			}
			if last < total-12 {
				t.Errorf("%s: thread %d ends with message %d", k.name, at, last)
			}
		}
	}
}

// Messages that were acknowledged are there after a kill -9. The retry of one that was not
// acknowledged stores it once.
func TestAcknowledgedPublishSurvivesACrash(t *testing.T) {
	s := startServer(t, "--rate-send", "0")
	ann := s.device(t, "ann", "a")
	group := ann.createGroup(t)
	total := bulk(300)
	r := dialRaw(t, s, mqtt5)
	r.accepted(t, helloOf(ann))
	go func() {
		for i := 1; i <= total; i++ {
			var b strings.Builder
			p := &v5.Publish{
				PacketID: uint16(i), QoS: 1, Topic: messagesTopic(group.ID), Properties: &v5.Properties{},
				Payload: []byte(mqttSend(t, fmt.Sprint("k", i), int64(i), strconv.Itoa(i))),
			}
			if _, err := p.WriteTo(&b); err != nil {
				return
			}
			if _, err := r.Write([]byte(b.String())); err != nil {
				return // the server is gone
			}
		}
	}()
	acknowledged := 0
	for acknowledged < total/2 {
		if got := r.answered(t); got.closed || got.code != 0 {
			t.Fatalf("answer %d is %+v", acknowledged+1, got)
		}
		acknowledged++
	}
	s.kill(t)
	for {
		if got := r.answered(t); got.closed {
			break
		}
		acknowledged++
	}
	s.start(t)
	if history := ann.history(t, group.ID); len(history) < acknowledged {
		t.Fatalf("%d publishes were acknowledged, %d messages are there", acknowledged, len(history))
	}
	again := dialRaw(t, s, mqtt5)
	again.accepted(t, helloOf(ann))
	for i := 1; i <= total; i++ {
		again.publish(t, uint16(i), 1, messagesTopic(group.ID), mqttSend(t, fmt.Sprint("k", i), int64(i), strconv.Itoa(i)))
		if got := again.answered(t); got.closed || got.code != 0 {
			t.Fatalf("retry %d: %+v", i, got)
		}
	}
	history := ann.history(t, group.ID)
	if len(history) != total {
		t.Fatalf("%d messages were sent, %d are there", total, len(history))
	}
	seen := map[string]bool{}
	for _, m := range history {
		if seen[string(m.Ciphertext)] {
			t.Errorf("message %s is there twice", m.Ciphertext)
		}
		seen[string(m.Ciphertext)] = true
	}
}

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"
	v4 "github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/golang-jwt/jwt/v5"
)

// texts are the messages of a thread, oldest first.
func (d *device) texts(t testing.TB, thread string) (texts []string) {
	t.Helper()
	for _, m := range d.history(t, thread) {
		texts = append(texts, string(m.Ciphertext))
	}
	return texts
}

// numbered publishes messages n, n+1 … in one write, with these numbers as packet ids.
func (r *raw) numbered(t testing.TB, thread string, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		r.publish(t, uint16(i), 1, messagesTopic(thread), mqttSend(t, fmt.Sprint("k", i), int64(i), strconv.Itoa(i)))
	}
}

// A client that sends faster than its rate loses nothing and is refused nothing: its
// messages are stored in their order, when the rate allows, and its PUBACKs come then.
// Meanwhile it is answered, and its user's REST calls come after what waits.
func TestPublishesWaitForTheRate(t *testing.T) {
	const total, burst = 60, 20
	s := startServer(t, "--rate-send", "20", "--rate-send-burst", strconv.Itoa(burst))
	for _, k := range rawKinds[:2] {
		t.Run(k.name, func(t *testing.T) {
			ann := s.device(t, "ann-"+k.name, "a")
			group := ann.createGroup(t)
			r := k.dial(t, s, k.version)
			ack := r.accepted(t, helloOf(ann))
			answered := 0
			expect := func(n int) {
				for range n {
					answered++
					if got := r.answered(t); got.closed || got.code != 0 || got.id != uint16(answered) {
						t.Fatalf("answer %d is %+v", answered, got)
					}
				}
			}
			if k.version == mqtt5 {
				if got := ack.props.ReceiveMaximum; got == nil || *got != burst {
					t.Fatalf("the Receive Maximum is %v, want %d", got, burst)
				}
				for from := 1; from <= total; from += burst { // as many at once as it may
					r.numbered(t, group.ID, from, from+burst-1)
					expect(burst)
				}
			} else {
				r.numbered(t, group.ID, 1, total)
				r.bytes(t, []byte{0xC0, 0}) // answered while most still wait
				for pinged := false; !pinged; {
					switch p := r.read(t).(type) {
					case *v4.PubackPacket:
						answered++
						if p.MessageID != uint16(answered) {
							t.Fatalf("answer %d is of packet %d", answered, p.MessageID)
						}
					case *v4.PingrespPacket:
						pinged = true
					}
				}
				if answered > total-burst/2 {
					t.Errorf("the PINGRESP comes after %d PUBACKs", answered)
				}
				ann.refused(t, http.StatusTooManyRequests, "rate_limited", http.MethodPost, "/v1/threads/"+group.ID+"/messages",
					map[string]any{"client_seq": 1000, "ciphertext": []byte("by REST")}, "Idempotency-Key", "rest")
				expect(total - answered)
			}
			var want []string
			for i := 1; i <= total; i++ {
				want = append(want, strconv.Itoa(i))
			}
			if got := ann.texts(t, group.ID); !slices.Equal(got, want) {
				t.Errorf("stored: %v", got)
			}
		})
	}
}

// More at once than the Receive Maximum ends the connection, just as many do not. Without a
// rate it is 1,024, and for a service too.
func TestReceiveMaximumOfTheServer(t *testing.T) {
	s := startServer(t, "--rate-send", "0.001", "--rate-send-burst", "4")
	ann := s.device(t, "ann", "a")
	group := ann.createGroup(t) // a write too
	r := dialRaw(t, s, mqtt5)
	r.accepted(t, helloOf(ann))
	r.numbered(t, group.ID, 1, 3)
	for range 3 {
		if got := r.answered(t); got.closed || got.code != 0 {
			t.Fatalf("of the burst: %+v", got)
		}
	}
	r.numbered(t, group.ID, 4, 7) // too fast
	r.ping(t)
	r.numbered(t, group.ID, 8, 8)
	if code := r.ends(t); code != 0x93 {
		t.Errorf("the connection ended with %#x, want 0x93", code)
	}
	if got := ann.texts(t, group.ID); len(got) != 3 {
		t.Errorf("stored: %v", got)
	}
	service := s.device(t, "jobs", "j").withClaims(t, func(c jwt.MapClaims) { c["scope"] = "chat.system" })
	free := startServer(t, "--rate-send", "0")
	for _, d := range []*device{service, free.device(t, "ann", "a")} {
		line := dialRaw(t, d.srv, mqtt5)
		if got := line.accepted(t, helloOf(d)).props.ReceiveMaximum; got == nil || *got != 1024 {
			t.Errorf("%s: the Receive Maximum is %v, want 1024", d.user, got)
		}
	}
}

// errorFrame is an error frame about a publish.
type errorFrame struct {
	T, Code, Detail string
	PacketID        uint16 `json:"packet_id"`
	IdempotencyKey  string `json:"idempotency_key"`
}

// told is the next error frame. No PUBACK may come before it.
func (r *raw) told(t testing.TB) (f errorFrame) {
	t.Helper()
	for {
		var payload []byte
		switch p := r.read(t).(type) {
		case *v5.Publish:
			payload = p.Payload
		case *v4.PublishPacket:
			payload = p.Payload
		default:
			t.Fatalf("%v comes before the error frame", p)
		}
		if err := json.Unmarshal(payload, &f); err != nil {
			t.Fatal(err)
		}
		if f.T == "error" {
			return f
		}
	}
}

// In 3.1.1 a message that can never be stored costs one error frame: it is acknowledged
// after that and dropped, what is behind it is stored, and the connection goes on.
func TestPoisonMessageOf311(t *testing.T) {
	s := startServer(t)
	ann, eve := s.device(t, "ann", "a"), s.device(t, "eve", "e")
	group, foreign := ann.createGroup(t), eve.createGroup(t)
	r := dialRaw(t, s, mqtt311)
	r.accepted(t, helloOf(ann))
	r.subscribe(t, 1, 0, "v1/devices/a/frames", "v1/devices/a/replies")
	mine := messagesTopic(group.ID)
	for i, c := range []struct {
		topic, payload, code, key string
	}{
		{mine, "no JSON", "invalid_request", ""},
		{mine, `{"idempotency_key":"a typo","cipher":"eA=="}`, "invalid_request", "a typo"},
		{mine, mqttSend(t, "k", 1, ""), "invalid_request", "k"},
		{mine, mqttSend(t, "", 1, "x"), "invalid_request", ""},
		{mine, mqttSend(t, "large", 2, strings.Repeat("x", 64<<10+1)), "ciphertext_too_large", "large"},
		{messagesTopic(foreign.ID), mqttSend(t, "foreign", 1, "x"), "not_a_participant", "foreign"},
		{messagesTopic(noThread), mqttSend(t, "none", 1, "x"), "thread_not_found", "none"},
		{"v1/threads/" + foreign.ID + "/typing", "", "not_a_participant", ""},
		{"v1/elsewhere", "x", "not_found", ""},
		{"$SYS/x", "x", "not_found", ""},
		{"v1/devices/a/frames", "x", "not_found", ""},
		{mine, "one more than the ten bad frames", "invalid_request", ""},
	} {
		id := uint16(100 + 2*i)
		r.publish(t, id, 1, c.topic, c.payload)
		r.publish(t, id+1, 1, mine, mqttSend(t, fmt.Sprint("good", i), int64(50+i), strconv.Itoa(i)))
		if f := r.told(t); f.Code != c.code || f.PacketID != id || f.IdempotencyKey != c.key || f.Detail == "" {
			t.Errorf("%d: told %+v, want %s of packet %d", i, f, c.code, id)
		}
		for _, want := range []uint16{id, id + 1} {
			if got := r.answered(t); got.closed || got.id != want {
				t.Fatalf("%d: answered with %+v, want a PUBACK of %d", i, got, want)
			}
		}
		if got := ann.texts(t, group.ID); len(got) != i+1 || got[i] != strconv.Itoa(i) {
			t.Fatalf("%d: stored %v", i, got)
		}
	}
}

// In 3.1.1 the payload names the response topic; in MQTT 5 that is an unknown field.
func TestResponseTopicInThePayload(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	group := ann.createGroup(t)
	old := dialRaw(t, s, mqtt311)
	old.accepted(t, helloOf(ann))
	old.subscribe(t, 1, 0, "v1/devices/a/replies")
	old.publish(t, 1, 1, messagesTopic(group.ID), mqttSend(t, "k1", 1, "x", "response_topic", "v1/devices/a/replies"))
	var stored message
	if d := old.deliver(t); d.topic != "v1/devices/a/replies" || json.Unmarshal(d.payload, &stored) != nil || string(stored.Ciphertext) != "x" {
		t.Errorf("the reply is %s on %s", d.payload, d.topic)
	}
	old.publish(t, 2, 1, messagesTopic(noThread), mqttSend(t, "k2", 2, "x", "response_topic", "v1/devices/a/replies"))
	if d := old.deliver(t); !contains(d.payload, `"code":"thread_not_found"`) {
		t.Errorf("the reply is %s", d.payload)
	}
	if got := ann.publishOne(t, messagesTopic(group.ID), mqttSend(t, "k3", 3, "x", "response_topic", "v1/devices/a/replies")); got.code != 0x99 || got.reason != "invalid_request" {
		t.Errorf("MQTT 5: %+v", got)
	}
}

// A client_seq that was used for other content is told; the same content is not.
func TestClientSeqReusedOverMQTT(t *testing.T) {
	s := startServer(t)
	for _, k := range rawKinds[:2] {
		ann := s.device(t, "ann-"+k.name, "a")
		group := ann.createGroup(t)
		r := k.dial(t, s, k.version)
		r.accepted(t, helloOf(ann))
		r.subscribe(t, 1, 0, "v1/devices/a/frames")
		r.publish(t, 2, 1, messagesTopic(group.ID), mqttSend(t, "k1", 1, "first"))
		r.publish(t, 3, 1, messagesTopic(group.ID), mqttSend(t, "k2", 1, "first"))
		for id := uint16(2); id <= 3; id++ {
			if got := r.answered(t); got != (published{id: id}) {
				t.Errorf("%s: answered with %+v", k.name, got)
			}
		}
		r.publish(t, 4, 1, messagesTopic(group.ID), mqttSend(t, "k3", 1, "another"))
		if f := r.told(t); f.Code != "client_seq_reused" || f.PacketID != 4 || f.IdempotencyKey != "k3" {
			t.Errorf("%s: told %+v", k.name, f)
		}
		want := published{id: 4}
		if k.version == mqtt5 {
			want.reason = "client_seq_reused"
		}
		if got := r.answered(t); got != want {
			t.Errorf("%s: answered with %+v, want %+v", k.name, got, want)
		}
		if got := ann.texts(t, group.ID); !slices.Equal(got, []string{"first"}) {
			t.Errorf("%s: stored %v", k.name, got)
		}
	}
}

// Correlation data are a key as they are, of 1 to 64 bytes of any value.
func TestBinaryCorrelationDataAsKey(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	group := ann.createGroup(t)
	r := dialRaw(t, s, mqtt5)
	r.accepted(t, helloOf(ann))
	publish := func(id uint16, key []byte, seq int64) published {
		t.Helper()
		r.send5(t, &v5.Publish{
			PacketID: id, QoS: 1, Topic: messagesTopic(group.ID), Payload: []byte(mqttSend(t, "", seq, strconv.FormatInt(seq, 10))),
			Properties: &v5.Properties{CorrelationData: key},
		})
		return r.answered(t)
	}
	keys := [][]byte{{0}, {0xFF, 0xFE}, slices.Repeat([]byte{0x80}, 64), []byte("text")}
	for i, key := range keys {
		for range 2 { // and a retry
			if got := publish(1, key, int64(i)); got != (published{id: 1}) {
				t.Errorf("%x: answered with %+v", key, got)
			}
		}
	}
	if got := publish(2, keys[1], 99); got.reason != "idempotency_key_reused" {
		t.Errorf("a binary key again, for another message: %+v", got)
	}
	if got := publish(3, make([]byte, 65), 99); got.code != 0x99 || got.reason != "invalid_request" {
		t.Errorf("65 bytes: %+v", got)
	}
	if got := ann.texts(t, group.ID); !slices.Equal(got, []string{"0", "1", "2", "3"}) {
		t.Errorf("stored: %v", got)
	}
}

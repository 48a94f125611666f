package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	v5 "github.com/eclipse/paho.golang/packets"
)

// ask publishes a message by MQTT 5 with a response topic.
func (r *raw) ask(t testing.TB, id uint16, topic, payload, response, correlation string) {
	t.Helper()
	p := &v5.Publish{PacketID: id, QoS: 1, Topic: topic, Payload: []byte(payload), Properties: &v5.Properties{ResponseTopic: response}}
	if correlation != "" {
		p.Properties.CorrelationData = []byte(correlation)
	}
	r.send5(t, p)
}

// exchange reads until the PUBACK has come, and the reply too if it is wanted.
func (r *raw) exchange(t testing.TB, wanted bool) (a published, reply *v5.Publish) {
	t.Helper()
	for answered := false; !answered || wanted && reply == nil; {
		switch p := r.read(t).(type) {
		case *v5.Puback:
			a, answered = published{id: p.PacketID, code: p.ReasonCode}, true
		case *v5.Publish:
			reply = p
		case *v5.Disconnect:
			t.Fatalf("DISCONNECT %#x", p.ReasonCode)
		}
	}
	return a, reply
}

// The response topic gets the message, or the problem, with the correlation data. If the
// payload has no idempotency key, the correlation data is the key.
func TestRepliesToPublishes(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "phone")
	group := ann.createGroup(t)
	r := dialRaw(t, s, mqtt5)
	r.accepted(t, helloOf(ann))
	r.subscribe(t, 1, 1, "v1/devices/phone/replies", "v1/devices/phone/rpc/#")
	const replies = "v1/devices/phone/replies"

	r.ask(t, 1, messagesTopic(group.ID), mqttSend(t, "", 1, "hello"), replies, "corr-1")
	a, reply := r.exchange(t, true)
	var sent message
	if err := json.Unmarshal(reply.Payload, &sent); err != nil {
		t.Fatalf("%v in %s", err, reply.Payload)
	}
	history := ann.history(t, group.ID)
	if a.code != 0 || len(history) != 1 || asJSON(t, sent) != asJSON(t, history[0]) {
		t.Errorf("answered with %+v and %s; the history is %+v", a, reply.Payload, history)
	}
	if reply.Topic != replies || reply.QoS != 0 || string(reply.Properties.CorrelationData) != "corr-1" || reply.Properties.ContentType != "application/json" {
		t.Errorf("the reply came as %+v", reply)
	}
	if m, header, err := ann.post(t.Context(), group.ID, outgoing{Key: "corr-1", ClientSeq: 1, Ciphertext: []byte("hello")}); err != nil ||
		m.ID != sent.ID || header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("by the correlation data as key: %+v, %v", m, err)
	}

	// The same client_seq again, with a key in the payload and another response topic.
	r.ask(t, 2, messagesTopic(group.ID), mqttSend(t, "another-key", 1, "something else"), "v1/devices/phone/rpc/2", "corr-2")
	if a, reply = r.exchange(t, true); a.code != 0 || reply.Topic != "v1/devices/phone/rpc/2" || string(reply.Properties.CorrelationData) != "corr-2" {
		t.Errorf("answered with %+v and %+v", a, reply)
	}
	if err := json.Unmarshal(reply.Payload, &sent); err != nil || sent.ID != history[0].ID {
		t.Errorf("the client_seq had been used, the reply is %s", reply.Payload)
	}

	r.ask(t, 3, messagesTopic("00000000-0000-7000-8000-000000000000"), mqttSend(t, "k", 2, "x"), replies, "corr-3")
	a, reply = r.exchange(t, true)
	var problem struct {
		Code   string `json:"code"`
		Status int    `json:"status"`
	}
	if err := json.Unmarshal(reply.Payload, &problem); err != nil {
		t.Fatal(err)
	}
	if a.code != 0x87 || problem.Code != "thread_not_found" || problem.Status != 404 || string(reply.Properties.CorrelationData) != "corr-3" ||
		reply.Properties.ContentType != "application/problem+json" {
		t.Errorf("answered with %+v and %s", a, reply.Payload)
	}
}

// Replies go only to topics below the client's own device, and only if it has subscribed
// them.
func TestRepliesStayWithTheDevice(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "phone"), s.device(t, "bob", "desk")
	group := ann.createGroup(t, bob.user)
	listener := mqtt5TCP.live(t, bob, options{filters: []string{"v1/#"}})
	r := dialRaw(t, s, mqtt5)
	r.accepted(t, helloOf(ann))
	r.subscribe(t, 1, 0, "v1/#")
	r.subscribe(t, 2, 0, "v1/devices/phone/frames")
	for i, topic := range []string{
		"v1/devices/desk/replies", "v1/devices/phone/frames", "v1/devices/phone/up", "v1/devices/phone/", "v1/devices/phone",
		"v1/threads/" + group.ID + "/frames", "elsewhere", "v1/presence/bob",
	} {
		r.ask(t, uint16(10+i), messagesTopic(group.ID), mqttSend(t, fmt.Sprint("key-", i), int64(i), topic), topic, "c")
		for {
			if p, ok := r.read(t).(*v5.Puback); ok {
				if p.ReasonCode != 0 {
					t.Errorf("with the response topic %s: PUBACK %#x", topic, p.ReasonCode)
				}
				break
			}
		}
		got := listener.until(t, "the message", func(f frame) bool { return f.T == "msg" })
		if string(got.Ciphertext) != topic {
			t.Errorf("Bob got %v", got)
		}
	}
	quiet := dialRaw(t, s, mqtt5)
	quiet.accepted(t, helloOf(s.device(t, "ann", "tablet")))
	quiet.ask(t, 1, messagesTopic(group.ID), mqttSend(t, "quiet", 1, "x"), "v1/devices/tablet/replies", "c")
	if a, reply := quiet.exchange(t, false); a.code != 0 || reply != nil {
		t.Errorf("answered with %+v, %+v", a, reply)
	}
	quiet.bytes(t, []byte{v5.PINGREQ << 4, 0})
	if p := quiet.read(t); p == nil {
		t.Error("no PINGRESP")
	} else if _, ok := p.(*v5.Pingresp); !ok {
		t.Errorf("a client without a subscription got %+v", p)
	}
}

// A backend job needs the scope chat.system alone to connect and to send.
func TestBackendJobSendsSystemMessages(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	pair := ann.createOneToOne(t, bob.user)
	line := jsonProtocol.live(t, bob, options{})
	job := s.device(t, "billing", "job-1").withClaims(t, func(c jwt.MapClaims) { c["scope"] = "chat.system" })
	for _, version := range []byte{mqtt5, mqtt311} {
		r := dialRaw(t, s, version)
		r.accepted(t, helloOf(job))
		if got := r.subscribe(t, 1, 1, "v1/#", "v1/devices/job-1/replies"); got[0] < 0x80 || got[1] > 1 {
			t.Errorf("SUBACK %#x: a job may subscribe topics of its own device only", got)
		}
		r.publish(t, 2, 1, messagesTopic(pair.ID), mqttSend(t, string('k'+version), int64(version), "invoice", "content_type", "system"))
		if got := r.answered(t); got.closed || got.code != 0 {
			t.Fatalf("the system message: %+v", got)
		}
		if got := line.untilType(t, "msg"); string(got.Ciphertext) != "invoice" || got.ContentType != "system" || got.SenderID != "billing" {
			t.Errorf("Bob got %v", got)
		}
	}
	if got := job.publishOne(t, messagesTopic(pair.ID), mqttSend(t, "k", 9, "as a user")); got.code != 0x87 || got.reason != "missing_scope" {
		t.Errorf("a text of a job: %+v", got)
	}
	if _, err := jsonProtocol.connect(job, options{}); refusedWith(err) != http.StatusForbidden {
		t.Errorf("a job reading JSON frames: %v", err)
	}
}

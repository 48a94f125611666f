package e2e

import (
	"bytes"
	"io"
	"strings"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"
)

// atOnce sends packets in one write.
func (r *raw) atOnce(t testing.TB, packets ...io.WriterTo) {
	t.Helper()
	var all bytes.Buffer
	for _, p := range packets {
		if _, err := p.WriteTo(&all); err != nil {
			t.Fatal(err)
		}
	}
	r.bytes(t, all.Bytes())
}

func subscribeTo(id uint16, topics ...string) *v5.Subscribe {
	p := &v5.Subscribe{PacketID: id, Properties: &v5.Properties{}}
	for _, topic := range topics {
		p.Subscriptions = append(p.Subscriptions, v5.SubOptions{Topic: topic, QoS: 1})
	}
	return p
}

// pipelinings is how often each test tries to provoke a race.
const pipelinings = 100

// A client that subscribes its response topic and publishes without waiting for the SUBACK
// gets the reply.
func TestReplyBehindItsSubscribe(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "phone")
	const replies = "v1/devices/phone/replies"
	r := dialRaw(t, s, mqtt5)
	r.accepted(t, helloOf(ann))
	for i := range uint16(pipelinings) {
		r.atOnce(t, subscribeTo(3*i+1, replies), &v5.Publish{
			PacketID: 3*i + 2, QoS: 1, Topic: messagesTopic("00000000-0000-7000-8000-000000000000"), Payload: []byte("no json"),
			Properties: &v5.Properties{ResponseTopic: replies},
		})
		if d := r.deliver(t); d.topic != replies || !contains(d.payload, "invalid_request") {
			t.Fatalf("%d: got %s on %s, want the refusal", i, d.payload, d.topic)
		}
		r.atOnce(t, &v5.Unsubscribe{PacketID: 3*i + 3, Topics: []string{replies}, Properties: &v5.Properties{}})
	}
}

// When two SUBSCRIBEs come in one write, the frames of each come after its own SUBACK.
func TestFramesFollowTheirOwnSuback(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := ann.createGroup(t, bob.user)
	sendMany(t, ann, group.ID, 3)
	for range pipelinings {
		r := dialRaw(t, s, mqtt5)
		r.accepted(t, helloOf(bob))
		r.atOnce(t, subscribeTo(1, "v1/devices/b/frames"), subscribeTo(2, "v1/threads/+/frames", "v1/threads/"+group.ID+"/typing"))
		for acked := uint16(0); acked < 2; {
			switch p := r.read(t).(type) {
			case *v5.Suback:
				acked = p.PacketID
			case *v5.Publish:
				if acked == 0 || strings.HasPrefix(p.Topic, "v1/threads/") {
					t.Fatalf("a frame on %s after SUBACK %d", p.Topic, acked)
				}
			}
		}
		r.deliver(t)
		_ = r.Close()
	}
}

package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	v4 "github.com/eclipse/paho.mqtt.golang/packets"

	v5 "github.com/eclipse/paho.golang/packets"
)

// One SUBSCRIBE with good and bad filters gets a code for each, in order.
func TestSubscribeCodesComeInOrder(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	r := dialRaw(t, s, mqtt5)
	r.accepted(t, helloOf(ann))
	got := r.subscribe(t, 7, 0, "v1/devices/a/frames", "#", "v1/threads/+/frames", "v1/devices/zed/frames")
	if want := []byte{0, 0x87, 0, 0x87}; !bytes.Equal(got, want) {
		t.Errorf("SUBACK %#x, want %#x", got, want)
	}
}

// Refused filters are counted by their code of MQTT 5, those of 3.1.1 clients too.
func TestRefusedSubscriptionsAreCounted(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	for _, version := range []byte{mqtt5, mqtt311} {
		r := dialRaw(t, s, version)
		r.accepted(t, helloOf(ann))
		r.subscribe(t, 7, 1, "v1/threads/+/frames", "#", "v1/threads/"+noThread+"/frames", "$share/g/v1/threads/+/frames", "v1/threads/+/nothing")
	}
	for code, want := range map[string]float64{"0x87": 4, "0x9E": 2, "0x8F": 2} {
		if got := s.metric(t, `parley_mqtt_subscribes_refused_total{code="`+code+`"}`); got != want {
			t.Errorf("%v are counted with %s, want %v", got, code, want)
		}
	}
}

// A refused filter delivers nothing, even when its thread has a new message.
func TestRefusedSubscriptionDeliversNothing(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	foreign, shared := bob.createGroup(t), bob.createGroup(t, "ann")
	r := dialRaw(t, s, mqtt5)
	r.accepted(t, helloOf(ann))
	r.subscribe(t, 1, 1, "v1/threads/"+foreign.ID+"/frames", "#", "v1/threads/"+shared.ID+"/frames")
	bob.send(t, foreign.ID, "private")
	bob.send(t, shared.ID, "for Ann")
	for {
		d := r.deliver(t)
		if !strings.Contains(d.topic, shared.ID) {
			t.Fatalf("got %s on %s", d.payload, d.topic)
		}
		r.puback(t, d.id)
		if strings.Contains(string(d.payload), `"t":"msg"`) {
			return
		}
	}
}

func TestPublishWithQoS2IsRefused(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	for _, version := range []byte{mqtt311, mqtt5} {
		r := dialRaw(t, s, version)
		r.accepted(t, helloOf(ann))
		r.publish(t, 5, 2, "v1/devices/a/up", `{"t":"client_ack","frame_seq":1}`)
		want := byte(0x9B)
		if version == mqtt311 {
			want = 0 // a 3.1.1 server can only hang up
		}
		if got := r.ends(t); got != want {
			t.Errorf("version %d: the connection ended with %#x, want %#x", version, got, want)
		}
	}
}

func TestWillsAreRefused(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	for version, want := range map[byte]byte{mqtt311: 5, mqtt5: 0x87} {
		for _, w := range []will{{payload: "{}"}, {}, {payload: "x", qos: 1}, {payload: "x", qos: 2, retain: true}} {
			h := helloOf(ann)
			h.will = &w
			if got := dialRaw(t, s, version).connect(t, h).code; got != want {
				t.Errorf("version %d: the will %+v gets CONNACK %#x, want %#x", version, w, got, want)
			}
		}
	}
}

func TestWhatConnackTells(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	connect := func(h hello) *v5.Properties { return dialRaw(t, s, mqtt5).accepted(t, h).props }

	props := connect(helloOf(ann))
	if props.MaximumQOS == nil || *props.MaximumQOS != 1 {
		t.Errorf("Maximum QoS is %v, want 1", props.MaximumQOS)
	}
	if props.RetainAvailable == nil || *props.RetainAvailable != 0 {
		t.Errorf("Retain Available is %v, want 0", props.RetainAvailable)
	}
	for given, want := range map[uint16]uint16{0: 600, 601: 600, 65535: 600} {
		h := helloOf(ann)
		h.keepAlive = given
		if got := connect(h).ServerKeepAlive; got == nil || *got != want {
			t.Errorf("keep-alive %d: Server Keep Alive is %v, want %d", given, got, want)
		}
	}
	for _, given := range []uint16{30, 600} {
		h := helloOf(ann)
		h.keepAlive = given
		if got := connect(h).ServerKeepAlive; got != nil && *got != given {
			t.Errorf("keep-alive %d: Server Keep Alive is %d", given, *got)
		}
	}

	// A client without a client id is assigned the token's device, or "default".
	h := helloOf(ann)
	h.clientID = ""
	if got := connect(h).AssignedClientID; got != "a" {
		t.Errorf("Assigned Client Identifier is %q, want the token's device", got)
	}
	free := ann.withClaims(t, func(c claimSet) { delete(c, "device_id") })
	h = helloOf(free)
	h.clientID = ""
	if got := connect(h).AssignedClientID; got != "default" {
		t.Errorf("Assigned Client Identifier is %q, want default", got)
	}
}

// A client that subscribes with QoS 0 acknowledges on its device's up topic.
func TestClientAckOverMQTT(t *testing.T) {
	s := startServer(t)
	for _, version := range []byte{mqtt311, mqtt5} {
		for _, qos := range []byte{0, 1} {
			name := fmt.Sprintf("v%d-qos%d", version, qos)
			ann, bob := s.device(t, "ann-"+name, "a"), s.device(t, "bob-"+name, "b")
			group := ann.createGroup(t, bob.user)
			r := dialRaw(t, s, version)
			r.accepted(t, helloOf(bob))
			r.subscribe(t, 1, 0, "v1/threads/+/frames", "v1/devices/b/frames")
			sent := ann.send(t, group.ID, "hello")
			var got delivery
			for !strings.Contains(string(got.payload), sent.ID) || !strings.Contains(string(got.payload), `"t":"msg"`) {
				if got = r.deliver(t); got.qos != 0 {
					t.Fatalf("a QoS 0 subscription delivers with QoS %d", got.qos)
				}
			}
			if state := ann.stateOf(t, sent.ID, bob.user); state != "SENT" {
				t.Fatalf("%s: before client_ack the message is %s", name, state)
			}
			f, _ := newRecord().add(got.payload, got.topic, 0, nil)
			r.publish(t, uint16(qos)*3, qos, "v1/devices/b/up", fmt.Sprintf(`{"t":"client_ack","frame_seq":%d}`, f.FrameSeq))
			if qos == 1 {
				switch p := r.read(t).(type) {
				case *v5.Puback:
					if p.ReasonCode != 0 {
						t.Errorf("%s: PUBACK %#x", name, p.ReasonCode)
					}
				case *v4.PubackPacket:
				default:
					t.Errorf("%s: the client_ack is answered with %v", name, p)
				}
			}
			eventually(t, "delivery", func() bool { return ann.stateOf(t, sent.ID, bob.user) == "DELIVERED" })
		}
	}
}

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	v4 "github.com/eclipse/paho.mqtt.golang/packets"

	v5 "github.com/eclipse/paho.golang/packets"
)

// These cases follow the interoperability suites of MQTT. A packet that is malformed or out
// of place ends its connection, with the reason code that the standard of MQTT 5 names
// (3.1.1 has none). No other client notices.
func TestPacketsThatEndTheConnection(t *testing.T) {
	beforeTheStore(t)
	s := startServer(t)
	by := newBystander(t, s)
	d := s.device(t, "mallory", "m")
	const malformed, protocol = 0x81, 0x82
	for _, c := range []struct {
		what   string
		packet []byte // of MQTT 5
		old    []byte // of 3.1.1; nil: there is no such fault
		codes  []byte // any of them
	}{
		{"a second CONNECT", connectPacket(5), connectPacket(4), []byte{protocol}},
		{"CONNACK from a client", []byte{0x20, 3, 0, 0, 0}, []byte{0x20, 2, 0, 0}, []byte{protocol}},
		{"SUBACK from a client", []byte{0x90, 4, 0, 1, 0, 0}, []byte{0x90, 3, 0, 1, 0}, []byte{protocol}},
		{"PINGRESP from a client", []byte{0xD0, 0}, []byte{0xD0, 0}, []byte{protocol}},
		{"AUTH that was not agreed on", []byte{0xF0, 2, 0x18, 0}, []byte{0xF0, 0}, []byte{protocol}},
		{"packet type 0", []byte{0x00, 0}, []byte{0x00, 0}, []byte{malformed, protocol}},

		{"reserved bits of SUBSCRIBE", subscribePacket(5, 0x80, 1, "v1/#"), subscribePacket(4, 0x80, 1, "v1/#"), []byte{malformed}},
		{"reserved bits of UNSUBSCRIBE", unsubscribePacket(5, 0xA0, 1, "v1/#"), unsubscribePacket(4, 0xA0, 1, "v1/#"), []byte{malformed}},
		{"reserved bits of PINGREQ", []byte{0xC1, 0}, []byte{0xC1, 0}, []byte{malformed}},
		{"reserved bits of PUBACK", []byte{0x41, 2, 0, 1}, []byte{0x41, 2, 0, 1}, []byte{malformed}},
		{"reserved bits of DISCONNECT", []byte{0xE1, 0}, []byte{0xE1, 0}, []byte{malformed}},
		{"reserved bits of a subscription's options", withOptions(5, 0xC1), withOptions(4, 0x41), []byte{malformed, protocol}},
		{"retain handling 3", withOptions(5, 0x31), nil, []byte{protocol}},
		{"QoS 3 in a subscription", withOptions(5, 0x03), withOptions(4, 0x03), []byte{protocol}},
		{"QoS 3 in a PUBLISH", publishPacket(5, 0x36, "v1/devices/m/up", 1), publishPacket(4, 0x36, "v1/devices/m/up", 1), []byte{malformed}},

		{"SUBSCRIBE with packet id 0", subscribePacket(5, 0x82, 0, "v1/#"), subscribePacket(4, 0x82, 0, "v1/#"), []byte{malformed, protocol}},
		{"UNSUBSCRIBE with packet id 0", unsubscribePacket(5, 0xA2, 0, "v1/#"), unsubscribePacket(4, 0xA2, 0, "v1/#"), []byte{malformed, protocol}},
		{"PUBLISH with packet id 0", publishPacket(5, 0x32, "v1/devices/m/up", 0), publishPacket(4, 0x32, "v1/devices/m/up", 0), []byte{malformed, protocol}},
		{"SUBSCRIBE without a filter", []byte{0x82, 3, 0, 1, 0}, []byte{0x82, 2, 0, 1}, []byte{protocol}},
		{"UNSUBSCRIBE without a filter", []byte{0xA2, 3, 0, 1, 0}, []byte{0xA2, 2, 0, 1}, []byte{protocol}},

		{"bad UTF-8 in a filter", subscribePacket(5, 0x82, 1, "v1/\xff\xfe"), subscribePacket(4, 0x82, 1, "v1/\xff\xfe"), []byte{malformed}},
		{"a surrogate in a filter", subscribePacket(5, 0x82, 1, "v1/\xed\xa0\x80"), subscribePacket(4, 0x82, 1, "v1/\xed\xa0\x80"), []byte{malformed}},
		{"NUL in a filter", subscribePacket(5, 0x82, 1, "v1/\x00"), subscribePacket(4, 0x82, 1, "v1/\x00"), []byte{malformed}},
		{"bad UTF-8 in a topic", publishPacket(5, 0x30, "v1/\xff", 0), publishPacket(4, 0x30, "v1/\xff", 0), []byte{malformed}},
		{"an empty topic", publishPacket(5, 0x30, "", 0), publishPacket(4, 0x30, "", 0), []byte{protocol}},
		{"+ in a topic", publishPacket(5, 0x30, "v1/devices/+/up", 0), publishPacket(4, 0x30, "v1/devices/+/up", 0), []byte{malformed, 0x90}},
		{"# in a topic", publishPacket(5, 0x30, "v1/#", 0), publishPacket(4, 0x30, "v1/#", 0), []byte{malformed, 0x90}},

		{"a length of five bytes", []byte{0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}, []byte{0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}, []byte{malformed}},
		{"more than the maximum packet size", []byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}, []byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}, []byte{0x95}},
		{"an unknown property", publishWith("v1/devices/m/up", 0x7F, 0), nil, []byte{malformed, protocol}},
		{"a property twice", publishWith("v1/devices/m/up", 0x01, 1, 0x01, 1), nil, []byte{protocol}},
		{"a subscription identifier", subscribeWith("v1/#", 0x0B, 1), nil, []byte{0xA1}},
		{"a topic alias", publishWith("v1/devices/m/up", 0x23, 0, 1), nil, []byte{0x94, protocol}},
		{"a topic alias alone", publishWith("", 0x23, 0, 1), nil, []byte{0x94, protocol}},
		{"retain", publishPacket(5, 0x31, "v1/devices/m/up", 0), nil, []byte{0x9A}},
		{"QoS 2", publishPacket(5, 0x34, "v1/devices/m/up", 1), publishPacket(4, 0x34, "v1/devices/m/up", 1), []byte{0x9B}},
		{"an empty filter in SUBSCRIBE", subscribePacket(5, 0x82, 1, ""), subscribePacket(4, 0x82, 1, ""), []byte{malformed}},
		{"an empty filter in UNSUBSCRIBE", unsubscribePacket(5, 0xA2, 1, ""), unsubscribePacket(4, 0xA2, 1, ""), []byte{malformed}},
		{"PUBACK with packet id 0", pubackOf(0), pubackOf(0), []byte{protocol}},
		{"PUBACK with an unknown code", []byte{0x40, 3, 0, 1, 0xFF}, nil, []byte{protocol}},
		{"PUBACK with a code of PUBREC alone", []byte{0x40, 3, 0, 1, 0x92}, nil, []byte{protocol}},
		{"PUBACK with a code, in 3.1.1", nil, []byte{0x40, 3, 0, 1, 0}, nil},
		{"a property of PUBLISH in PUBACK", []byte{0x40, 6, 0, 1, 0, 2, 0x01, 1}, nil, []byte{malformed}},
		{"a property of PUBLISH in SUBSCRIBE", subscribeWith("v1/#", 0x01, 1), nil, []byte{malformed}},
		{"a property of SUBSCRIBE in UNSUBSCRIBE", packetOf(0xA2, idOf(1), properties(mqtt5, 0x0B, 1), textOf("v1/#")), nil, []byte{malformed}},
		{"a property of CONNECT in PUBLISH", publishWith("v1/devices/m/up", 0x21, 0, 1), nil, []byte{malformed}},
		{"a property of CONNACK in DISCONNECT", []byte{0xE0, 4, 0, 2, 0x24, 1}, nil, []byte{malformed}},
		{"a response topic with +", publishWith("v1/devices/m/up", 0x08, 0, 3, 'a', '/', '+'), nil, []byte{protocol}},
		{"a response topic with #", publishWith("v1/devices/m/up", 0x08, 0, 1, '#'), nil, []byte{protocol}},
		{"a remaining length in too many bytes", []byte{0xC0, 0x80, 0x00}, []byte{0xC0, 0x80, 0x00}, []byte{malformed}},
		{"a property length in too many bytes", packetOf(0x82, idOf(1), []byte{0x80, 0x00}, textOf("v1/#"), []byte{1}), nil, []byte{malformed}},
		{"PUBREL of nothing", []byte{0x62, 2, 0, 1}, []byte{0x62, 2, 0, 1}, []byte{protocol}},
	} {
		t.Run(c.what, func(t *testing.T) {
			if c.packet != nil {
				r := dialRaw(t, s, mqtt5)
				r.accepted(t, helloOf(d))
				r.bytes(t, c.packet)
				if code := r.ends(t); !slices.Contains(c.codes, code) {
					t.Errorf("MQTT 5: the connection ended with %#x, want one of %#x", code, c.codes)
				}
			}
			if c.old == nil {
				return
			}
			old := dialRaw(t, s, mqtt311)
			old.accepted(t, helloOf(d))
			old.bytes(t, c.old)
			if p, err := old.tryRead(); err == nil {
				t.Errorf("MQTT 3.1.1: the server says %v, want just the end", p)
			}
		})
	}
	by.unharmed(t)
}

// A CONNECT that is malformed, or of a level that the server does not know, is answered as
// its version has it: MQTT 5 with a CONNACK, 3.1.1 not at all unless for its level.
func TestMalformedConnects(t *testing.T) {
	beforeTheStore(t)
	s := startServer(t)
	connect := func(name string, version, flags byte, list ...byte) []byte {
		return packetOf(0x10, textOf(name), []byte{version, flags, 0, 60}, properties(version, list...), textOf("x"))
	}
	for _, c := range []struct {
		what   string
		packet []byte
		answer []byte // nil: none
	}{
		{"level 3 of MQTT", connect("MQTT", 3, 2), []byte{0x20, 2, 0, 1}},
		{"level 6", connect("MQTT", 6, 2), []byte{0x20, 2, 0, 1}},
		{"a bridge's level", connect("MQTT", 0x84, 2), []byte{0x20, 2, 0, 1}},
		{"MQTT 3.1", connect("MQIsdp", 3, 2), []byte{0x20, 2, 0, 1}},
		{"another protocol", connect("AMQP", 4, 2), nil},
		{"3.1.1: the reserved flag", connect("MQTT", 4, 3), nil},
		{"3.1.1: will QoS without a will", connect("MQTT", 4, 0x0A), nil},
		{"3.1.1: will retain without a will", connect("MQTT", 4, 0x22), nil},
		{"3.1.1: will QoS 3", connect("MQTT", 4, 0x1E), nil},
		{"3.1.1: a username that is missing", connect("MQTT", 4, 0x82), nil},
		{"5: the reserved flag", connect("MQTT", 5, 3), []byte{0x20, 3, 0, 0x81, 0}},
		{"5: will QoS without a will", connect("MQTT", 5, 0x0A), []byte{0x20, 3, 0, 0x81, 0}},
		{"5: will retain without a will", connect("MQTT", 5, 0x22), []byte{0x20, 3, 0, 0x81, 0}},
		{"5: a property of PUBLISH", connect("MQTT", 5, 2, 0x01, 1), []byte{0x20, 3, 0, 0x81, 0}},
		{"5: a property of CONNACK", connect("MQTT", 5, 2, 0x24, 1), []byte{0x20, 3, 0, 0x81, 0}},
		{"5: Request Problem Information 2", connect("MQTT", 5, 2, 0x17, 2), []byte{0x20, 3, 0, 0x82, 0}},
		{"5: Request Response Information 2", connect("MQTT", 5, 2, 0x19, 2), []byte{0x20, 3, 0, 0x82, 0}},
		{"5: a property twice", connect("MQTT", 5, 2, 0x17, 1, 0x17, 1), []byte{0x20, 3, 0, 0x82, 0}},
	} {
		r := dialRaw(t, s, mqtt5)
		r.bytes(t, c.packet)
		if err := r.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r.Conn); err != nil || !bytes.Equal(got, c.answer) {
			t.Errorf("%s: answered with % x (%v), want % x", c.what, got, err, c.answer)
		}
	}
}

// An unknown payload format is refused, and the connection goes on.
func TestUnknownPayloadFormat(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	group := ann.createGroup(t)
	r := dialRaw(t, s, mqtt5)
	r.accepted(t, helloOf(ann))
	for format, want := range []published{{id: 1}, {id: 1}, {id: 1, code: 0x99, reason: "invalid_request"}} {
		f, payload := byte(format), mqttSend(t, fmt.Sprint("k", format), int64(format), "x")
		r.send5(t, &v5.Publish{PacketID: 1, QoS: 1, Topic: messagesTopic(group.ID), Payload: []byte(payload), Properties: &v5.Properties{PayloadFormat: &f}})
		if got := r.answered(t); got != want {
			t.Errorf("payload format %d: answered with %+v, want %+v", format, got, want)
		}
	}
	r.bytes(t, publishWith("v1/devices/a/up", 0x01, 2)) // with QoS 0 it is ignored
	r.ping(t)
	if got := ann.texts(t, group.ID); len(got) != 2 {
		t.Errorf("stored: %v", got)
	}
}

// A client of 3.1.1 cannot be told another keep-alive, so it has its own: none, or a long
// one. MQTT 5 is told.
func TestKeepAliveOfEachVersion(t *testing.T) {
	beforeTheStore(t)
	s := startServer(t)
	d := s.device(t, "ann", "a")
	for _, seconds := range []uint16{0, 601, 65535} {
		h := helloOf(d)
		h.keepAlive = seconds
		now := dialRaw(t, s, mqtt5)
		if got := now.accepted(t, h).props.ServerKeepAlive; got == nil || *got != 600 {
			t.Errorf("keep-alive %d: MQTT 5 is told %v, want 600", seconds, got)
		}
		old := dialRaw(t, s, mqtt311)
		old.accepted(t, h)
		old.ping(t)
	}
	h := helloOf(d)
	h.keepAlive = 1
	old := dialRaw(t, s, mqtt311)
	old.accepted(t, h)
	began := time.Now()
	if old.ends(t); time.Since(began) < 1400*time.Millisecond { // before its keep-alive and a half
		t.Errorf("a client with a keep-alive of 1 s was cut after %v", time.Since(began))
	}
}

// A first packet that is not a valid CONNECT ends the connection.
func TestWhatIsNoConnect(t *testing.T) {
	s := startServer(t)
	flags := func(b byte) []byte {
		p := connectPacket(4)
		p[9] = b
		return p
	}
	for what, packet := range map[string][]byte{
		"SUBSCRIBE first":          subscribePacket(4, 0x82, 1, "v1/#"),
		"PUBLISH first":            publishPacket(4, 0x30, "v1/devices/m/up", 0),
		"PINGREQ first":            {0xC0, 0},
		"DISCONNECT first":         {0xE0, 0},
		"PUBACK first":             {0x40, 2, 0, 1},
		"reserved bits of CONNECT": append([]byte{0x11}, connectPacket(4)[1:]...),
		"the reserved flag":        flags(0x03),
		"will QoS 3":               flags(0x1E),
		"will QoS without a will":  flags(0x0A),
		"will retain without one":  flags(0x22),
	} {
		r := dialRaw(t, s, mqtt311)
		r.bytes(t, packet)
		for {
			p, err := r.tryRead()
			if err != nil {
				break
			}
			if ack, ok := p.(*v4.ConnackPacket); !ok || ack.ReturnCode == 0 {
				t.Errorf("%s: the server says %v", what, p)
			}
		}
	}
}

// Packets that a client may send and the server has no use for do no harm.
func TestHarmlessPackets(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := ann.createGroup(t, bob.user)
	h := helloOf(bob)
	h.userProperties = true
	r := dialRaw(t, s, mqtt5)
	r.accepted(t, h)
	user := []byte{0x26, 0, 1, 'k', 0, 1, 'v'} // a user property
	r.bytes(t, subscribeWith("v1/threads/+/frames", user...))
	r.bytes(t, publishWith("v1/devices/b/up", append(user, 0x01, 1, 0x03, 0, 1, 'x', 0x02, 0, 0, 0, 9)...))
	r.bytes(t, []byte{0x40, 2, 0x77, 0x77})           // PUBACK of what is not in flight
	r.bytes(t, []byte{0x40, 3, 0x77, 0x77, 0x80})     // one that refuses it
	r.bytes(t, unsubscribePacket(5, 0xA2, 9, "v1/#")) // never subscribed
	r.ping(t)
	sent := ann.send(t, group.ID, "x")
	for d := r.deliver(t); !contains(d.payload, sent.ID); d = r.deliver(t) {
		r.puback(t, d.id)
	}
	// A publish with retain of 3.1.1, which cannot be told that there is none.
	old := dialRaw(t, s, mqtt311)
	old.accepted(t, helloOf(ann))
	old.bytes(t, publishPacket(4, 0x33, "v1/devices/a/up", 7))
	if got := old.answered(t); got.closed || got.id != 7 {
		t.Errorf("a retained publish in 3.1.1 is answered with %+v", got)
	}
}

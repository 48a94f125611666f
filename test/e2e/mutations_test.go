package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"
)

// mutations is how many are tried for each version of MQTT.
const mutations = 200

// A packet that is nearly valid finds more faults than a random one. Each mutation spoils
// one packet of those that a client sends, on a connection of its own. No mutation may harm
// the server or another client.
func TestMutatedPackets(t *testing.T) {
	n := seed(t)
	s := startServer(t)
	by := newBystander(t, s)
	mallory := s.device(t, "mallory", "m")
	thread := mallory.createGroup(t).ID
	for _, version := range []byte{mqtt311, mqtt5} {
		packets := packetsOf(t, mallory, version, thread)
		accepted := 0
		for i := range mutations {
			random := rand.New(rand.NewPCG(n, uint64(version)<<32|uint64(i)))
			what, stream := mutate(random, packets)
			connected, err := sendMutation(s, stream)
			if err != nil {
				t.Fatalf("version %d, mutation %d (%s): %v\n%x", version, i, what, err, stream)
			}
			if connected {
				accepted++
			}
			if i%20 == 0 {
				by.unharmed(t)
			}
		}
		by.unharmed(t)
		t.Logf("version %d: %d mutations, %d of them on accepted connections", version, mutations, accepted)
	}
	if by.line.over() {
		t.Error("the bystander's connection ended")
	}
	if panics := s.metric(t, "parley_mqtt_panics_total"); panics != 0 {
		t.Errorf("%.0f connections panicked", panics)
	}
	// The device that sent all this can still connect.
	r := dialRaw(t, s, mqtt5)
	r.accepted(t, helloOf(mallory))
	r.ping(t)
}

// packetsOf are valid packets of each kind that a client sends, CONNECT first.
func packetsOf(t *testing.T, d *device, version byte, thread string) [][]byte {
	t.Helper()
	kept := &sink{}
	r := &raw{Conn: kept, version: version}
	h := helloOf(d)
	h.receiveMax, h.lastSeen, h.keep = 20, longAgo, true
	r.sendConnect(t, h)
	r.sendSubscribe(t, 1, 1, "v1/threads/+/frames", "v1/devices/"+d.id+"/frames", "v1/threads/"+thread+"/#")
	r.publish(t, 2, 1, "v1/devices/"+d.id+"/up", `{"t":"client_ack","frame_seq":1}`)
	r.publish(t, 0, 0, "v1/threads/"+thread+"/typing", "")
	r.publish(t, 3, 1, "v1/threads/"+thread+"/messages", `{"client_seq":1,"ciphertext":"eA==","idempotency_key":"k"}`)
	r.puback(t, 1)
	if version == mqtt5 {
		alias, expiry, reason := uint16(1), uint32(9), "so"
		r.send5(t, &v5.Publish{
			PacketID: 4, QoS: 1, Topic: "v1/devices/" + d.id + "/up", Payload: []byte("{}"),
			Properties: &v5.Properties{
				TopicAlias: &alias, MessageExpiry: &expiry, CorrelationData: []byte("key"), ResponseTopic: "v1/devices/" + d.id + "/replies",
				User: []v5.User{{Key: "a", Value: "b"}},
			},
		})
		r.send5(t, &v5.Puback{PacketID: 2, ReasonCode: 0x80, Properties: &v5.Properties{ReasonString: reason}})
	}
	r.bytes(t, unsubscribeOf(version, 5, "v1/threads/+/frames"))
	r.bytes(t, []byte{v5.PINGREQ << 4, 0})
	if version == mqtt5 {
		expiry := uint32(60)
		r.send5(t, &v5.Disconnect{ReasonCode: 4, Properties: &v5.Properties{SessionExpiryInterval: &expiry}})
	} else {
		r.bytes(t, []byte{v5.DISCONNECT << 4, 0})
	}
	return kept.packets
}

func unsubscribeOf(version byte, id uint16, filter string) []byte {
	body := []byte{byte(id >> 8), byte(id)}
	if version == mqtt5 {
		body = append(body, 0)
	}
	body = append(append(body, byte(len(filter)>>8), byte(len(filter))), filter...)
	return append([]byte{v5.UNSUBSCRIBE<<4 | 2, byte(len(body))}, body...)
}

// sink is a connection that keeps what is written, packet by packet.
type sink struct {
	net.Conn // none
	packets  [][]byte
}

func (s *sink) Write(p []byte) (int, error) {
	s.packets = append(s.packets, bytes.Clone(p))
	return len(p), nil
}

// mutate spoils one of the packets and returns the bytes to send: the spoilt packet, behind
// a valid CONNECT unless it is the CONNECT itself. Half of the times it is.
func mutate(random *rand.Rand, packets [][]byte) (what string, stream []byte) {
	victim := 0
	if random.IntN(2) == 0 {
		victim = 1 + random.IntN(len(packets)-1)
	}
	whole := packets[victim]
	at := random.IntN(len(whole))
	b := bytes.Clone(whole)
	switch random.IntN(7) {
	case 0:
		for range 1 + random.IntN(4) {
			b[random.IntN(len(b))] ^= 1 << random.IntN(8)
		}
		what = "bits flipped"
	case 1:
		b = b[:at]
		what = fmt.Sprint("cut to ", at)
	case 2:
		b[1] = byte(random.IntN(256))
		what = fmt.Sprintf("length %#x", b[1])
	case 3:
		b = slices.Concat(b[:1], []byte{0x80 | b[1]&0x7F, byte(random.IntN(256)), byte(random.IntN(256))}, b[2:])
		what = "a longer length"
	case 4:
		to := at + random.IntN(len(whole)-at) + 1
		b = slices.Concat(b[:to], whole[at:])
		what = fmt.Sprintf("%d to %d twice", at, to)
	case 5:
		other := packets[random.IntN(len(packets))]
		b = append(b[:at], other[random.IntN(len(other)):]...)
		what = fmt.Sprintf("%d bytes, then another packet's end", at)
	case 6:
		b[at] = []byte{0, 1, 0x7F, 0x80, 0xFF}[random.IntN(5)]
		what = fmt.Sprintf("byte %d is %#x", at, b[at])
	}
	stream = b
	if victim > 0 {
		stream = append(bytes.Clone(packets[0]), b...)
	}
	return fmt.Sprintf("packet %d (type %d): %s", victim, whole[0]>>4, what), stream
}

// sendMutation writes the bytes, a PINGREQ and the end of the stream, and reads until the
// server closes the connection, as it has to. connected says whether the first answer was a
// CONNACK of success. A connection that the server resets is no error.
func sendMutation(s *server, stream []byte) (connected bool, err error) {
	conn, err := net.DialTimeout("tcp", s.tcp, patience)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(append(stream, v5.PINGREQ<<4, 0)); err == nil {
		_ = conn.(*net.TCPConn).CloseWrite()
	}
	got, err := io.ReadAll(conn)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return false, errors.New("the server has not closed the connection")
	}
	return len(got) > 3 && got[0] == v5.CONNACK<<4 && got[3] == 0, nil
}

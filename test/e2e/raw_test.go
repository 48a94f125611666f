package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	v4 "github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/coder/websocket"
	v5 "github.com/eclipse/paho.golang/packets"
)

// raw is an MQTT connection without a client library: the test decides on every packet and
// may write any byte.
type raw struct {
	net.Conn
	version byte    // 4 is MQTT 3.1.1, 5 is MQTT 5
	seen    *record // every frame that has come
}

// MQTT's names for the versions.
const (
	mqtt311 = 4
	mqtt5   = 5
)

func dialRaw(t testing.TB, s *server, version byte) *raw {
	t.Helper()
	conn, err := net.DialTimeout("tcp", s.tcp, patience)
	if err != nil {
		t.Fatal(err)
	}
	return rawOn(t, conn, version)
}

func dialRawWS(t testing.TB, s *server, version byte, query string) *raw {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+s.http+"/v1/realtime"+query, &websocket.DialOptions{Subprotocols: []string{"mqtt"}})
	if err != nil {
		t.Fatal(err)
	}
	return rawOn(t, websocket.NetConn(context.Background(), conn, websocket.MessageBinary), version)
}

func rawOn(t testing.TB, conn net.Conn, version byte) *raw {
	t.Helper()
	r := &raw{conn, version, newRecord()}
	t.Cleanup(func() {
		conn.Close()
		r.seen.checkContract(t)
	})
	return r
}

// hello is a CONNECT; the zero value of a field leaves it out.
type hello struct {
	clientID, user, password string
	keepAlive                uint16
	receiveMax               uint16
	maxPacket                uint32 // MQTT 5
	expiry                   uint32 // MQTT 5: the session expiry; keep sets another one
	lastSeen                 string
	keep                     bool // no clean start, and the session outlives the connection
	resume                   bool // no clean start
	will                     *will
	noProblems               bool // MQTT 5: no problem information is wanted
	userProperties           bool // with user properties that mean nothing to the server
}

// will is the will message of a CONNECT.
type will struct {
	payload string
	qos     byte
	retain  bool
}

// helloOf is the CONNECT of an ordinary device.
func helloOf(d *device) hello {
	return hello{clientID: d.id, user: d.user, password: d.token, keepAlive: 60}
}

func (r *raw) send(t testing.TB, p interface {
	WriteTo(io.Writer) (int64, error)
},
) {
	t.Helper()
	var b bytes.Buffer // one write per packet, whatever the codec does
	if _, err := p.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	r.bytes(t, b.Bytes())
}

func (r *raw) send4(t testing.TB, p v4.ControlPacket) {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	r.bytes(t, b.Bytes())
}

func (r *raw) bytes(t testing.TB, b []byte) {
	t.Helper()
	if _, err := r.Write(b); err != nil {
		t.Fatalf("writing: %v", err)
	}
}

// connack is the answer to a CONNECT, of either version.
type connack struct {
	code           byte
	sessionPresent bool
	props          *v5.Properties // MQTT 5
}

// connect sends the CONNECT and reads the CONNACK.
func (r *raw) connect(t testing.TB, h hello) connack {
	t.Helper()
	r.sendConnect(t, h)
	switch p := r.read(t).(type) {
	case *v5.Connack:
		return connack{p.ReasonCode, p.SessionPresent, p.Properties}
	case *v4.ConnackPacket:
		return connack{p.ReturnCode, p.SessionPresent, nil}
	default:
		t.Fatalf("the answer to CONNECT is %v", p)
		return connack{}
	}
}

func (r *raw) sendConnect(t testing.TB, h hello) {
	t.Helper()
	if r.version == mqtt311 {
		p := v4.NewControlPacket(v4.Connect).(*v4.ConnectPacket)
		p.ProtocolName, p.ProtocolVersion, p.ClientIdentifier = "MQTT", 4, h.clientID
		p.CleanSession, p.Keepalive = !h.keep && !h.resume, h.keepAlive
		p.UsernameFlag, p.Username = true, h.user
		p.PasswordFlag, p.Password = h.password != "", []byte(h.password)
		if w := h.will; w != nil {
			p.WillFlag, p.WillTopic, p.WillMessage = true, "v1/devices/"+h.clientID+"/up", []byte(w.payload)
			p.WillQos, p.WillRetain = w.qos, w.retain
		}
		r.send4(t, p)
		return
	}
	p := &v5.Connect{
		ProtocolName: "MQTT", ProtocolVersion: 5, ClientID: h.clientID, KeepAlive: h.keepAlive, CleanStart: !h.keep && !h.resume,
		UsernameFlag: h.user != "", Username: h.user, PasswordFlag: h.password != "", Password: []byte(h.password),
		Properties: &v5.Properties{},
	}
	if h.receiveMax > 0 {
		p.Properties.ReceiveMaximum = &h.receiveMax
	}
	if h.lastSeen != "" {
		p.Properties.User = append(p.Properties.User, v5.User{Key: "last_seen_id", Value: h.lastSeen})
	}
	if h.maxPacket > 0 {
		p.Properties.MaximumPacketSize = &h.maxPacket
	}
	if h.keep {
		h.expiry = 300
	}
	if h.expiry > 0 {
		p.Properties.SessionExpiryInterval = &h.expiry
	}
	if h.noProblems {
		p.Properties.RequestProblemInfo = new(byte)
	}
	if h.userProperties {
		p.Properties.User = append(p.Properties.User, v5.User{Key: "", Value: "empty"}, v5.User{Key: "k", Value: "1"}, v5.User{Key: "k", Value: "2"})
	}
	if w := h.will; w != nil {
		p.WillFlag, p.WillTopic, p.WillMessage, p.WillProperties = true, "v1/devices/"+h.clientID+"/up", []byte(w.payload), &v5.Properties{}
		p.WillQOS, p.WillRetain = w.qos, w.retain
	}
	r.send(t, p)
}

// accepted connects a device, which has to be accepted.
func (r *raw) accepted(t testing.TB, h hello) connack {
	t.Helper()
	ack := r.connect(t, h)
	if ack.code != 0 {
		t.Fatalf("CONNACK %#x, want success", ack.code)
	}
	return ack
}

func (r *raw) sendSubscribe(t testing.TB, id uint16, qos byte, filters ...string) {
	t.Helper()
	if r.version == mqtt311 {
		p := v4.NewControlPacket(v4.Subscribe).(*v4.SubscribePacket)
		p.MessageID, p.Topics = id, filters
		for range filters {
			p.Qoss = append(p.Qoss, qos)
		}
		r.send4(t, p)
		return
	}
	p := &v5.Subscribe{PacketID: id, Properties: &v5.Properties{}}
	for _, f := range filters {
		p.Subscriptions = append(p.Subscriptions, v5.SubOptions{Topic: f, QoS: qos})
	}
	r.send5(t, p)
}

// send5 sends a packet of the MQTT 5 codec.
func (r *raw) send5(t testing.TB, p v5.Packet) {
	t.Helper()
	r.send(t, p)
}

// subscribe sends a SUBSCRIBE and returns the codes of its SUBACK. Deliveries that come
// before it are passed over.
func (r *raw) subscribe(t testing.TB, id uint16, qos byte, filters ...string) []byte {
	t.Helper()
	r.sendSubscribe(t, id, qos, filters...)
	for {
		switch p := r.read(t).(type) {
		case *v5.Suback:
			if p.PacketID == id {
				return p.Reasons
			}
		case *v4.SubackPacket:
			if p.MessageID == id {
				return p.ReturnCodes
			}
		case *v5.Disconnect:
			t.Fatalf("DISCONNECT %#x instead of SUBACK", p.ReasonCode)
		}
	}
}

func (r *raw) publish(t testing.TB, id uint16, qos byte, topic, payload string) {
	t.Helper()
	if r.version == mqtt311 {
		p := v4.NewControlPacket(v4.Publish).(*v4.PublishPacket)
		p.MessageID, p.Qos, p.TopicName, p.Payload = id, qos, topic, []byte(payload)
		r.send4(t, p)
		return
	}
	r.send5(t, &v5.Publish{PacketID: id, QoS: qos, Topic: topic, Payload: []byte(payload), Properties: &v5.Properties{}})
}

func (r *raw) puback(t testing.TB, id uint16) {
	t.Helper()
	r.bytes(t, pubackOf(id))
}

// pubackOf is a PUBACK of success, which has the same four bytes in both versions.
func pubackOf(id uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{v5.PUBACK << 4, 2}, id)
}

// ping checks that the connection is open and that the server has handled all packets
// before.
func (r *raw) ping(t testing.TB) {
	t.Helper()
	r.bytes(t, []byte{v5.PINGREQ << 4, 0})
	for {
		switch r.read(t).(type) {
		case *v5.Pingresp, *v4.PingrespPacket:
			return
		}
	}
}

// read is the next packet, in the codec of the version.
func (r *raw) read(t testing.TB) any {
	t.Helper()
	p, err := r.tryRead()
	if err != nil {
		t.Fatalf("reading a packet: %v", err)
	}
	return p
}

func (r *raw) tryRead() (any, error) {
	if err := r.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if r.version == mqtt311 {
		p, err := v4.ReadPacket(r)
		if publish, ok := p.(*v4.PublishPacket); ok && err == nil {
			r.see(publish.TopicName, "", publish.Qos, publish.Payload)
		}
		return p, err
	}
	p, err := v5.ReadPacket(r)
	if err != nil {
		return nil, err
	}
	if publish, ok := p.Content.(*v5.Publish); ok {
		r.see(publish.Topic, publish.Properties.ContentType, publish.QoS, publish.Payload)
	}
	return p.Content, nil
}

// see checks a PUBLISH of the server against asyncapi.yaml.
func (r *raw) see(topic, contentType string, qos byte, payload []byte) {
	if !isReply(topic) {
		r.seen.add(payload, topic, qos, func(frame) {})
		return
	}
	if r.version == mqtt311 { // which has no content type
		contentType = "application/json"
		if contains(payload, `"type":"/problems/`) {
			contentType = "application/problem+json"
		}
	}
	if err := checkReply(topic, contentType, qos, payload); err != nil {
		r.seen.mu.Lock()
		defer r.seen.mu.Unlock()
		r.seen.violate("%v\n%s", err, payload)
	}
}

// delivery is one PUBLISH from the server.
type delivery struct {
	id      uint16
	qos     byte
	topic   string
	payload []byte
}

// deliver is the next PUBLISH; other packets are passed over.
func (r *raw) deliver(t testing.TB) delivery {
	t.Helper()
	d, err := r.tryDeliver()
	if err != nil {
		t.Fatalf("waiting for a delivery: %v", err)
	}
	return d
}

func (r *raw) tryDeliver() (delivery, error) {
	for {
		p, err := r.tryRead()
		if err != nil {
			return delivery{}, err
		}
		switch p := p.(type) {
		case *v5.Publish:
			return delivery{p.PacketID, p.QoS, p.Topic, p.Payload}, nil
		case *v4.PublishPacket:
			return delivery{p.MessageID, p.Qos, p.TopicName, p.Payload}, nil
		case *v5.Disconnect:
			return delivery{}, refusal{int(p.ReasonCode)}
		}
	}
}

// ends reads until the connection ends. code is that of the server's DISCONNECT, or 0 if
// none came.
func (r *raw) ends(t testing.TB) (code byte) {
	t.Helper()
	for {
		p, err := r.tryRead()
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Fatal("the connection is still open")
			}
			return code
		}
		if d, ok := p.(*v5.Disconnect); ok {
			code = d.ReasonCode
		}
	}
}

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// client is one live connection of a device.
type client struct {
	*record
	close func() // ends the connection as the protocol asks
	drop  func() // closes the socket, and sends nothing before
	renew func(token string) error
}

// options of one connection.
type options struct {
	manual     bool   // the test acknowledges, frame by frame
	lastSeen   string // resume position
	receiveMax uint16 // MQTT 5
	keep       bool   // MQTT: no clean start, and the session is kept
	filters    []string
}

// protocol is one way to connect.
type protocol struct {
	name    string
	connect func(d *device, o options) (*client, error)
}

// protocols are all ways to connect, each with the library that a client would use.
var protocols = []protocol{jsonProtocol, mqtt5WS, mqtt5TCP, mqtt311WS, mqtt311TCP}

var (
	jsonProtocol = protocol{"JSON", connectJSON}
	mqtt5WS      = protocol{"MQTT5-ws", func(d *device, o options) (*client, error) { return connectMQTT5(d, o, dialWS) }}
	mqtt5TCP     = protocol{"MQTT5-tcp", func(d *device, o options) (*client, error) { return connectMQTT5(d, o, dialTCP) }}
	mqtt311WS    = protocol{"MQTT311-ws", func(d *device, o options) (*client, error) { return connectMQTT311(d, o, dialWS) }}
	mqtt311TCP   = protocol{"MQTT311-tcp", func(d *device, o options) (*client, error) { return connectMQTT311(d, o, dialTCP) }}
)

// open connects a device. At the end of the test it checks that all frames of the
// connection were as the contract says.
func (p protocol) open(t testing.TB, d *device, o options) *client {
	t.Helper()
	c, err := p.connect(d, o)
	if err != nil {
		t.Fatalf("%s/%s connecting by %s: %v", d.user, d.id, p.name, err)
	}
	t.Cleanup(func() {
		c.close()
		c.checkContract(t)
	})
	return c
}

// live is a connection that has caught up.
func (p protocol) live(t testing.TB, d *device, o options) *client {
	t.Helper()
	c := p.open(t, d, o)
	c.untilType(t, "caught_up")
	return c
}

func (r *record) checkContract(t testing.TB) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range r.violations {
		t.Error(v)
	}
}

// refusal is a connection that the server did not accept.
type refusal struct{ code int }

func (r refusal) Error() string { return fmt.Sprintf("refused with %d (%#x)", r.code, r.code) }

// refusedWith is the code of a refused connection, or -1.
func refusedWith(err error) int {
	var r refusal
	if errors.As(err, &r) {
		return r.code
	}
	return -1
}

func (d *device) realtimeURL(scheme, lastSeen string) string {
	u := d.srv.url(scheme) + "/v1/realtime"
	if lastSeen != "" {
		u += "?last_seen_id=" + url.QueryEscape(lastSeen)
	}
	return u
}

func connectJSON(d *device, o options) (*client, error) {
	header := http.Header{"Authorization": {"Bearer " + d.token}}
	return connectJSONWith(d, o, d.realtimeURL("ws", o.lastSeen), header, nil)
}

func connectJSONWith(_ *device, o options, target string, header http.Header, subprotocols []string) (*client, error) {
	dialing, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, resp, err := websocket.Dial(dialing, target, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: header, Subprotocols: subprotocols,
	})
	if err != nil {
		if resp != nil {
			return nil, refusal{resp.StatusCode}
		}
		return nil, err
	}
	conn.SetReadLimit(1 << 20)
	r := newRecord()
	go readJSON(conn, r, o)
	return &client{
		record: r,
		close:  func() { _ = conn.Close(websocket.StatusNormalClosure, ""); r.finish(0) },
		drop:   func() { r.finish(0); _ = conn.CloseNow() },
		renew: func(token string) error {
			return wsjson.Write(context.Background(), conn, map[string]any{"t": "auth", "token": token})
		},
	}, nil
}

// readJSON is a well-behaved JSON client: it answers pings and acknowledges.
func readJSON(conn *websocket.Conn, r *record, o options) {
	ctx := context.Background()
	ack := func(f frame) {
		_ = wsjson.Write(ctx, conn, map[string]any{"t": "client_ack", "frame_seq": f.FrameSeq})
	}
	for {
		_, raw, err := conn.Read(ctx)
		if err != nil {
			r.finish(max(0, int(websocket.CloseStatus(err))))
			return
		}
		f, kept := r.add(raw, "", 0, ack)
		switch {
		case !kept:
		case f.T == "ping":
			_ = wsjson.Write(ctx, conn, map[string]any{"t": "pong"})
		case f.durable() && !o.manual:
			f.ack()
		}
	}
}

type dialer func(d *device, lastSeen string) (net.Conn, error)

func dialTCP(d *device, _ string) (net.Conn, error) {
	return net.DialTimeout("tcp", d.srv.tcp, patience)
}

func dialWS(d *device, lastSeen string) (net.Conn, error) {
	conn, err := mqtt.NewWebsocket(d.realtimeURL("ws", lastSeen), clientTLS(), patience, nil, nil)
	if err != nil {
		return nil, err
	}
	return packets.NewThreadSafeConn(conn), nil
}

// topics are what a chat client subscribes to: its threads, and its own device.
func (o options) topics(d *device) []string {
	if o.filters != nil {
		return o.filters
	}
	return []string{"v1/threads/+/frames", "v1/devices/" + d.id + "/frames"}
}

func connectMQTT5(d *device, o options, dial dialer) (*client, error) {
	conn, err := dial(d, "")
	if err != nil {
		return nil, err
	}
	r := newRecord()
	r.subscribed = 1
	cli := paho.NewClient(paho.ClientConfig{
		Conn:                       conn,
		EnableManualAcknowledgment: true,
		SendAcksInterval:           2 * time.Millisecond,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			f, kept := r.add(p.Packet.Payload, p.Packet.Topic, p.Packet.QoS, func(frame) { _ = p.Client.Ack(p.Packet) })
			if kept && !o.manual {
				f.ack()
			}
			return true, nil
		}},
		OnServerDisconnect: func(dis *paho.Disconnect) { r.finish(int(dis.ReasonCode)) },
		OnClientError:      func(error) { r.finish(0) },
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	props := &paho.ConnectProperties{RequestProblemInfo: true}
	if o.receiveMax > 0 {
		props.ReceiveMaximum = &o.receiveMax
	}
	if o.lastSeen != "" {
		props.User.Add("last_seen_id", o.lastSeen)
	}
	if o.keep {
		expiry := uint32(300)
		props.SessionExpiryInterval = &expiry
	}
	ack, err := cli.Connect(ctx, &paho.Connect{
		ClientID: d.id, KeepAlive: 60, CleanStart: !o.keep, Properties: props,
		UsernameFlag: true, Username: d.user, PasswordFlag: true, Password: []byte(d.token),
	})
	if err != nil {
		if ack != nil {
			return nil, refusal{int(ack.ReasonCode)}
		}
		return nil, err
	}
	subscribe := &paho.Subscribe{}
	for _, topic := range o.topics(d) {
		subscribe.Subscriptions = append(subscribe.Subscriptions, paho.SubscribeOptions{Topic: topic, QoS: 1})
	}
	if _, err := cli.Subscribe(ctx, subscribe); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("subscribing: %w", err)
	}
	return &client{
		record: r,
		close:  func() { _ = cli.Disconnect(&paho.Disconnect{}); r.finish(0) },
		drop:   func() { r.finish(0); _ = conn.Close() },
		renew: func(token string) error {
			_, err := cli.Publish(context.Background(), &paho.Publish{QoS: 1, Topic: "v1/devices/" + d.id + "/auth", Payload: []byte(token)})
			return err
		},
	}, nil
}

func connectMQTT311(d *device, o options, dial dialer) (*client, error) {
	r := newRecord()
	r.subscribed = 1
	var mu sync.Mutex
	var line net.Conn
	opts := mqtt.NewClientOptions().AddBroker("tcp://" + d.srv.tcp).SetProtocolVersion(4).
		SetClientID(d.id).SetUsername(d.user).SetPassword(d.token).SetCleanSession(!o.keep).
		SetAutoReconnect(false).SetConnectRetry(false).SetConnectTimeout(patience).SetWriteTimeout(patience).
		SetKeepAlive(time.Minute).SetOrderMatters(true).SetAutoAckDisabled(true)
	opts.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
		conn, err := dial(d, o.lastSeen)
		mu.Lock()
		line = conn
		mu.Unlock()
		return conn, err
	})
	opts.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		f, kept := r.add(m.Payload(), m.Topic(), m.Qos(), func(frame) { m.Ack() })
		if kept && !o.manual {
			f.ack()
		}
	})
	opts.SetConnectionLostHandler(func(mqtt.Client, error) { r.finish(0) })
	cli := mqtt.NewClient(opts)
	token := cli.Connect()
	if !token.WaitTimeout(patience) {
		return nil, errors.New("no CONNACK")
	}
	if err := token.Error(); err != nil {
		if connect, ok := token.(*mqtt.ConnectToken); ok && connect.ReturnCode() != 0 && connect.ReturnCode() < 6 {
			return nil, refusal{int(connect.ReturnCode())}
		}
		return nil, err
	}
	filters := map[string]byte{}
	for _, topic := range o.topics(d) {
		filters[topic] = 1
	}
	if sub := cli.SubscribeMultiple(filters, nil); !sub.WaitTimeout(patience) || sub.Error() != nil {
		cli.Disconnect(0)
		return nil, fmt.Errorf("subscribing: %w", sub.Error())
	}
	return &client{
		record: r,
		// Disconnect returns when it is done, or when its time is up.
		close: func() { cli.Disconnect(uint(patience.Milliseconds())); r.finish(0) },
		drop: func() {
			mu.Lock()
			defer mu.Unlock()
			r.finish(0)
			_ = line.Close()
		},
		renew: func(token string) error {
			sent := cli.Publish("v1/devices/"+d.id+"/auth", 1, false, token)
			if !sent.WaitTimeout(patience) {
				return errors.New("no PUBACK")
			}
			return sent.Error()
		},
	}, nil
}

// Package mqtt is the client's transport of MQTT 5 (docs/contract.md#mqtt), over TCP, TLS or a
// WebSocket. It is a package of its own so that who speaks JSON needs no MQTT library.
package mqtt

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/parleyhq/parley/client"
	"github.com/parleyhq/parley/client/internal/websocket"
	"github.com/parleyhq/parley/contracts"
)

// Transport connects with MQTT 5.
//
// It uses paho, not autopaho: when to connect again, and what to send again, is decided by the
// Client, the same for both protocols.
type Transport struct {
	// Address is that of the MQTT listener, as mqtt://host:1883 or mqtts://host:8883. With ""
	// MQTT goes over a WebSocket to the URL of the Client.
	Address string
}

const (
	keepAlive = 50 // seconds
	// silence is when a WebSocket counts as dead: the server pings every 30 s.
	silence = 75 * time.Second
	// connectTimeout bounds each of dialling and the handshake.
	connectTimeout = 20 * time.Second
	// answerTimeout is longer than the 30 s that a message may wait for its rate.
	answerTimeout = 45 * time.Second
	// goodbyeTimeout is how long the goodbye may take.
	goodbyeTimeout = time.Second
	// receiveMaximum is how many frames the server leaves unacknowledged.
	receiveMaximum = 1024
	queued         = 4096 // besides them, frames that nobody has to acknowledge
)

// Connect implements client.Transport.
func (t Transport) Connect(ctx context.Context, to client.Target) (client.Link, error) {
	conn, err := t.dial(ctx, to)
	if err != nil {
		return nil, client.EndOfHandshake(err)
	}
	l := &link{
		conn: conn, device: to.DeviceID, deliveries: make(chan client.Delivery, queued),
		answers: make(map[string]chan answer),
	}
	l.life, l.finish = context.WithCancelCause(context.WithoutCancel(ctx))
	l.paho = paho.NewClient(paho.ClientConfig{
		ClientID: to.DeviceID, Conn: packets.NewThreadSafeConn(conn), PacketTimeout: answerTimeout,
		EnableManualAcknowledgment: true, SendAcksInterval: 10 * time.Millisecond,
		OnPublishReceived:  []func(paho.PublishReceived) (bool, error){l.received},
		OnServerDisconnect: func(d *paho.Disconnect) { l.finish(endOfReason(d.ReasonCode, reasonOf(d))) },
		OnClientError:      func(err error) { l.finish(&client.EndError{Ending: client.EndLost, Err: err}) },
	})
	if err := l.connect(ctx, to); err != nil {
		l.finish(err)
		return nil, err
	}
	return l, nil
}

func (t Transport) dial(ctx context.Context, to client.Target) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	scheme, address, _ := strings.Cut(t.Address, "://")
	switch {
	case t.Address == "":
		conn, err := websocket.Dial(ctx, to.URL, "mqtt", to.Token, to.DeviceID, to.TLS)
		if err != nil {
			return nil, err
		}
		return conn.Stream(silence), nil
	case scheme == "mqtt":
		var dialer net.Dialer
		return dialer.DialContext(ctx, "tcp", address)
	case scheme == "mqtts":
		dialer := tls.Dialer{Config: to.TLS}
		return dialer.DialContext(ctx, "tcp", address)
	default:
		return nil, fmt.Errorf("the MQTT address %q begins with neither mqtt:// nor mqtts://", t.Address)
	}
}

// link is one connection.
type link struct {
	conn       net.Conn
	paho       *paho.Client
	device     string
	deliveries chan client.Delivery

	// Its life: the cause of its end is a *client.EndError. The library does not always tell who
	// waits for an answer that the connection is gone.
	life   context.Context
	finish context.CancelCauseFunc

	mu      sync.Mutex
	answers map[string]chan answer // to messages under way, by their keys
}

// answer is the server's to one message.
type answer struct {
	message contracts.Message
	err     error
}

func (l *link) connect(ctx context.Context, to client.Target) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	maximum := uint16(receiveMaximum)
	connack, err := l.paho.Connect(ctx, &paho.Connect{
		ClientID: to.DeviceID, CleanStart: true, KeepAlive: keepAlive,
		Username: to.UserID, UsernameFlag: true, Password: []byte(to.Token), PasswordFlag: true,
		Properties: &paho.ConnectProperties{ReceiveMaximum: &maximum, RequestProblemInfo: true},
	})
	if err != nil {
		if connack == nil {
			return &client.EndError{Ending: client.EndLost, Err: err}
		}
		return endOfConnack(connack, err)
	}
	if connack.Properties != nil {
		if store := connack.Properties.User.Get("store_id"); store != "" {
			hello := client.Frame{Type: contracts.FrameHello, StoreID: store}
			l.deliver(client.Delivery{Frame: hello, Ack: func() error { return nil }})
		}
	}
	// The store's name comes first: nothing is sent before a subscription.
	subscribing, done := l.whileItLives(ctx)
	defer done()
	if _, err := l.paho.Subscribe(subscribing, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "v1/#", QoS: 1}}}); err != nil {
		l.Close()
		return &client.EndError{Ending: client.EndLost, Err: fmt.Errorf("subscribe: %w", err)}
	}
	return nil
}

// replies is the topic to which the server publishes its answers to messages.
func (l *link) replies() string { return "v1/devices/" + l.device + "/replies" }

func (l *link) received(r paho.PublishReceived) (bool, error) {
	if r.Packet.Topic == l.replies() { // a signal may have that name too
		l.answered(r.Packet)
		return true, r.Client.Ack(r.Packet)
	}
	f, err := client.ParseFrame(r.Packet.Payload)
	if err != nil {
		l.finish(&client.EndError{Ending: client.EndLost, Err: err})
		return true, err
	}
	packet := r.Packet
	if packet.QoS == 0 && len(l.deliveries) > queued-receiveMaximum && f.Type != contracts.FrameCaughtUp {
		return true, nil // typing and the like: it is over when its turn comes
	}
	l.deliver(client.Delivery{Frame: f, Ack: func() error { return l.ack(packet) }})
	return true, nil
}

// ack is the PUBACK. After the connection's end there is nobody to tell, and Receive says why.
func (l *link) ack(packet *paho.Publish) error {
	select {
	case <-l.life.Done():
		return nil
	default:
	}
	if err := l.paho.Ack(packet); err != nil {
		return &client.EndError{Ending: client.EndLost, Err: fmt.Errorf("acknowledge: %w", err)}
	}
	return nil
}

func (l *link) deliver(d client.Delivery) {
	select {
	case l.deliveries <- d:
	case <-l.life.Done():
	}
}

func (l *link) answered(p *paho.Publish) {
	if p.Properties == nil {
		return
	}
	l.mu.Lock()
	waiting := l.answers[string(p.Properties.CorrelationData)]
	l.mu.Unlock()
	if waiting == nil {
		return
	}
	var a answer
	if p.Properties.ContentType == contracts.ProblemContentType {
		problem := &client.ProblemError{}
		if a.err = json.Unmarshal(p.Payload, &problem.Problem); a.err == nil {
			a.err = problem
		}
	} else {
		a.err = json.Unmarshal(p.Payload, &a.message)
	}
	select {
	case waiting <- a: // it has room for one
	default:
	}
}

// Receive implements client.Link. What came before the end is received before it is told.
func (l *link) Receive(ctx context.Context) (client.Delivery, error) {
	select {
	case d := <-l.deliveries:
		return d, nil
	default:
	}
	select {
	case d := <-l.deliveries:
		return d, nil
	case <-l.life.Done():
		return client.Delivery{}, context.Cause(l.life)
	case <-ctx.Done():
		return client.Delivery{}, context.Cause(ctx)
	}
}

// publish returns the PUBACK, nil if none came.
func (l *link) publish(ctx context.Context, p *paho.Publish) (*paho.PublishResponse, error) {
	ctx, cancel := l.whileItLives(ctx)
	defer cancel()
	return l.paho.Publish(ctx, p)
}

// whileItLives makes a context that ends with ctx, or before that with the connection.
func (l *link) whileItLives(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(l.life, func() { cancel(context.Cause(l.life)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// Typing implements client.Link.
func (l *link) Typing(ctx context.Context, thread string) error {
	_, err := l.publish(ctx, &paho.Publish{Topic: "v1/threads/" + thread + "/typing"})
	return err
}

// Signal implements client.Link.
func (l *link) Signal(ctx context.Context, thread, name string, data []byte) error {
	_, err := l.publish(ctx, &paho.Publish{Topic: "v1/threads/" + thread + "/signals/" + name, Payload: data})
	return err
}

// Authenticate implements client.Link.
func (l *link) Authenticate(ctx context.Context, token string) error {
	_, err := l.publish(ctx, &paho.Publish{Topic: "v1/devices/" + l.device + "/auth", QoS: 1, Payload: []byte(token)})
	return err
}

// maxPayload leaves room for the rest of a packet of 128 KiB (docs/contract.md#limits).
const maxPayload = 127 << 10

// Send implements client.Link. The PUBACK says whether the message is stored, or whether another
// message has its client_seq. The answer, which the server publishes to the response topic, has the
// stored message or the refusal. A message that fits no packet, or is of a thread whose name cannot be in a
// topic, is left to HTTP: Send returns errors.ErrUnsupported.
func (l *link) Send(ctx context.Context, thread, key string, body client.SendBody) (m contracts.Message, differs bool, err error) {
	payload, err := json.Marshal(body)
	if err != nil {
		return m, false, fmt.Errorf("write a message: %w", err)
	}
	if len(payload) > maxPayload || strings.ContainsAny(thread, "/+#") { // the server would end the connection
		return m, false, errors.ErrUnsupported
	}
	waiting := make(chan answer, 1)
	l.mu.Lock()
	l.answers[key] = waiting
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.answers, key)
		l.mu.Unlock()
	}()
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	ack, err := l.publish(ctx, &paho.Publish{
		Topic: "v1/threads/" + thread + "/messages", QoS: 1, Payload: payload,
		Properties: &paho.PublishProperties{ResponseTopic: l.replies(), CorrelationData: []byte(key)},
	})
	if ack == nil {
		return m, false, errors.Join(context.Cause(l.life), err)
	}
	differs = ack.Properties != nil && ack.Properties.ReasonString == string(contracts.CodeClientSeqReused)
	select {
	case a := <-waiting:
		return a.message, differs, a.err
	case <-l.life.Done():
		return m, false, errors.Join(context.Cause(l.life), err)
	case <-ctx.Done():
		return m, false, errors.Join(context.Cause(ctx), err)
	}
}

// Close implements client.Link.
func (l *link) Close() {
	l.finish(&client.EndError{Ending: client.EndLost, Err: net.ErrClosed})
	cut := time.AfterFunc(goodbyeTimeout, func() { l.conn.Close() }) // the goodbye waits behind what the other side does not take
	defer cut.Stop()
	_ = l.paho.Disconnect(&paho.Disconnect{}) // it ends either way
	<-l.paho.Done()
}

func reasonOf(d *paho.Disconnect) error {
	if d.Properties == nil || d.Properties.ReasonString == "" {
		return nil
	}
	return errors.New(d.Properties.ReasonString)
}

// endOfConnack is what a refused CONNECT means (docs/contract.md#mqtt). The codes 0x86 and 0x87
// have another meaning there than at a connection's end.
func endOfConnack(refusal *paho.Connack, err error) *client.EndError {
	end := endOfReason(refusal.ReasonCode, err)
	switch {
	case refusal.ReasonCode == 0x87:
		end.Ending = client.EndRefused
	case refusal.Properties != nil && strings.HasPrefix(refusal.Properties.ReasonString, "device_removed"):
		end.Ending = client.EndRemoved
	}
	return end
}

// endOfReason is what the reason code of a CONNACK or DISCONNECT means
// (docs/contract.md#connecting).
func endOfReason(code byte, err error) *client.EndError {
	end := &client.EndError{Ending: client.EndLost, Code: int(code), Err: err}
	switch code {
	case 0x8b:
		end.Ending = client.EndRestart
	case 0x86, 0x87:
		end.Ending = client.EndToken
	case 0x8e:
		end.Ending = client.EndTakenOver
	case 0x98:
		end.Ending = client.EndRemoved
	case 0x81, 0x82, 0x85, 0x90, 0x93, 0x95:
		end.Ending = client.EndRefused
	}
	return end
}

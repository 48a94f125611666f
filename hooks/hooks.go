// Package hooks joins the embedded MQTT server (mochi) to Parley: it says who may
// connect, what a SUBSCRIBE is granted and what becomes of a PUBLISH. The server
// parses and answers; it keeps no session and delivers nothing. Its subscription
// trie stays empty: every filter is refused to it and answered by us.
package hooks

import (
	"context"
	"log/slog"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/chat"
)

// Conn is what the hooks need of a connection; a client's Net.Conn is one.
type Conn interface {
	// Offer is what came with a WebSocket upgrade: a bearer token, and the query
	// parameters device_id and last_seen_id.
	Offer() (token, device string, lastSeen *string)
	// SetProtocol tells the version, the largest packet the client takes, and
	// whether it wants to be told reasons in words.
	SetProtocol(version byte, maxPacket uint32, reasonStrings bool)
	// SetKeepAlive ends the connection when nothing has come for 1.5 of it.
	SetKeepAlive(d time.Duration)
	// Transport is the connection as a session sees it.
	Transport() session.Transport
	// Bind gives the connection its session, and the id that the server knows it by;
	// Session gives the session back, nil before.
	Bind(s *session.Session, id string)
	Session() *session.Session
	// Puback answers a publish with QoS 1, PubackLater one of that size once await
	// says how: both in the order in which they are called. A connection of 3.1.1
	// ends where the answer is a failure. Too many that wait hold up PubackLater.
	Puback(id uint16, reason byte, text string)
	PubackLater(id uint16, size int, await func() (reason byte, text string))
	// SetAnswer keeps the reason codes of the SUBACK or UNSUBACK being made until
	// TakeAnswer.
	SetAnswer(codes []byte)
	TakeAnswer() []byte
}

// Access answers who may see what; it is the chat service.
type Access interface {
	MayFollow(ctx context.Context, user chat.UserID, id chat.ThreadID) error
	ShareThread(ctx context.Context, a, b chat.UserID) (bool, error)
}

// Sender takes messages; it is the chat service.
type Sender interface {
	BeginSend(ctx context.Context, c chat.Caller, req chat.SendRequest) (*chat.Sending, error)
}

// Sessions opens sessions; it is the session registry.
type Sessions interface {
	Open(session.Params) (*session.Session, error)
}

// Server answers a CONNECT; it is the MQTT server.
type Server interface {
	SendConnack(cl *mqtt.Client, reason packets.Code, present bool, properties *packets.Properties) error
}

// Config is what a Hook needs; all of it.
type Config struct {
	Server   Server
	Sessions Sessions
	Access   Access
	Sender   Sender
	Verifier *auth.Verifier
	Log      *slog.Logger
	// MaxPacketBytes is told to clients as the Maximum Packet Size.
	MaxPacketBytes uint32
	// KeepSubscriptions is the longest session expiry a client gets.
	KeepSubscriptions time.Duration
}

// Hook is the mochi hook.
type Hook struct {
	mqtt.HookBase
	cfg Config
	// nonce makes the server's client ids unique per connection, so that its own
	// takeover, which loses and reorders, never runs. Ours is by user and device.
	nonce counter
}

// New makes a Hook.
func New(cfg Config) *Hook { return &Hook{cfg: cfg} }

// ID implements mqtt.Hook.
func (h *Hook) ID() string { return "parley" }

// Provides implements mqtt.Hook.
func (h *Hook) Provides(b byte) bool {
	switch b {
	case mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnSessionEstablished, mqtt.OnPacketEncode, mqtt.OnPacketRead,
		mqtt.OnACLCheck, mqtt.OnSubscribe, mqtt.OnUnsubscribe, mqtt.OnPublish:
		return true
	}
	return false
}

// OnConnectAuthenticate implements mqtt.Hook: OnConnect has refused whom it had to.
func (h *Hook) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

// OnSessionEstablished starts delivery: the client has its CONNACK.
func (h *Hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	conn(cl).Session().Start()
}

// OnPacketEncode completes what the server answers: what a CONNACK says is
// available, and our own reason codes.
func (h *Hook) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	switch pk.FixedHeader.Type {
	case packets.Connack:
		return h.connack(cl, pk)
	case packets.Suback, packets.Unsuback:
		pk.ReasonCodes = conn(cl).TakeAnswer()
		pk.Properties.User = nil
	}
	return pk
}

func conn(cl *mqtt.Client) Conn { return cl.Net.Conn.(Conn) }

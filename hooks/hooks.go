// Package hooks tells mochi, the MQTT server inside this one, what Parley wants: who may
// connect, what a SUBSCRIBE is granted and what becomes of a PUBLISH. mochi parses packets
// and answers them; it keeps no session and delivers nothing. It is told that every
// subscription is refused, so that it stores none; the reason codes of the SUBACK are ours.
//
// Read in this order: hooks.go, connect.go, subscribe.go, publish.go, sending.go.
package hooks

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/chat"
)

// Conn is what the hooks need of a connection. The Net.Conn of each mochi client is one.
type Conn interface {
	// Offer returns what came with a WebSocket upgrade: a bearer token, and the query
	// parameters device_id and last_seen_id. Each may be missing.
	Offer() (token, device string, lastSeen *string)
	// SetProtocol says which version of MQTT the client speaks, the largest packet it
	// accepts, and whether it wants reason strings. It is called before any answer.
	SetProtocol(version byte, maxPacket uint32, reasonStrings bool)
	// Over reports whether the server has too many connections, and this one is to be refused.
	Over() bool
	// Transport returns the connection as a session sees it.
	Transport() session.Transport
	// Bind admits the client: it gives the connection its session and the id that mochi
	// knows it by. From then on the connection ends when nothing has come from the client
	// for 1.5 times keepAlive.
	Bind(s *session.Session, id string, keepAlive time.Duration)
	// Refused says that the client is refused, for the log. User and device are as far known
	// as the client has shown who it is.
	Refused(user chat.UserID, device chat.DeviceID, err error)
	// Session returns the session of Bind, nil before.
	Session() *session.Session
	// Answer answers a publish with QoS 1. AnswerLater answers one when it is stored; size is
	// what the publish holds in memory until then, in bytes. The publishes are begun, and the
	// answers go out, in the order of the calls. AnswerLater waits while too much is
	// unanswered. Reason codes are for MQTT 5 alone.
	Answer(id uint16, a session.Answer)
	AnswerLater(id uint16, size int, p session.Unanswered)
	// ReceiveMaximum is how many publishes with QoS 1 may be unanswered.
	ReceiveMaximum() uint16
	// KeepReasonCodes keeps the reason codes of the SUBACK or UNSUBACK that mochi makes
	// next. PopReasonCodes returns them, once.
	KeepReasonCodes(codes []byte)
	PopReasonCodes() []byte
}

// Access says who may see what. It is the chat service.
type Access interface {
	MayFollow(ctx context.Context, user chat.UserID, id chat.ThreadID) error
	ShareThread(ctx context.Context, a, b chat.UserID) (bool, error)
}

// Sender stores messages. It is the chat service.
type Sender interface {
	Admit(ctx context.Context, c chat.Caller, req chat.SendRequest, most time.Duration) (*chat.Admission, error)
}

// Sessions opens sessions. It is the session registry.
type Sessions interface {
	Open(session.Params) (*session.Session, error)
}

// Server answers a CONNECT. It is mochi.
type Server interface {
	SendConnack(cl *mqtt.Client, reason packets.Code, present bool, properties *packets.Properties) error
}

// Config is what a Hook needs. Every field but Published is required.
type Config struct {
	Server   Server
	Sessions Sessions
	Access   Access
	Sender   Sender
	Verifier *auth.Verifier
	Log      *slog.Logger
	// Store is told to clients of MQTT 5 in their CONNACK.
	Store chat.StoreID
	// MaxPacketBytes is told to clients as the Maximum Packet Size.
	MaxPacketBytes uint32
	// KeepSubscriptions is the longest session expiry that a client gets.
	KeepSubscriptions time.Duration
	// Published counts what became of a message that a client published: "stored", "known"
	// (it was sent before), or the problem's code.
	Published func(result string)
	// SubscribeRefused counts a filter that was refused, by the reason code of MQTT 5.
	SubscribeRefused func(code byte)
}

// Hook implements mqtt.Hook.
type Hook struct {
	mqtt.HookBase
	cfg Config
	// nonce makes mochi's client ids unique for each connection, so that mochi never ends one
	// for another of the same id: it would lose and reorder packets. The sessions do that, by
	// user and device.
	nonce atomic.Uint64
}

// New makes a Hook.
func New(cfg Config) *Hook {
	if cfg.Published == nil {
		cfg.Published = func(string) {}
	}
	if cfg.SubscribeRefused == nil {
		cfg.SubscribeRefused = func(byte) {}
	}
	return &Hook{cfg: cfg}
}

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

// OnConnectAuthenticate implements mqtt.Hook. It refuses nobody: OnConnect has done that.
func (h *Hook) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

// OnSessionEstablished implements mqtt.Hook: the client has its CONNACK, and delivery starts.
func (h *Hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	conn(cl).Session().Start()
}

// OnPacketEncode implements mqtt.Hook: it completes the packets that mochi sends. A CONNACK
// says what is available, a SUBACK or UNSUBACK has our reason codes.
func (h *Hook) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	switch pk.FixedHeader.Type {
	case packets.Connack:
		return h.connack(cl, pk)
	case packets.Suback, packets.Unsuback:
		pk.ReasonCodes = conn(cl).PopReasonCodes()
		pk.Properties.User = nil
	}
	return pk
}

// conn returns the connection of a mochi client.
func conn(cl *mqtt.Client) Conn { return cl.Net.Conn.(Conn) }

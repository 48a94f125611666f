package hooks

import (
	"bytes"
	"net/http"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// OnACLCheck implements mqtt.Hook. It allows every PUBLISH, as OnPublish judges them and
// answers in order. It allows no filter, so that mochi stores none: OnSubscribe judges them.
func (h *Hook) OnACLCheck(_ *mqtt.Client, _ string, write bool) bool { return write }

// OnPublish implements mqtt.Hook: it handles and answers what a client
// publishes (docs/contract.md#mqtt). The error that it always returns has mochi
// neither acknowledge nor forward the packet.
func (h *Hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	c := conn(cl)
	p := publish{
		sender: sender{c.Session(), pk.PacketID, cl.Properties.ProtocolVersion >= 5},
		conn:   c, packet: pk, topic: contracts.ParseTopic(pk.TopicName),
	}
	switch {
	case p.topic.Kind == contracts.TopicThreadMessages:
		h.send(p)
	case p.topic.Kind == contracts.TopicThreadTyping:
		p.typing()
	case p.topic.Kind == contracts.TopicDeviceAuth && p.topic.Device == p.session.Caller().Device:
		p.auth()
	case p.topic.Kind == contracts.TopicThreadSignal:
		p.signal()
	case p.topic.Kind == contracts.TopicDeviceUp && p.topic.Device == p.session.Caller().Device:
		p.clientFrame()
	default:
		p.answer(session.ElsewherePublished(p.packetID, p.v5))
	}
	return pk, packets.ErrRejectPacket
}

// publish is one PUBLISH of a client.
type publish struct {
	sender
	conn   Conn
	packet packets.Packet
	topic  contracts.Topic
}

// sender is who is answered: what outlives the packet, whose memory is reused.
type sender struct {
	session  *session.Session
	packetID uint16
	v5       bool
}

// wantsPuback reports whether the client gets a PUBACK.
func (p publish) wantsPuback() bool { return p.packet.FixedHeader.Qos > 0 }

// answer sends the PUBACK, unless the publish has QoS 0.
func (p publish) answer(a session.Answer) {
	if p.wantsPuback() {
		p.conn.Answer(p.packetID, a)
	}
}

// refusal is the answer to a publish that is refused for good (docs/contract.md#mqtt). MQTT
// 3.1.1 has no PUBACK that refuses: an error frame says what was wrong. A client whose token
// is refused is disconnected there, since with another its message may be stored.
func (s sender) refusal(err error, key string) session.Answer {
	if s.v5 {
		reason, text := pubackReason(err)
		return session.Answer{Reason: reason, Text: text}
	}
	problem := contracts.ProblemOf(err)
	if problem.Status == http.StatusUnauthorized {
		return session.Answer{HangUp: true}
	}
	return session.Answer{Error: contracts.PublishErrorFrame(problem.Code, problem.Detail, s.packetID, key)}
}

// clientFrame hands a client frame to the session.
func (p publish) clientFrame() {
	f, err := contracts.ParseClientFrame(p.packet.Payload)
	if err == nil {
		err = p.session.Handle(f)
	}
	p.session.Refuse(err)
	p.answer(session.Answer{})
}

// auth gives the connection a new token, which is the payload. With QoS 0 it does nothing,
// since nothing could say whether the token is in force.
func (p publish) auth() {
	if !p.wantsPuback() {
		return
	}
	var a session.Answer
	last, err := p.session.Authenticate(string(p.packet.Payload))
	switch {
	case err == nil:
	case p.v5:
		a.Reason, a.Text = pubackReason(err)
	default:
		problem := contracts.ProblemOf(err)
		a.Error = contracts.PublishErrorFrame(problem.Code, problem.Detail, p.packetID, "")
	}
	if last {
		a.End = session.TokensRefused
	}
	p.answer(a)
}

// typing tells the session that the user is typing. The payload is empty, or the typing frame
// of a JSON client.
func (p publish) typing() {
	if len(p.packet.Payload) > 0 {
		f, err := contracts.ParseClientFrame(p.packet.Payload)
		named := f.Thread != chat.ThreadID{}
		if err != nil || f.Type != contracts.FrameTyping || named && f.Thread != p.topic.Thread {
			p.session.Fail(contracts.CodeInvalidFrame, "the payload is no typing frame of this thread")
			p.answer(session.Answer{})
			return
		}
	}
	switch err := p.session.Typing(p.topic.Thread); {
	case err == nil, chat.CodeOf(err) == chat.CodeUnavailable: // who types is told at best
		p.answer(session.Answer{})
	default:
		p.answer(p.refusal(err, ""))
	}
}

// signal tells the session of a signal. The payload is its data.
func (p publish) signal() {
	err := p.session.Signal(p.topic.Thread, p.topic.Name, bytes.Clone(p.packet.Payload))
	if chat.CodeOf(err) == chat.CodeUnavailable {
		err = nil // signals are told at best
	}
	if code := chat.CodeOf(err); code == chat.CodeRateLimited || code == chat.CodeInvalidRequest && !p.wantsPuback() {
		p.session.RefuseSignal(err)
		if !p.v5 {
			err = nil // said, and 3.1.1 has no PUBACK that refuses
		}
	}
	if err == nil {
		p.answer(session.Answer{})
		return
	}
	p.answer(p.refusal(err, ""))
}

// pubackReason returns the reason code and reason string that tell an MQTT 5 client what
// became of a publish (docs/contract.md#mqtt).
func pubackReason(err error) (reason byte, text string) {
	if err == nil {
		return packets.CodeSuccess.Code, ""
	}
	problem := contracts.ProblemOf(err)
	switch problem.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		reason = packets.ErrNotAuthorized.Code
	case http.StatusTooManyRequests:
		reason = packets.ErrQuotaExceeded.Code
	default:
		reason = packets.ErrPayloadFormatInvalid.Code
	}
	return reason, string(problem.Code)
}

package hooks

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// Time limits of a message sent over MQTT.
const (
	checkTimeout = 5 * time.Second  // to check it; the client's next packets wait for that
	sendTimeout  = 10 * time.Second // to store it
)

// OnACLCheck implements mqtt.Hook. It allows every PUBLISH, as OnPublish judges them and
// answers in order. It allows no filter, so that mochi stores none: OnSubscribe judges them.
func (h *Hook) OnACLCheck(_ *mqtt.Client, _ string, write bool) bool { return write }

// OnPublish implements mqtt.Hook: it handles and answers what a client
// publishes (docs/contract.md#mqtt). The error that it always returns has mochi
// neither acknowledge nor forward the packet.
func (h *Hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	p := publish{conn: conn(cl), packet: pk, topic: contracts.ParseTopic(pk.TopicName)}
	p.session = p.conn.Session()
	switch {
	case p.topic.Kind == contracts.TopicThreadMessages:
		h.send(p)
	case p.topic.Kind == contracts.TopicThreadTyping:
		p.typing()
	case p.topic.Kind == contracts.TopicDeviceUp && p.topic.Device == p.session.Caller().Device:
		p.clientFrame()
	default:
		p.answer(packets.ErrNotAuthorized.Code, "")
	}
	return pk, packets.ErrRejectPacket
}

// publish is one PUBLISH of a client.
type publish struct {
	conn    Conn
	session *session.Session
	packet  packets.Packet
	topic   contracts.Topic
}

// wantsPuback reports whether the client gets a PUBACK.
func (p publish) wantsPuback() bool { return p.packet.FixedHeader.Qos > 0 }

// answer sends the PUBACK, unless the publish has QoS 0.
func (p publish) answer(reason byte, text string) {
	if p.wantsPuback() {
		p.conn.Puback(p.packet.PacketID, reason, text)
	}
}

// clientFrame hands a client frame to the session.
func (p publish) clientFrame() {
	f, err := contracts.ParseClientFrame(p.packet.Payload)
	if err == nil {
		err = p.session.Handle(f)
	}
	p.session.Refuse(err)
	p.answer(packets.CodeSuccess.Code, "")
}

// typing tells the session that the user is typing. The payload is empty, or the typing frame
// of a JSON client.
func (p publish) typing() {
	if len(p.packet.Payload) > 0 {
		f, err := contracts.ParseClientFrame(p.packet.Payload)
		named := f.Thread != chat.ThreadID{}
		if err != nil || f.Type != contracts.FrameTyping || named && f.Thread != p.topic.Thread {
			p.session.Fail(contracts.CodeInvalidFrame, "the payload is no typing frame of this thread")
			p.answer(packets.CodeSuccess.Code, "")
			return
		}
	}
	p.answer(pubackReason(p.session.Typing(p.topic.Thread)))
}

// send sends a message. Its place in the order of its thread is fixed when send returns, so the
// client's next publish can be handled before this one is stored. The PUBACK follows then.
func (h *Hook) send(p publish) {
	if !p.wantsPuback() {
		p.session.Warn(chat.CodeInvalidRequest, "a message is published with QoS 1")
		return
	}
	r := p.replier()
	sending, err := h.beginSend(p)
	if err != nil {
		h.logFailure(p.session, err)
		r.refuse(err)
		p.answer(pubackReason(err))
		return
	}
	s := p.session
	p.conn.PubackLater(p.packet.PacketID, len(p.packet.Payload)+r.size(), func() (byte, string) {
		ctx, cancel := context.WithTimeout(context.Background(), sendTimeout)
		defer cancel()
		result, err := sending.Result(ctx)
		if err != nil {
			h.logFailure(s, err)
			r.refuse(err)
			return pubackReason(err)
		}
		r.publish(contracts.JSONContentType, contracts.NewMessage(result.Event))
		return packets.CodeSuccess.Code, ""
	})
}

// beginSend checks the message and puts it into the append queue of its thread.
func (h *Hook) beginSend(p publish) (*chat.Sending, error) {
	body, err := contracts.DecodeSendPublish(p.packet.Payload)
	if err != nil {
		return nil, err
	}
	key := body.IdempotencyKey
	if key == "" {
		key = string(p.packet.Properties.CorrelationData)
	}
	req, err := body.Request(p.topic.Thread, key)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	return h.cfg.Sender.BeginSend(ctx, p.session.Caller(), req)
}

// logFailure logs an error that is the server's and not the client's; the client is not told
// what it was.
func (h *Hook) logFailure(s *session.Session, err error) {
	if contracts.ProblemOf(err).Status >= http.StatusInternalServerError {
		c := s.Caller()
		h.cfg.Log.Error("a message published over MQTT was not stored", "user", c.User, "device", c.Device, "error", err)
	}
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
	case http.StatusServiceUnavailable:
		reason = packets.ErrImplementationSpecificError.Code
	default:
		reason = packets.ErrPayloadFormatInvalid.Code
	}
	return reason, string(problem.Code)
}

// replier publishes the answer to a message on the response topic that the client named, with
// its correlation data. A nil replier publishes nothing.
type replier struct {
	session     *session.Session
	topic       string
	correlation []byte
}

// replier returns nil if the packet names no response topic, or one that is not below the
// client's own device. It copies what it needs, since the packet's memory is reused.
func (p publish) replier() *replier {
	topic := p.packet.Properties.ResponseTopic
	if !contracts.IsReplyTopic(topic, p.session.Caller().Device) {
		return nil
	}
	return &replier{p.session, strings.Clone(topic), bytes.Clone(p.packet.Properties.CorrelationData)}
}

// size is about how many bytes the replier holds in memory.
func (r *replier) size() int {
	if r == nil {
		return 0
	}
	return len(r.topic) + len(r.correlation)
}

// refuse publishes a problem.
func (r *replier) refuse(err error) {
	r.publish(contracts.ProblemContentType, contracts.ProblemOf(err))
}

// publish publishes body as JSON.
func (r *replier) publish(contentType string, body any) {
	if r == nil {
		return
	}
	payload, err := json.Marshal(body)
	if err != nil {
		return // never: messages and problems can be written as JSON
	}
	r.session.Reply(&session.Reply{Topic: r.topic, Correlation: r.correlation, ContentType: contentType, Payload: payload})
}

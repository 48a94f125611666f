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

// Time limits of a message sent over MQTT: to check it, which the client's next
// packets wait for, and to store it.
const (
	checkTimeout = 5 * time.Second
	sendTimeout  = 10 * time.Second
)

// OnACLCheck implements mqtt.Hook. A PUBLISH is judged by OnPublish, so that all are
// answered in order; a filter by OnSubscribe, and the server is to keep none.
func (h *Hook) OnACLCheck(_ *mqtt.Client, _ string, write bool) bool { return write }

// OnPublish takes what a client publishes (contract 4.3). Nothing is ever left to the
// server to fan out or to acknowledge.
func (h *Hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	p := publish{conn: conn(cl), packet: pk, topic: contracts.ParseTopic(pk.TopicName)}
	p.session = p.conn.Session()
	switch {
	case p.topic.Kind == contracts.TopicThreadMessages:
		h.send(p)
	case p.topic.Kind == contracts.TopicThreadTyping:
		p.typing()
	case p.topic.Kind == contracts.TopicDeviceUp && p.topic.Device == p.session.Caller().Device:
		p.up()
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

// acknowledged reports whether the client wants a PUBACK.
func (p publish) acknowledged() bool { return p.packet.FixedHeader.Qos > 0 }

// answer answers a publish with QoS 1; one with QoS 0 has no answer.
func (p publish) answer(reason byte, text string) {
	if p.acknowledged() {
		p.conn.Puback(p.packet.PacketID, reason, text)
	}
}

// up takes a client frame.
func (p publish) up() {
	f, err := contracts.ParseClientFrame(p.packet.Payload)
	if err == nil {
		err = p.session.Take(f)
	}
	p.session.Refuse(err)
	p.answer(packets.CodeSuccess.Code, "")
}

// typing says that the user is typing, in no words or those of a JSON client.
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

// send takes a message. It is stored, and so acknowledged, in the order of its
// thread's publishes; those that follow need not wait for that.
func (h *Hook) send(p publish) {
	if !p.acknowledged() {
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

// logFailure logs what the client is not told about a failure of ours.
func (h *Hook) logFailure(s *session.Session, err error) {
	if contracts.ProblemOf(err).Status >= http.StatusInternalServerError {
		c := s.Caller()
		h.cfg.Log.Error("a message published over MQTT was not stored", "user", c.User, "device", c.Device, "error", err)
	}
}

// pubackReason is how MQTT 5 tells how a publish ended, and the reason string with it
// (contract 4.3).
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

// replier publishes what answers a message to the response topic that the client
// named. One that is not below its own device is no place for that: nil.
type replier struct {
	session     *session.Session
	topic       string
	correlation []byte
}

// replier copies what it needs: the packet is a view into a buffer.
func (p publish) replier() *replier {
	topic := p.packet.Properties.ResponseTopic
	if !contracts.IsReplyTopic(topic, p.session.Caller().Device) {
		return nil
	}
	return &replier{p.session, strings.Clone(topic), bytes.Clone(p.packet.Properties.CorrelationData)}
}

// size is about what it keeps in memory.
func (r *replier) size() int {
	if r == nil {
		return 0
	}
	return len(r.topic) + len(r.correlation)
}

func (r *replier) refuse(err error) {
	r.publish(contracts.ProblemContentType, contracts.ProblemOf(err))
}

func (r *replier) publish(contentType string, body any) {
	if r == nil {
		return
	}
	payload, err := json.Marshal(body)
	if err != nil {
		return // neither a message nor a problem fails, and the PUBACK says it all
	}
	r.session.Reply(&session.Reply{Topic: r.topic, Correlation: r.correlation, ContentType: contentType, Payload: payload})
}

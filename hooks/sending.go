package hooks

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// Time limits of a message sent over MQTT.
const (
	checkTimeout = 5 * time.Second  // to check it
	storeTimeout = 10 * time.Second // to store it
	// longestWait is how long a message of an MQTT 5 client waits for its sender's rate
	// (docs/contract.md#mqtt). In MQTT 3.1.1, which cannot refuse it, it waits on.
	longestWait = 30 * time.Second
	askAgain    = 50 * time.Millisecond // at least, before the rate is asked again for a message
)

// send sends a message. What follows it is handled meanwhile.
func (h *Hook) send(p publish) {
	if !p.wantsPuback() {
		h.cfg.Published(string(chat.CodeInvalidRequest))
		p.session.Warn(chat.CodeInvalidRequest, "a message is published with QoS 1")
		return
	}
	m := &sending{hook: h, sender: p.sender}
	if err := m.prepare(p); err != nil {
		h.countRefusal(err)
		h.logFailure(m, err)
		m.replier.refuse(err)
		p.answer(p.refusal(err, m.key))
		return
	}
	p.conn.AnswerLater(p.packetID, len(p.packet.Payload)+m.replier.size(), m)
}

// prepare checks the message and takes its cost from its sender's rate.
func (m *sending) prepare(p publish) error {
	body, err := m.decode(p)
	if err != nil {
		return err
	}
	if m.session.Expired() {
		return chat.Refuse(contracts.CodeUnauthenticated, "the token has expired")
	}
	if m.req, err = body.Request(p.topic.Thread, m.key); err != nil {
		return err
	}
	if m.key == "" {
		m.req.BinaryKey = bytes.Clone(p.packet.Properties.CorrelationData)
	}
	return m.admit()
}

// admit takes the cost of the message from its sender's rate. If the wait would be too long,
// it notes when the message is refused or, in MQTT 3.1.1, when to ask again. If the store
// fails, Begin asks again.
func (m *sending) admit() error {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	a, err := m.hook.cfg.Sender.Admit(ctx, m.session.Caller(), m.req, longestWait)
	refusal, _ := errors.AsType[*chat.Error](err)
	switch {
	case err == nil:
		m.admission = a
	case chat.CodeOf(err) == chat.CodeUnavailable:
		m.err = err
	case refusal.Code == chat.CodeRateLimited && m.v5:
		m.refusedAt = time.Now().Add(longestWait)
	case refusal.Code == chat.CodeRateLimited:
		m.askAt = time.Now().Add(max(refusal.RetryAfter-longestWait, askAgain))
		m.err = chat.Unavailable("wait for the rate", err) // should it be begun before that
	default:
		return err
	}
	return nil
}

// decode reads the payload, and who is to be answered how.
func (m *sending) decode(p publish) (contracts.SendBody, error) {
	if m.v5 {
		body, err := contracts.DecodeSendPublish(p.packet.Payload)
		m.key = body.IdempotencyKey
		m.replier = m.newReplier(p.packet.Properties.ResponseTopic, p.packet.Properties.CorrelationData)
		return body.SendBody, err
	}
	body, err := contracts.DecodeSendPublish311(p.packet.Payload)
	m.key = body.IdempotencyKey
	m.replier = m.newReplier(body.ResponseTopic, nil)
	return body.SendBody, err
}

// sending is a message on its way into the store. It implements session.Unanswered.
type sending struct {
	sender
	hook    *Hook
	req     chat.SendRequest
	key     string // as it was in the payload
	replier *replier

	admission *chat.Admission // nil: not yet
	askAt     time.Time       // when to ask again for one; zero: when it is begun
	refusedAt time.Time       // when it is refused as too fast; zero: it is not
	begun     *chat.Sending
	err       error // of beginning it
	failed    bool  // the store has failed before
}

// Wait implements session.Unanswered.
func (m *sending) Wait() time.Duration {
	if m.admission == nil && !m.askAt.IsZero() && time.Until(m.askAt) <= 0 {
		_ = m.admit() // an error is one of the store: what could refuse the message has been checked
	}
	switch {
	case !m.refusedAt.IsZero():
		return time.Until(m.refusedAt)
	case m.admission != nil:
		return m.admission.Wait()
	case !m.askAt.IsZero():
		return time.Until(m.askAt)
	}
	return 0
}

// Begin implements session.Unanswered.
func (m *sending) Begin(order *chat.SendOrder) {
	if !m.refusedAt.IsZero() {
		return
	}
	if m.admission == nil {
		_ = m.admit()
	}
	if m.admission == nil { // the store fails
		order.Break()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	m.begun, m.err = m.admission.Begin(ctx, order)
}

// Await implements session.Unanswered.
func (m *sending) Await() (a session.Answer, again bool) {
	result, err := m.result()
	switch {
	case err == nil:
		if result.Outcome == chat.Sent {
			m.hook.cfg.Published("stored")
		} else {
			m.hook.cfg.Published("known")
		}
		m.replier.publish(contracts.JSONContentType, contracts.NewMessage(result.Event))
		return m.stored(result), false
	case chat.CodeOf(err) == chat.CodeUnavailable:
		if !m.failed {
			m.hook.logFailure(m, err)
		}
		m.failed = true
		return session.Answer{}, true
	}
	m.hook.countRefusal(err)
	m.replier.refuse(err)
	return m.refusal(err, m.key), false
}

func (m *sending) result() (chat.SendResult, error) {
	switch {
	case !m.refusedAt.IsZero():
		return chat.SendResult{}, chat.Refuse(chat.CodeRateLimited, "the message has waited too long for the rate")
	case m.err != nil:
		return chat.SendResult{}, m.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	return m.begun.Result(ctx)
}

// stored is the answer to a message that is stored. A client whose client_seq was used for
// another message is told so.
func (m *sending) stored(result chat.SendResult) session.Answer {
	if !result.Differs {
		return session.Answer{}
	}
	return session.Answer{
		Text: string(contracts.CodeClientSeqReused),
		Error: contracts.PublishErrorFrame(contracts.CodeClientSeqReused,
			"the client_seq was used for another message, which is kept", m.packetID, m.key),
	}
}

// GiveUp implements session.Unanswered.
func (m *sending) GiveUp() {
	m.hook.cfg.Published(string(chat.CodeUnavailable))
	if m.admission != nil {
		m.admission.Cancel()
	}
}

func (h *Hook) countRefusal(err error) { h.cfg.Published(string(contracts.ProblemOf(err).Code)) }

// logFailure logs an error that is the server's and not the client's; the client is not told
// what it was.
func (h *Hook) logFailure(m *sending, err error) {
	if contracts.ProblemOf(err).Status >= http.StatusInternalServerError {
		c := m.session.Caller()
		h.cfg.Log.Error("a message published over MQTT was not stored", "user", c.User, "device", c.Device, "error", err)
	}
}

// replier publishes the answer to a message on the response topic that the client named, with
// its correlation data. A nil replier publishes nothing.
type replier struct {
	session     *session.Session
	topic       string
	correlation []byte
}

// newReplier returns nil if the response topic is not below the client's own device. It copies
// what it needs, since the packet's memory is reused.
func (s sender) newReplier(topic string, correlation []byte) *replier {
	if !contracts.IsReplyTopic(topic, s.session.Caller().Device) {
		return nil
	}
	return &replier{s.session, strings.Clone(topic), bytes.Clone(correlation)}
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

package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/parleyhq/parley/cmd/parley/bench/wire"
)

// sender sends messages, one after the other. Only one goroutine may use it.
type sender interface {
	// send returns when the server has acknowledged the message.
	send(thread string, h head) error
	close()
}

// How often a send is attempted while the server is unavailable, and the pause between two
// attempts.
const (
	sendAttempts = 100
	sendPause    = 50 * time.Millisecond
)

// newSender makes the sender of a user's device.
func (r *run) newSender(ctx context.Context, via, user, device string) (sender, error) {
	token, err := r.target.token(user)
	if err != nil {
		return nil, err
	}
	if r.target.raw() || via == ViaMQTT {
		protocol := wire.MQTTTCP
		if !r.target.raw() && r.o.Protocol == wire.MQTTWS {
			protocol = wire.MQTTWS
		}
		conn, err := r.target.dial(ctx, protocol, user, device, token, func([]byte) {})
		if err != nil {
			return nil, err
		}
		if !r.target.raw() && conn.ReceiveMaximum() < unlimitedReceiveMaximum {
			conn.Close()
			return nil, errLimited // such a server answers late, and does not refuse
		}
		return &mqttSender{conn: conn, raw: r.target.raw(), id: r.id, tail: r.tail}, nil
	}
	s := &restSender{target: r.target, id: r.id, tail: r.tail}
	r.target.prepare(&s.req, http.MethodPost, "", token)
	s.req.Header.Set("X-Device-Id", device)
	return s, nil
}

// key is the idempotency key of a message, unique among those of its sender.
func key(dst []byte, run string, h head) []byte {
	dst = append(append(dst, run...), '-')
	dst = append(strconv.AppendUint(dst, uint64(h.stream), 10), '-')
	return strconv.AppendUint(dst, uint64(h.number), 10)
}

// body is the body of a send (docs/contract.md#sending). Over MQTT it has the
// key in it; key is nil for REST, where the key is a header.
func body(dst []byte, key []byte, h head, t tail) []byte {
	dst = strconv.AppendUint(append(dst, `{"client_seq":`...), uint64(h.number), 10)
	if key != nil {
		dst = append(append(append(dst, `,"idempotency_key":"`...), key...), '"')
	}
	dst = t.appendEncoded(append(dst, `,"ciphertext":"`...), h)
	return append(dst, `","content_type":"text"}`...)
}

// restSender sends by POST.
type restSender struct {
	target *target
	id     string
	tail   tail
	thread string
	req    fasthttp.Request
	resp   fasthttp.Response
	buf    []byte
	key    []byte
}

func (s *restSender) send(thread string, h head) error {
	if thread != s.thread {
		s.thread = thread
		s.req.SetRequestURI("/v1/threads/" + thread + "/messages")
		s.req.SetHost(s.target.httpAddr)
		if s.target.secure {
			s.req.URI().SetScheme("https")
		}
	}
	s.key = key(s.key[:0], s.id, h)
	s.req.Header.SetBytesV("Idempotency-Key", s.key)
	s.buf = body(s.buf[:0], nil, h, s.tail)
	s.req.SetBodyRaw(s.buf)
	for attempt := 1; ; attempt++ {
		if err := s.target.http.Do(&s.req, &s.resp); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		switch status := s.resp.StatusCode(); {
		case status == http.StatusAccepted:
			return nil
		case status != http.StatusServiceUnavailable || attempt == sendAttempts:
			return refused("send", &s.resp)
		}
		time.Sleep(sendPause)
	}
}

func (s *restSender) close() {}

// mqttSender publishes with QoS 1: the request of docs/contract.md#mqtt to a
// Parley server, and the bare content to a plain broker, where the thread is
// the name of a topic.
type mqttSender struct {
	conn *wire.Conn
	raw  bool
	id   string
	tail tail
	buf  []byte
	key  []byte
}

// unlimitedReceiveMaximum is the Receive Maximum of a server with --rate-send 0
// (docs/contract.md#mqtt).
const unlimitedReceiveMaximum = 1024

// The reason codes that a sender handles (docs/contract.md#mqtt).
const (
	codeNotAuthorized = 0x87
	codeQuota         = 0x97
)

func (s *mqttSender) send(thread string, h head) error {
	topic := thread
	if s.raw {
		s.buf = s.tail.appendRaw(s.buf[:0], h)
	} else {
		topic = "v1/threads/" + thread + "/messages"
		s.key = key(s.key[:0], s.id, h)
		s.buf = body(s.buf[:0], s.key, h, s.tail)
	}
	s.conn.SetDeadline(time.Now().Add(patience))
	err := s.conn.Publish(topic, s.buf)
	var no *wire.RefusedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &no) && no.Code == codeQuota:
		return fmt.Errorf("%w (%w)", errLimited, err)
	case errors.As(err, &no) && no.Code == codeNotAuthorized && !s.raw:
		return fmt.Errorf("send: %w; does this server accept messages over MQTT?", err)
	}
	return fmt.Errorf("send: %w", err)
}

func (s *mqttSender) close() { s.conn.Close() }

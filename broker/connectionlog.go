package broker

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
	"github.com/parleyhq/parley/internal/measure"
)

// What operators are told of a connection: one line when it ends, or when it is refused, and
// counts of both.

// Stats are figures for operators.
type Stats struct {
	Open     measure.Tally[string]    // connections there are now, by protocol
	Connects measure.Tally[string]    // clients admitted, by protocol
	Refused  measure.Tally[[2]string] // by protocol and reason
	Ends     measure.Tally[[2]string] // connections of admitted clients that ended, by protocol and reason
}

// Stats gives the broker's figures, which go on changing.
func (b *Broker) Stats() *Stats { return &b.stats }

// The protocols, as the log and the metrics name them.
const (
	protocolJSON    = "json"
	protocolMQTT    = "mqtt" // before the CONNECT has said which version
	protocolMQTT311 = "mqtt3.1.1"
	protocolMQTT5   = "mqtt5"
)

// Why a connection ended, besides the reasons of package session. They are labels of metrics.
const (
	endClientLeft      = "client_disconnected" // by a DISCONNECT or a close frame
	endClientGone      = "client_gone"         // the socket was closed or reset
	endMalformed       = "malformed"
	endProtocolError   = "protocol_error"
	endTooLarge        = "packet_too_large"
	endQoS2            = "qos_2"
	endRetain          = "retain"
	endTopicName       = "topic_name"
	endSubscriptionID  = "subscription_id"
	endKeepAlive       = "keep_alive"
	endNoConnect       = "no_connect" // nothing that is a CONNECT came in time
	endWriteTimeout    = "write_timeout"
	endAnswersUnread   = "answers_unread"
	endTokenRefused    = "token_refused" // of a publish in 3.1.1, where a PUBACK cannot say so
	endReceiveMaximum  = "receive_maximum"
	endPanic           = "panic"
	endShuttingDown    = "shutting_down"
	endNotText         = "not_text"
	refusedNothingSent = "nothing_sent" // the client closed the connection without a word, as probes do
)

// refusedPerSecond is how many refused connections are logged in a second. The lines say how
// many there were besides.
const refusedPerSecond = 10

// whyClosed is why a WebSocket is closed with this message, which answers the client's bytes.
func whyClosed(goodbye []byte) string {
	if len(goodbye) < 4 {
		return endClientLeft
	}
	switch binary.BigEndian.Uint16(goodbye[2:]) {
	case closeProtocolError, closeUnsupported:
		return endProtocolError
	case closeTooBig:
		return endTooLarge
	case closeNotText:
		return endNotText
	}
	return endClientLeft
}

// over names what carries a connection.
func over(socket net.Conn) string {
	switch socket.(type) {
	case *wsStream:
		return "websocket"
	case interface{ ConnectionState() tls.ConnectionState }:
		return "tls"
	}
	return "tcp"
}

// visit is a connection of either protocol, as the log tells of it.
type visit struct {
	protocol, over, addr string
	user                 chat.UserID
	device               chat.DeviceID
}

// countOpen counts a connection among those of a protocol, and no more among those where it
// was counted before; "" is none.
func (b *Broker) countOpen(c *mqttConn, protocol string) {
	if c.openAs != "" {
		b.stats.Open.Add(c.openAs, -1)
	}
	if protocol != "" {
		b.stats.Open.Add(protocol, 1)
	}
	c.openAs = protocol
}

// admitted counts an MQTT client that has its session.
func (b *Broker) admitted(c *mqttConn) {
	b.countOpen(c, c.protocol())
	b.stats.Connects.Add(c.protocol(), 1)
}

func (v visit) attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("protocol", v.protocol), slog.String("over", v.over), slog.String("addr", v.addr),
		slog.String("user", string(v.user)), slog.String("device", string(v.device)),
	}
}

// refused tells that a client was not admitted, and why.
func (b *Broker) refused(v visit, reason string, err error) {
	b.stats.Refused.Add([2]string{v.protocol, reason}, 1)
	level := slog.LevelInfo
	if reason == refusedNothingSent {
		level = slog.LevelDebug
	}
	if !b.cfg.Log.Enabled(b.ctx, level) {
		return
	}
	skipped, ok := b.refusals.Pass(time.Now())
	if !ok {
		return
	}
	attrs := append(v.attrs(), slog.String("reason", reason))
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	if skipped > 0 {
		attrs = append(attrs, slog.Int("not_shown", skipped))
	}
	b.cfg.Log.LogAttrs(b.ctx, level, "connect refused", attrs...)
}

// ended tells that the connection of an admitted client has ended, and why.
func (b *Broker) ended(v visit, s *session.Session, reason string) {
	caller := s.Caller()
	v.user, v.device = caller.User, caller.Device
	b.stats.Ends.Add([2]string{v.protocol, reason}, 1)
	lasted, frames := s.Lasted(), s.FramesSent()
	b.cfg.Log.LogAttrs(b.ctx, slog.LevelInfo, "connection ended", append(v.attrs(),
		slog.Int64("lasted_ms", lasted.Milliseconds()), slog.Uint64("frames", frames), slog.String("reason", reason))...)
}

// refusalReason is why a client was refused: what is wrong with its token, or the code of the
// refusal.
func refusalReason(err error) string {
	if reason := auth.ReasonOf(err); reason != "" {
		return string(reason)
	}
	if _, ok := errors.AsType[*chat.Error](err); !ok {
		return string(contracts.CodeInternal)
	}
	return string(chat.CodeOf(err))
}

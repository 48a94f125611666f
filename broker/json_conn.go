package broker

import (
	"io"
	"net"
	"sync/atomic"

	"github.com/gobwas/ws"

	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/contracts"
)

// jsonConn is a JSON connection: a WebSocket on which each text message is one frame of
// docs/contract.md#frames. It is the transport of its session.
type jsonConn struct {
	writer
	in   wsReader
	sess atomic.Pointer[session.Session]
}

// newJSONConn makes the connection of a socket whose client's bytes come from in.
func newJSONConn(socket net.Conn, in io.Reader) *jsonConn {
	c := new(jsonConn)
	c.writer = writer{conn: socket, fill: c.fill}
	c.in.init(in, contracts.MaxClientFrameBytes)
	c.in.pong = c.send
	c.in.finish = func(goodbye []byte) {
		c.because(whyClosed(goodbye))
		c.finish(goodbye)
	}
	return c
}

// Close codes of RFC 6455 and of docs/contract.md#connecting.
const (
	closeNormal         = 1000
	closeProtocolError  = 1002
	closeUnsupported    = 1003
	closeNotText        = 1007
	closeTooBig         = 1009
	closeGoingElsewhere = 1012
	closeTryLater       = 1013
	closeBadFrames      = 4400
	closeExpired        = 4401
	closeUnresponsive   = 4408
	closeTakenOver      = 4409
	closeRemoved        = 4403
)

// Wake implements session.Transport.
func (c *jsonConn) Wake() { c.wake() }

// Close implements session.Transport.
func (c *jsonConn) Close(r session.Reason) {
	c.because(r.String())
	c.finish(closeFor(r))
}

// closeFor returns the close frame that tells why a session ends.
func closeFor(r session.Reason) []byte {
	switch r {
	case session.TakenOver:
		return closeMessage(closeTakenOver, "the device connected again")
	case session.TokensRefused:
		return closeMessage(closeExpired, "too many tokens were refused")
	case session.TokenExpired:
		return closeMessage(closeExpired, "the token has expired")
	case session.Unresponsive:
		return closeMessage(closeUnresponsive, "no pong or no acknowledgement")
	case session.ShuttingDown:
		return closeMessage(closeGoingElsewhere, "the server restarts")
	case session.DeviceRemoved:
		return closeMessage(closeRemoved, "the device was removed")
	case session.StoreFailing:
		return closeMessage(closeTryLater, "nothing can be stored now")
	case session.FrameTooLarge:
		return closeMessage(closeTooBig, "the frame is too large")
	default:
		return closeMessage(closeBadFrames, "too many bad frames")
	}
}

// fill appends what the session has to send now.
func (c *jsonConn) fill(dst []byte) []byte {
	s := c.sess.Load()
	if s == nil {
		return dst
	}
	b := jsonBatch{dst}
	s.Fill(&b)
	return b.buf
}

// jsonBatch collects the frames of one write as text messages.
type jsonBatch struct{ buf []byte }

// Room implements session.Batch.
func (b *jsonBatch) Room() bool { return len(b.buf) < batchBytes }

// Put implements session.Batch.
func (b *jsonBatch) Put(d session.Delivery) bool {
	b.buf = appendWSHeader(b.buf, wsText, d.Frame.Len(d.FrameSeq))
	b.buf = d.Frame.Append(b.buf, d.FrameSeq)
	return true
}

// serve reads the client's frames until the connection ends.
func (c *jsonConn) serve(s *session.Session) {
	s.Start()
	for {
		kind, err := c.in.next()
		if err != nil {
			break
		}
		frame, err := io.ReadAll(&c.in)
		if err != nil {
			break
		}
		if kind != ws.OpText {
			s.Fail(contracts.CodeInvalidFrame, "frames are text messages")
			continue
		}
		f, err := contracts.ParseClientFrame(frame)
		if err == nil {
			err = s.Handle(f)
		}
		s.Refuse(err)
	}
	c.awaitEnd()
	c.in.drain()
	c.kill()
}

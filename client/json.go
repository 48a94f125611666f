package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/parleyhq/parley/client/internal/websocket"
	"github.com/parleyhq/parley/contracts"
)

// JSON is the transport of JSON frames over a WebSocket (docs/contract.md#connecting).
type JSON struct{}

const (
	// silence is when a connection counts as dead: the server pings every 30 s and gives up after
	// 75 s itself.
	silence = 75 * time.Second
	// queued is how many frames may wait for the owner. The server leaves 1,024 unacknowledged,
	// beside those that nobody has to acknowledge.
	queued = 4096
	// ackEvery is after how many frames of a burst an acknowledgement goes out.
	ackEvery = 64
)

// Connect implements Transport.
func (JSON) Connect(ctx context.Context, to Target) (Link, error) {
	conn, err := websocket.Dial(ctx, to.URL, "parley.v1", to.Token, to.DeviceID, to.TLS)
	if err != nil {
		return nil, EndOfHandshake(err)
	}
	l := &jsonLink{conn: conn, frames: make(chan Frame, queued), closed: make(chan struct{})}
	l.wg.Go(l.read)
	return l, nil
}

// EndOfHandshake is what it means that no WebSocket came to be. Only the server's own refusals are
// final: a proxy answers with all kinds of pages, as during a deploy, and drops upgrades.
func EndOfHandshake(err error) *EndError {
	end := &EndError{Ending: EndLost, Err: err}
	var refused *websocket.RefusedError
	if !errors.As(err, &refused) {
		return end
	}
	end.Code = refused.Status
	switch {
	case refused.Code == "device_removed":
		end.Ending = EndRemoved
	case refused.Status == http.StatusUnauthorized:
		end.Ending = EndToken
	case refused.Code != "" && (refused.Status == http.StatusBadRequest || refused.Status == http.StatusForbidden):
		end.Ending = EndRefused
	}
	return end
}

// EndOfClose is what the close code of a WebSocket means (docs/contract.md#connecting).
func EndOfClose(code int, err error) *EndError {
	end := &EndError{Ending: EndLost, Code: code, Err: err}
	switch code {
	case 1012, 1001:
		end.Ending = EndRestart
	case 4401:
		end.Ending = EndToken
	case 4403:
		end.Ending = EndRemoved
	case 4409:
		end.Ending = EndTakenOver
	case 4400, 1009, 1002, 1003, 1007:
		end.Ending = EndRefused
	}
	return end
}

type jsonLink struct {
	conn   *websocket.Conn
	frames chan Frame // of read; closed at its end
	end    *EndError  // why it ended; set before frames is closed
	wg     sync.WaitGroup
	once   sync.Once
	closed chan struct{}

	acked uint64 // the last frame_seq that was acknowledged; of who receives
}

// read answers pings at once, however long the owner takes for a frame.
func (l *jsonLink) read() {
	defer close(l.frames)
	for {
		text, err := l.conn.Read(silence)
		if err != nil {
			var goodbye *websocket.ClosedError
			if l.end = endOf(err); errors.As(err, &goodbye) {
				l.end = EndOfClose(goodbye.Code, err)
			}
			return
		}
		f, err := ParseFrame(text)
		if err != nil {
			l.end = endOf(err)
			return
		}
		if f.Type == contracts.FramePing {
			if err := l.write(map[string]any{"t": contracts.FramePong}); err != nil {
				l.end = endOf(err)
				return
			}
		}
		select {
		case l.frames <- f:
		case <-l.closed:
			return
		}
	}
}

func (l *jsonLink) Receive(ctx context.Context) (Delivery, error) {
	select {
	case f, open := <-l.frames:
		if !open {
			return Delivery{}, l.end
		}
		return Delivery{Frame: f, Ack: func() error { return l.ack(f.FrameSeq) }}, nil
	case <-ctx.Done():
		return Delivery{}, context.Cause(ctx)
	}
}

// ack acknowledges a burst at its end, and now and then within it. After the connection's end there
// is nobody to tell, and Receive says why: the goodbye may wait behind frames.
func (l *jsonLink) ack(frameSeq uint64) error {
	if len(l.frames) > 0 && frameSeq < l.acked+ackEvery {
		return nil
	}
	l.acked = frameSeq
	err := l.write(map[string]any{"t": contracts.FrameClientAck, "frame_seq": frameSeq})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

func (l *jsonLink) write(frame map[string]any) error {
	text, err := json.Marshal(frame)
	if err != nil {
		return err
	}
	if err := l.conn.WriteText(text); err != nil {
		return endOf(err)
	}
	return nil
}

func (l *jsonLink) Typing(_ context.Context, thread string) error {
	return l.write(map[string]any{"t": contracts.FrameTyping, "thread_id": thread})
}

func (l *jsonLink) Signal(_ context.Context, thread, name string, data []byte) error {
	if data == nil {
		data = []byte{}
	}
	return l.write(map[string]any{"t": contracts.FrameSignal, "thread_id": thread, "name": name, "data": data})
}

func (l *jsonLink) Authenticate(_ context.Context, token string) error {
	return l.write(map[string]any{"t": contracts.FrameAuth, "token": token})
}

func (l *jsonLink) Send(context.Context, string, string, SendBody) (contracts.Message, bool, error) {
	return contracts.Message{}, false, errors.ErrUnsupported
}

func (l *jsonLink) Close() {
	l.once.Do(func() {
		close(l.closed)
		l.conn.Close()
	})
	l.wg.Wait()
}

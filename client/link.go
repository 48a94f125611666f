package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/parleyhq/parley/contracts"
)

// Ending says why a connection ended, and so what comes next (docs/contract.md#connecting).
type Ending int

// The ends of a connection.
const (
	EndLost      Ending = iota // the network, or the server fell silent: connect again, later and later
	EndRestart                 // the server stops: connect again within a few seconds
	EndToken                   // the token is refused or has ended: get a new one
	EndTakenOver               // a newer connection of this device is there
	EndRemoved                 // the user has removed the device
	EndRefused                 // the server says that this client is at fault
)

// EndError is the end of a connection, or that there was none.
type EndError struct {
	Ending Ending
	Code   int // a WebSocket close code, a reason code of MQTT, or a status of HTTP; 0 if there is none
	Err    error
}

func (e *EndError) Error() string {
	text := "the connection ended"
	if e.Code != 0 {
		text = fmt.Sprintf("%s (%d)", text, e.Code)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *EndError) Unwrap() error { return e.Err }

// Is compares with the errors that Client.Run returns.
func (e *EndError) Is(target error) bool {
	switch e.Ending {
	case EndTakenOver:
		return target == ErrTakenOver
	case EndRemoved:
		return target == ErrRemoved
	case EndRefused:
		return target == ErrRefused
	default:
		return false
	}
}

// The ends after which a client does not connect again by itself. Compare with errors.Is.
var (
	ErrTakenOver = errors.New("a newer connection of this device is there")
	ErrRemoved   = errors.New("the device was removed")
	ErrRefused   = errors.New("the server refuses this client")
)

// endOf makes any error an EndError.
func endOf(err error) *EndError {
	var end *EndError
	if errors.As(err, &end) {
		return end
	}
	return &EndError{Ending: EndLost, Err: err}
}

// Target is what a Transport connects to.
type Target struct {
	URL      string // of the server, http or https
	Token    string
	UserID   string
	DeviceID string
	TLS      *tls.Config // nil: the system's
}

// Transport makes connections of one protocol. [JSON] and client/mqtt have one each.
type Transport interface {
	// Connect returns when the server has accepted the connection, or an *EndError.
	Connect(ctx context.Context, to Target) (Link, error)
}

// Link is one connection. Its methods may be called from several goroutines, but for Receive,
// which only one calls.
type Link interface {
	// Receive returns what comes, in order. After the connection's end it returns an *EndError.
	Receive(ctx context.Context) (Delivery, error)
	// What Typing, Signal and Authenticate write may wait for the network, until the connection
	// ends at most.
	Typing(ctx context.Context, thread string) error
	Signal(ctx context.Context, thread, name string, data []byte) error
	// Authenticate gives the connection a new token. The frame auth says that it was taken.
	Authenticate(ctx context.Context, token string) error
	// Send sends a message where the protocol can, and returns errors.ErrUnsupported where it
	// cannot. It reports whether the answer is another message, which had the same client_seq
	// before. A refusal is a *ProblemError; after any other error the outcome is not known.
	Send(ctx context.Context, thread, key string, body SendBody) (m contracts.Message, differs bool, err error)
	// Close ends the connection within seconds, also while others write, and waits for its
	// goroutines. Several may call it.
	Close()
}

// Delivery is one frame. Ack says that this device has it, and all that came before it.
type Delivery struct {
	Frame Frame
	Ack   func() error
}

// SendBody is the body of a send (docs/contract.md#sending).
type SendBody struct {
	ClientSeq        int64  `json:"client_seq"`
	Ciphertext       []byte `json:"ciphertext"`
	ContentType      string `json:"content_type,omitempty"`
	ReplyTo          string `json:"reply_to_msg_id,omitempty"`
	AttachmentID     string `json:"attachment_id,omitempty"`
	AttachmentSHA256 string `json:"attachment_sha256,omitempty"`
	TTLSeconds       int64  `json:"ttl_seconds,omitempty"`
	Epoch            uint64 `json:"epoch,omitempty"`
}

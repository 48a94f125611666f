package contracts

import (
	"errors"
	"math"
	"net/http"
	"time"

	"github.com/parleyhq/parley/chat"
)

// The codes of REST, WebSocket and MQTT, besides those of package chat
// (docs/contract.md#authentication and docs/contract.md#requests).
const (
	CodeUnauthenticated      chat.Code = "unauthenticated"
	CodeDeviceMismatch       chat.Code = "device_mismatch"
	CodeNotFound             chat.Code = "not_found" // no such route
	CodeMethodNotAllowed     chat.Code = "method_not_allowed"
	CodeUnsupportedMediaType chat.Code = "unsupported_media_type"
	CodeBodyTooLarge         chat.Code = "body_too_large"
	CodeHeadersTooLarge      chat.Code = "headers_too_large"
	CodeRequestTimeout       chat.Code = "request_timeout"
	CodeInternal             chat.Code = "internal"
	CodeUpgradeRequired      chat.Code = "upgrade_required"   // docs/contract.md#connecting: not a WebSocket request
	CodeOriginNotAllowed     chat.Code = "origin_not_allowed" // docs/contract.md#connecting
	CodeClientSeqReused      chat.Code = "client_seq_reused"  // docs/contract.md#mqtt: in an error frame
)

// The media types of bodies: that of a [Problem] (RFC 9457), and that of all others.
const (
	ProblemContentType = "application/problem+json"
	JSONContentType    = "application/json"
)

// Problem is the body of every refusal (docs/contract.md#requests, RFC 9457).
type Problem struct {
	Type   string         `json:"type"` // "/problems/" and the code
	Title  string         `json:"title"`
	Status int            `json:"status"`
	Detail string         `json:"detail"`
	Code   chat.Code      `json:"code"`
	Errors []FieldProblem `json:"errors,omitempty"` // invalid_request and cannot_add only
	// Epoch and Message are for epoch_conflict only: the thread's epoch, and what holds it. The
	// inner pointer is nil, and null in JSON, if there is none or the caller does not see it.
	Epoch   *uint64   `json:"epoch,omitzero"`
	Message **Message `json:"message,omitzero"`

	// RetryAfter is the value of the header Retry-After in seconds. Zero means that the
	// response has no such header.
	RetryAfter int `json:"-"`
}

// FieldProblem says what is wrong with one field, header or parameter.
type FieldProblem struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

type problemKind struct {
	status int
	title  string
}

// problemKinds is the one table of the HTTP status and title of each code.
var problemKinds = map[chat.Code]problemKind{
	chat.CodeInvalidRequest:       {http.StatusBadRequest, "The request is not valid"},
	CodeUnauthenticated:           {http.StatusUnauthorized, "A valid token is required"},
	chat.CodeMissingScope:         {http.StatusForbidden, "The token lacks a scope"},
	CodeDeviceMismatch:            {http.StatusForbidden, "The device is not the token's"},
	chat.CodeNotAParticipant:      {http.StatusForbidden, "Not a participant of the thread"},
	chat.CodeNotAnAdmin:           {http.StatusForbidden, "Not an admin of the group"},
	chat.CodeNotTheSender:         {http.StatusForbidden, "Not the sender of the message"},
	chat.CodeNoSharedThread:       {http.StatusForbidden, "No thread is shared with the user"},
	chat.CodeEditWindowClosed:     {http.StatusForbidden, "The message is too old to be changed"},
	CodeNotFound:                  {http.StatusNotFound, "No such route"},
	chat.CodeThreadNotFound:       {http.StatusNotFound, "No such thread"},
	chat.CodeMessageNotFound:      {http.StatusNotFound, "No such message"},
	chat.CodeParticipantNotFound:  {http.StatusNotFound, "No such participant"},
	chat.CodeDeviceNotFound:       {http.StatusNotFound, "No such device"},
	chat.CodeDeviceRemoved:        {http.StatusUnauthorized, "The device was removed"},
	chat.CodePinNotFound:          {http.StatusNotFound, "No such pin"},
	chat.CodeNoPrekeys:            {http.StatusNotFound, "The user has no prekeys"},
	CodeMethodNotAllowed:          {http.StatusMethodNotAllowed, "The route has no such method"},
	CodeRequestTimeout:            {http.StatusRequestTimeout, "The request came too slowly"},
	chat.CodeNotAGroup:            {http.StatusConflict, "The thread is not a group"},
	chat.CodeLastAdmin:            {http.StatusConflict, "The group would have no admin"},
	chat.CodeThreadFull:           {http.StatusConflict, "The group is full"},
	chat.CodeMessageDeleted:       {http.StatusConflict, "The message is deleted"},
	chat.CodeTooManyReactions:     {http.StatusConflict, "The message has too many different reactions"},
	chat.CodeTooManyPins:          {http.StatusConflict, "The thread has too many pins"},
	chat.CodeTooManyDevices:       {http.StatusConflict, "The user has prekeys of too many devices"},
	chat.CodeCannotAdd:            {http.StatusForbidden, "These people cannot be added"},
	chat.CodeTooManyStrangers:     {http.StatusTooManyRequests, "Too many people whom the caller does not know"},
	chat.CodeEpochConflict:        {http.StatusConflict, "The epoch is not the next one"},
	chat.CodeBlocked:              {http.StatusForbidden, "The other participant blocks the caller"},
	chat.CodeCiphertextTooLarge:   {http.StatusRequestEntityTooLarge, "The ciphertext is too large"},
	CodeBodyTooLarge:              {http.StatusRequestEntityTooLarge, "The body is too large"},
	CodeUnsupportedMediaType:      {http.StatusUnsupportedMediaType, "The body must be application/json"},
	chat.CodeAttachmentBlocked:    {http.StatusUnprocessableEntity, "The attachment is blocked"},
	chat.CodeIdempotencyKeyReused: {http.StatusUnprocessableEntity, "The idempotency key was used for another request"},
	chat.CodeRateLimited:          {http.StatusTooManyRequests, "Too many requests"},
	CodeOriginNotAllowed:          {http.StatusForbidden, "Pages of this origin may not connect"},
	CodeUpgradeRequired:           {http.StatusUpgradeRequired, "A WebSocket upgrade is required"},
	CodeHeadersTooLarge:           {http.StatusRequestHeaderFieldsTooLarge, "The headers are too large"},
	CodeInternal:                  {http.StatusInternalServerError, "Internal error"},
	chat.CodePrekeysExhausted:     {http.StatusServiceUnavailable, "The user's prekeys are used up"},
	chat.CodeUnavailable:          {http.StatusServiceUnavailable, "Not available now"},
}

// ProblemOf is what the client is told of err. An error that is not a *chat.Error, or
// whose code is not in problemKinds, is a bug of the server: the client is told the code
// internal and no more.
func ProblemOf(err error) Problem {
	refusal, ok := errors.AsType[*chat.Error](err)
	if !ok {
		return internalProblem()
	}
	kind, ok := problemKinds[refusal.Code]
	if !ok {
		return internalProblem()
	}
	p := Problem{
		Type: "/problems/" + string(refusal.Code), Title: kind.title, Status: kind.status,
		Detail: refusal.Detail, Code: refusal.Code, RetryAfter: retryAfter(kind.status, refusal.RetryAfter),
	}
	if conflict := refusal.Epoch; conflict != nil {
		epoch, holder := uint64(conflict.Epoch), (*Message)(nil)
		if conflict.Message != nil {
			m := NewMessage(*conflict.Message)
			holder = &m
		}
		p.Epoch, p.Message = &epoch, &holder
	}
	for _, f := range refusal.Fields {
		p.Errors = append(p.Errors, FieldProblem(f))
	}
	if p.Detail == "" && len(p.Errors) > 0 {
		p.Detail = p.Errors[0].Field + " " + p.Errors[0].Message
	}
	if p.Detail == "" {
		p.Detail = p.Title
	}
	return p
}

func internalProblem() Problem {
	return ProblemOf(chat.Refuse(CodeInternal, "the failure was logged under the request id"))
}

// retryAfter is d rounded up to whole seconds, and at least 1, for the statuses 429 and
// 503, which always say when to retry. For all others it is 0.
func retryAfter(status int, d time.Duration) int {
	if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		return 0
	}
	return max(1, int(math.Ceil(d.Seconds())))
}

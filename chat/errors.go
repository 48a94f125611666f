package chat

import (
	"errors"
	"fmt"
	"time"
)

// Code is a stable, machine-readable name of a refusal (docs/contract.md#requests).
type Code string

// The codes that rules of the domain give. The border maps each to its status.
const (
	CodeInvalidRequest       Code = "invalid_request"
	CodeMissingScope         Code = "missing_scope"
	CodeNotAParticipant      Code = "not_a_participant"
	CodeNotAnAdmin           Code = "not_an_admin"
	CodeNotTheSender         Code = "not_the_sender"
	CodeNoSharedThread       Code = "no_shared_thread"
	CodeEditWindowClosed     Code = "edit_window_closed"
	CodeThreadNotFound       Code = "thread_not_found"
	CodeMessageNotFound      Code = "message_not_found"
	CodeParticipantNotFound  Code = "participant_not_found"
	CodePinNotFound          Code = "pin_not_found"
	CodeDeviceNotFound       Code = "device_not_found"
	CodeDeviceRemoved        Code = "device_removed"
	CodeNoPrekeys            Code = "no_prekeys"
	CodeNotAGroup            Code = "not_a_group"
	CodeThreadFull           Code = "thread_full"
	CodeLastAdmin            Code = "last_admin"
	CodeMessageDeleted       Code = "message_deleted"
	CodeTooManyReactions     Code = "too_many_reactions"
	CodeTooManyPins          Code = "too_many_pins"
	CodeTooManyDevices       Code = "too_many_devices"
	CodeAttachmentBlocked    Code = "attachment_blocked"
	CodeIdempotencyKeyReused Code = "idempotency_key_reused"
	CodeCiphertextTooLarge   Code = "ciphertext_too_large"
	CodeCannotAdd            Code = "cannot_add"
	CodeTooManyStrangers     Code = "too_many_strangers"
	CodeEpochConflict        Code = "epoch_conflict"
	CodeBlocked              Code = "blocked"
	CodeRateLimited          Code = "rate_limited"
	CodePrekeysExhausted     Code = "prekeys_exhausted"
	CodeUnavailable          Code = "unavailable"
)

// Error is a refusal that the caller is told: it never carries internals, which
// go to the log through Unwrap.
type Error struct {
	Code       Code
	Detail     string       // one sentence for a developer
	Fields     []FieldError // for invalid_request
	RetryAfter time.Duration
	Epoch      *EpochConflict // for epoch_conflict
	cause      error
}

// FieldError says what is wrong with one field of a request.
type FieldError struct {
	Field   string
	Message string
}

func (e *Error) Error() string {
	msg := string(e.Code)
	if e.Detail != "" {
		msg += ": " + e.Detail
	}
	for _, f := range e.Fields {
		msg += fmt.Sprintf(" (%s %s)", f.Field, f.Message)
	}
	if e.cause != nil {
		msg += ": " + e.cause.Error()
	}
	return msg
}

func (e *Error) Unwrap() error { return e.cause }

// Refuse makes an Error.
func Refuse(code Code, detail string) *Error { return &Error{Code: code, Detail: detail} }

// Because adds what the log is told of the refusal, and the caller is not.
func (e *Error) Because(cause error) *Error {
	e.cause = cause
	return e
}

// Invalid makes an invalid_request about one field.
func Invalid(field, message string) *Error {
	return &Error{Code: CodeInvalidRequest, Fields: []FieldError{{field, message}}}
}

// Unavailable wraps a failure of the store or the bus: the caller may retry.
func Unavailable(doing string, cause error) *Error {
	after := time.Second
	if errors.Is(cause, ErrStoreFull) || errors.Is(cause, ErrClockWrong) {
		after = operatorsRetry
	}
	return &Error{
		Code: CodeUnavailable, Detail: "the service cannot do this now, retry later",
		RetryAfter: after, cause: fmt.Errorf("%s: %w", doing, cause),
	}
}

// operatorsRetry is when a client is to try again while somebody has to make room on the
// store's disk first, or to set the clock.
const operatorsRetry = 30 * time.Second

// CodeOf is the code of err, or CodeUnavailable if it is no Error.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeUnavailable
}

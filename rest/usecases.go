package rest

import (
	"context"

	"github.com/parleyhq/parley/chat"
)

// Chat lists the use cases that REST calls; *chat.Service has them. A client
// is told of an error that is a *chat.Error; any other is answered as internal or, at a
// deadline, as unavailable.
type Chat interface {
	ThreadCalls
	MessageCalls
	ChangeCalls
	PinCalls
	PrekeyCalls
	DeviceCalls
	BlockCalls
	ModerationCalls
	Health(ctx context.Context) chat.Health
	// Rates lists the rates that limit a caller.
	Rates(c chat.Caller) []chat.RateState
}

// ThreadCalls are the use cases about threads and who is in them.
type ThreadCalls interface {
	CreateThread(ctx context.Context, c chat.Caller, req chat.CreateThread) (v chat.ThreadView, outcome chat.CreateOutcome, err error)
	Thread(ctx context.Context, c chat.Caller, id chat.ThreadID) (chat.ThreadView, error)
	Threads(ctx context.Context, c chat.Caller, p chat.PageRequest) (chat.ThreadPage, error)
	OwnState(ctx context.Context, c chat.Caller, id chat.ThreadID) (chat.Me, error)
	SetOwnState(ctx context.Context, c chat.Caller, id chat.ThreadID, change chat.StateChange) (chat.Me, error)
	Unread(ctx context.Context, c chat.Caller) (chat.UnreadCounts, error)
	SetTitle(ctx context.Context, c chat.Caller, id chat.ThreadID, title string) (chat.ThreadView, error)
	AddParticipant(ctx context.Context, c chat.Caller, id chat.ThreadID, user chat.UserID) (v chat.ParticipantView, added bool, err error)
	SetRole(ctx context.Context, c chat.Caller, id chat.ThreadID, user chat.UserID, role chat.Role) (chat.ParticipantView, error)
	RemoveParticipant(ctx context.Context, c chat.Caller, id chat.ThreadID, user chat.UserID) error
}

// MessageCalls are the use cases about messages and their receipts.
type MessageCalls interface {
	Send(ctx context.Context, c chat.Caller, req chat.SendRequest) (chat.SendResult, error)
	History(ctx context.Context, c chat.Caller, id chat.ThreadID, p chat.PageRequest) (chat.MessagePage, error)
	HistorySince(ctx context.Context, c chat.Caller, id chat.ThreadID, since chat.MessageID, p chat.PageRequest) (chat.MessagePage, error)
	Events(ctx context.Context, c chat.Caller, id chat.ThreadID, since chat.Seq, p chat.PageRequest) (chat.EventPage, error)
	Message(ctx context.Context, c chat.Caller, id chat.MessageID) (chat.Event, error)
	MarkRead(ctx context.Context, c chat.Caller, id chat.ThreadID, upTo chat.MessageID) error
	Receipts(ctx context.Context, c chat.Caller, id chat.MessageID) ([]chat.RecipientReceipt, error)
}

// ChangeCalls are the use cases that change a message after it was sent.
type ChangeCalls interface {
	Edit(ctx context.Context, c chat.Caller, id chat.MessageID, req chat.EditRequest) (chat.Event, error)
	Delete(ctx context.Context, c chat.Caller, id chat.MessageID) error
	React(ctx context.Context, c chat.Caller, id chat.MessageID, emoji string) (chat.Event, error)
	Reactions(ctx context.Context, c chat.Caller, id chat.MessageID, emoji string, p chat.PageRequest) (chat.ReactionPage, error)
	Unreact(ctx context.Context, c chat.Caller, id chat.MessageID, emoji string) error
}

// PinCalls are the use cases about pinned messages.
type PinCalls interface {
	Pins(ctx context.Context, c chat.Caller, id chat.ThreadID) ([]chat.Pin, error)
	Pin(ctx context.Context, c chat.Caller, id chat.ThreadID, message chat.MessageID) (p chat.Pin, added bool, err error)
	Unpin(ctx context.Context, c chat.Caller, id chat.ThreadID, message chat.MessageID) error
}

// PrekeyCalls are the use cases about the keys of devices.
type PrekeyCalls interface {
	UploadPrekeys(ctx context.Context, c chat.Caller, u chat.PrekeyUpload) (chat.StoredPrekeys, error)
	OwnPrekeys(ctx context.Context, c chat.Caller) ([]chat.PrekeyDevice, error)
	FetchPrekeys(ctx context.Context, c chat.Caller, user chat.UserID) (chat.PrekeyBundle, error)
	FetchGroupPrekeys(ctx context.Context, c chat.Caller, id chat.ThreadID, users []chat.UserID) (chat.GroupPrekeys, error)
}

// DeviceCalls are the use cases about the devices of users.
type DeviceCalls interface {
	Devices(ctx context.Context, c chat.Caller) ([]chat.Device, error)
	RemoveDevice(ctx context.Context, c chat.Caller, device chat.DeviceID) error
	DevicesOf(ctx context.Context, c chat.Caller, user chat.UserID) ([]chat.PrekeyDevice, error)
}

// BlockCalls are the use cases about blocking users and seeing their presence.
type BlockCalls interface {
	Block(ctx context.Context, c chat.Caller, user chat.UserID) error
	Unblock(ctx context.Context, c chat.Caller, user chat.UserID) error
	Blocks(ctx context.Context, c chat.Caller, p chat.PageRequest) (chat.BlockPage, error)
	Presence(ctx context.Context, c chat.Caller, user chat.UserID) (chat.Presence, error)
}

// ModerationCalls are the use cases with which users report messages and operators deny
// attachments.
type ModerationCalls interface {
	Report(ctx context.Context, c chat.Caller, id chat.MessageID, reason chat.ReportReason, note string) (r chat.Report, added bool, err error)
	Reports(ctx context.Context, c chat.Caller, p chat.PageRequest) (chat.ReportPage, error)
	DenyAttachment(ctx context.Context, c chat.Caller, sha256 string) error
	AllowAttachment(ctx context.Context, c chat.Caller, sha256 string) error
}

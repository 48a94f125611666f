package chat

import (
	"time"

	"github.com/oklog/ulid/v2"
)

// EventKind is the family of an [Event]; it is also the frame type that tells
// clients of it (contract 4.1).
type EventKind string

// The kinds of events a log holds so far. Edits, deletes and reactions join
// them as kinds of their own.
const (
	KindMessage EventKind = "msg"
	KindThread  EventKind = "thread"
)

// Event is one entry of a thread's log. Events are immutable once appended and
// shared between goroutines; nobody writes into one.
type Event struct {
	Thread ThreadID
	Seq    Seq
	ID     EventID // event time, and a message's public id
	Kind   EventKind
	By     UserID   // who did it; a message's sender
	Device DeviceID // the device it was done on

	Message *Message      // KindMessage
	Change  *ThreadChange // KindThread
}

// At is the event time, in UTC, to the millisecond.
func (e Event) At() time.Time { return ulidTime(e.ID) }

func ulidTime(id ulid.ULID) time.Time { return time.UnixMilli(int64(id.Time())).UTC() }

// Retry is what recognises a repetition of the request that made the event: the
// idempotency key, "" if it had none, and a hash of every other value.
func (e Event) Retry() (key string, hash [32]byte) {
	switch {
	case e.Message != nil:
		return e.Message.IdempotencyKey, e.Message.BodyHash
	case e.Change != nil:
		return e.Change.IdempotencyKey, e.Change.BodyHash
	}
	return "", hash
}

// ContentType says what the ciphertext of a message refers to (contract 3.1).
type ContentType string

// The content types of contract 3.1.
const (
	Text     ContentType = "text"
	ImageRef ContentType = "image_ref"
	VideoRef ContentType = "video_ref"
	AudioRef ContentType = "audio_ref"
	FileRef  ContentType = "file_ref"
	System   ContentType = "system"
)

// Message is what a KindMessage event carries besides the event itself.
type Message struct {
	Ciphertext       []byte
	ContentType      ContentType
	ClientSeq        int64
	AttachmentID     string
	AttachmentSHA256 string    // 64 lower-case hex digits, or ""
	ReplyTo          MessageID // zero is none
	ExpiresAt        time.Time // zero is never

	// IdempotencyKey and BodyHash recognise a retry of this send: the key is the
	// sender's, the hash covers every other value of the request.
	IdempotencyKey string
	BodyHash       [32]byte
}

// ChangeEvent says what a KindThread event did (contract 4.1, frame `thread`).
type ChangeEvent string

// The change events of contract 4.1.
const (
	ThreadCreated      ChangeEvent = "created"
	TitleChanged       ChangeEvent = "title_changed"
	ParticipantAdded   ChangeEvent = "participant_added"
	ParticipantRemoved ChangeEvent = "participant_removed"
	RoleChanged        ChangeEvent = "role_changed"
)

// ThreadChange is what a KindThread event carries.
type ThreadChange struct {
	Event   ChangeEvent
	Type    ThreadType      // created
	Members []InitialMember // created, in the order of the request
	User    UserID          // participant_added, participant_removed, role_changed
	Role    Role            // participant_added, role_changed
	Title   string          // created, title_changed; "" is none

	// IdempotencyKey and BodyHash recognise a retry of a creation; see Message.
	IdempotencyKey string
	BodyHash       [32]byte
}

// InitialMember is one of those a thread was created with.
type InitialMember struct {
	User UserID
	Role Role
}

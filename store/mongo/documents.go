package mongo

import (
	"time"

	"github.com/parleyhq/parley/chat"
)

// eventDoc is one event of a thread's log. The fields of a unique index are always there
// and never changed. Of the other fields, empty ones are left out.
type eventDoc struct {
	ID     chat.EventID   `bson:"_id"`
	At     time.Time      `bson:"at,omitempty"` // missing in documents of format 2
	Thread chat.ThreadID  `bson:"thread"`
	Seq    chat.Seq       `bson:"seq"`
	Kind   chat.EventKind `bson:"kind"`
	By     chat.UserID    `bson:"by"`
	Device chat.DeviceID  `bson:"device"`
	// Via is the process that made the event; missing in documents of format 4. No update
	// changes it.
	Via int64 `bson:"via,omitempty"`

	// Key is the idempotency key as storedKey gives it, and Gen in how many earlier idempotency windows the
	// sender has used it. An event without a key has a Key that no request can have.
	Key string `bson:"key"`
	Gen int64  `bson:"gen"`
	// ClientSeq is a message's client_seq, and the event's own id in any other event.
	ClientSeq any    `bson:"client_seq"`
	Hash      []byte `bson:"hash,omitempty"` // of the request that the key is for

	// Last is the thread's last message up to this event. It is left out in a message
	// that is hidden from nobody, as that is the last message itself unless it is a control
	// message.
	// Changed is the seq of the newest change up to this event: the changes up to there
	// are settled before a reader is given the event (settle.go).
	Last    *lastDoc `bson:"last,omitempty"`
	Changed chat.Seq `bson:"changed"`
	// Epoch is the thread's after this event; missing while it has none.
	Epoch *epochDoc `bson:"epoch,omitempty"`

	Hidden chat.UserID `bson:"hidden,omitempty"` // from whom
	Target *targetDoc  `bson:"target,omitempty"`

	Message  messageDoc        `bson:",inline"`
	Reaction *reactionEvent    `bson:"reaction,omitempty"`
	Reason   chat.DeleteReason `bson:"reason,omitempty"`
	Change   *changeDoc        `bson:"change,omitempty"`
}

// epochDoc is the epoch of a thread and the control message that began it. In the document
// of that message it is the message's, too.
type epochDoc struct {
	Number chat.Epoch     `bson:"n"`
	ID     chat.MessageID `bson:"id"`
}

// lastDoc is the last message of a log up to an event.
type lastDoc struct {
	ID     chat.MessageID `bson:"id"`
	Seq    chat.Seq       `bson:"seq"`
	At     time.Time      `bson:"at,omitempty"` // missing in documents of format 2
	Hidden chat.UserID    `bson:"hidden,omitempty"`
	Shown  *shownDoc      `bson:"shown,omitempty"` // the last one that Hidden sees
}

type shownDoc struct {
	ID  chat.MessageID `bson:"id"`
	Seq chat.Seq       `bson:"seq"`
	At  time.Time      `bson:"at,omitempty"` // missing in documents of format 2
}

type targetDoc struct {
	ID  chat.MessageID `bson:"id"`
	Seq chat.Seq       `bson:"seq"`
}

// messageDoc holds the fields that only a message has. In an edit it holds the new
// content, until the edit is folded into its message.
type messageDoc struct {
	Omitted    bool             `bson:"-"` // a body was read and dropped: see eventDoc.brief
	Body       []byte           `bson:"body,omitempty"`
	Type       chat.ContentType `bson:"type,omitempty"`
	Attachment string           `bson:"attachment,omitempty"`
	SHA256     string           `bson:"attachment_sha256,omitempty"`
	ReplyTo    chat.MessageID   `bson:"reply_to,omitempty"`
	Expires    time.Time        `bson:"expires,omitempty"`
	// Due is Expires as long as the message is not deleted.
	Due         time.Time         `bson:"due,omitempty"`
	Edited      time.Time         `bson:"edited,omitempty"`
	Deleted     chat.DeleteReason `bson:"deleted,omitempty"`
	Redelivered chat.Seq          `bson:"redelivered,omitempty"`
	// Given counts the reactions, by the emoji in hexadecimal; it is missing in a message
	// that never had any. Who gave them is in the collection reactions.
	Given map[string]givenDoc `bson:"given,omitempty"`
	// Reactions are all the reactions in a document of format 3.
	Reactions []reactionDoc `bson:"reactions,omitempty"`
	// Veils are what users see otherwise; missing in nearly all messages.
	Veils []veilDoc `bson:"veils,omitempty"`
	// Overlay is the seq of the newest event that is folded into the message.
	Overlay chat.Seq `bson:"overlay,omitempty"`
}

// veilDoc is a [chat.Veil].
type veilDoc struct {
	User    chat.UserID         `bson:"user"`
	Content *contentDoc         `bson:"content,omitempty"`
	Hidden  []string            `bson:"hidden,omitempty"`
	Kept    []veiledReactionDoc `bson:"kept,omitempty"`
}

type contentDoc struct {
	Body   []byte           `bson:"body"`
	Type   chat.ContentType `bson:"type"`
	Edited time.Time        `bson:"edited,omitempty"`
}

type veiledReactionDoc struct {
	Emoji string      `bson:"emoji"`
	User  chat.UserID `bson:"user"`
	At    time.Time   `bson:"at"`
	Seq   chat.Seq    `bson:"seq"`
}

// givenDoc says of one emoji of a message by which event it first came and how many have
// given it. Last is the event by which the last one that the message names gave it, once
// it names as many as it may.
type givenDoc struct {
	First chat.Seq `bson:"first"`
	Count int      `bson:"count"`
	Last  chat.Seq `bson:"last,omitempty"`
}

// reactedDoc says whether a user has given an emoji to a message, as the event Seq left it,
// and whether it had before that event. While On, Order is the event that gave it and At its
// time. It stays when the reaction is taken back, so that an old event that is settled again
// changes nothing.
type reactedDoc struct {
	ID      string         `bson:"_id"` // message/user/emoji
	Message chat.MessageID `bson:"message"`
	Emoji   string         `bson:"emoji"`
	User    chat.UserID    `bson:"user"`
	Seq     chat.Seq       `bson:"seq"`
	On      bool           `bson:"on"`
	Was     bool           `bson:"was"`
	Order   chat.Seq       `bson:"order"`
	At      time.Time      `bson:"at"`
}

type reactionDoc struct {
	Emoji string      `bson:"emoji"`
	By    []reactedBy `bson:"by"`
}

type reactedBy struct {
	User chat.UserID `bson:"user"`
	At   time.Time   `bson:"at"`
}

type reactionEvent struct {
	Emoji   string `bson:"emoji"`
	Removed bool   `bson:"removed,omitempty"`
}

type changeDoc struct {
	Event   chat.ChangeEvent `bson:"event"`
	Type    chat.ThreadType  `bson:"type,omitempty"`
	Members []initialMember  `bson:"members,omitempty"`
	User    chat.UserID      `bson:"user,omitempty"`
	Role    chat.Role        `bson:"role,omitempty"`
	Pending bool             `bson:"pending,omitempty"`
	Title   string           `bson:"title,omitempty"`
}

type initialMember struct {
	User    chat.UserID `bson:"user"`
	Role    chat.Role   `bson:"role"`
	Pending bool        `bson:"pending,omitempty"`
}

// threadDoc is a thread without its head, as the changes up to Applied left it.
type threadDoc struct {
	ID      chat.ThreadID   `bson:"_id"`
	Type    chat.ThreadType `bson:"type"`
	Title   string          `bson:"title"`
	Created time.Time       `bson:"created"`
	By      chat.UserID     `bson:"by"`
	Members []memberDoc     `bson:"members"`
	Pins    []pinDoc        `bson:"pins"`
	Applied chat.Seq        `bson:"applied"`
	// Reached is a seq that the log is known to have: a hint from which its head is looked
	// for (heads.go). Missing, it is Applied.
	Reached chat.Seq `bson:"reached,omitempty"`
}

type memberDoc struct {
	User chat.UserID  `bson:"user"`
	Role chat.Role    `bson:"role"`
	Seq  chat.Seq     `bson:"seq"` // of the joining
	ID   chat.EventID `bson:"id"`  // of the joining; missing in documents of format 2
	At   time.Time    `bson:"at"`
	// Pending says that the member has to accept the thread.
	Pending bool `bson:"pending,omitempty"`
}

type pinDoc struct {
	ID  chat.MessageID `bson:"id"`
	Seq chat.Seq       `bson:"seq"`
	By  chat.UserID    `bson:"by"`
	At  time.Time      `bson:"at"`
	// Hidden is the user who does not see the pin.
	Hidden chat.UserID `bson:"hidden,omitempty"`
}

// stintsDoc holds the stints of one user in one thread: the last one in Joined and Left,
// and those before it, oldest first, in Earlier.
type stintsDoc struct {
	ID      string        `bson:"_id"` // user/thread
	User    chat.UserID   `bson:"user"`
	Thread  chat.ThreadID `bson:"thread"`
	Joined  chat.Seq      `bson:"joined"`
	Left    chat.Seq      `bson:"left"` // 0 while in
	Earlier []stintDoc    `bson:"earlier"`

	Pending bool    `bson:"pending,omitempty"` // in the last stint the user has to accept the thread
	Own     *ownDoc `bson:"own,omitempty"`     // what the user keeps of the thread; missing until it changes that
}

// ownDoc is what a user keeps of a thread. It counts for the stint that it is of alone, but
// for its revision.
type ownDoc struct {
	Joined   chat.Seq  `bson:"joined"`
	Revision int64     `bson:"rev"`
	Accepted bool      `bson:"accepted"`
	Muted    time.Time `bson:"muted,omitempty"`
	Archived chat.Seq  `bson:"archived,omitempty"`
	Pinned   bool      `bson:"pinned,omitempty"`
	Unread   bool      `bson:"unread,omitempty"` // marked as unread
	Custom   *[]byte   `bson:"custom,omitempty"`
}

type stintDoc struct {
	Joined chat.Seq `bson:"joined"`
	Left   chat.Seq `bson:"left"`
}

// pairDoc says which thread is the 1:1 of two users, and holds the event that creates
// it.
type pairDoc struct {
	ID      string        `bson:"_id"` // the two users in order: ann/bob
	Thread  chat.ThreadID `bson:"thread"`
	Created eventDoc      `bson:"created"`
}

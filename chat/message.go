package chat

import (
	"slices"
	"time"
)

// ContentType says what the ciphertext of a message refers to
// (docs/contract.md#sending).
type ContentType string

// The content types of docs/contract.md#sending.
const (
	Text     ContentType = "text"
	ImageRef ContentType = "image_ref"
	VideoRef ContentType = "video_ref"
	AudioRef ContentType = "audio_ref"
	FileRef  ContentType = "file_ref"
	System   ContentType = "system"
	Control  ContentType = "control" // of the clients' own protocol (docs/contract.md#control-messages)
)

const contentTypeRule = "is none of text, image_ref, video_ref, audio_ref, file_ref, system, control"

var contentTypes = []ContentType{Text, ImageRef, VideoRef, AudioRef, FileRef, System, Control}

func (t ContentType) isRef() bool {
	return t == ImageRef || t == VideoRef || t == AudioRef || t == FileRef
}

// Message is the present state of a message: what was sent, with all later changes
// folded in. Messages are values: a change makes a new one, and never writes into
// slices that somebody else may hold.
type Message struct {
	CreatedAt        time.Time // [Event.At] of the event that sent it
	Ciphertext       []byte    // empty once deleted
	ContentType      ContentType
	ClientSeq        int64
	AttachmentID     string
	AttachmentSHA256 string    // 64 lower-case hex digits, or ""
	ReplyTo          MessageID // zero is none
	ExpiresAt        time.Time // zero is never
	Epoch            Epoch     // that a control message began; zero is none
	// Omitted says that the ciphertext is left out, as it is too large for frames and pages;
	// see [Event.Brief].
	Omitted bool

	EditedAt  time.Time    // zero is never
	Deleted   DeleteReason // "" while it is not
	Reactions []Reaction   // in the order in which each emoji first came

	// HiddenFrom is the recipient for whom the message is FAILED `blocked`. That user
	// never sees it, unless it is redelivered (docs/contract.md#blocks). "" is
	// nobody.
	HiddenFrom UserID
	// Veils are what users see otherwise than this says.
	Veils []Veil
	// RedeliveredSeq is the event that delivered it to the recipient who had blocked
	// the sender. That recipient's receipts count from there. Zero is none.
	RedeliveredSeq Seq

	// A retry of this send is recognised by IdempotencyKey, which the sender chose, and
	// BodyHash, which covers every other value of the request.
	IdempotencyKey string
	BodyHash       [32]byte
}

// DeleteReason says why a message is a tombstone (docs/contract.md#frames,
// frame `del`).
type DeleteReason string

// The reasons of docs/contract.md#frames.
const (
	DeletedBySender DeleteReason = "sender"
	DeletedByExpiry DeleteReason = "expired"
)

// Reaction is one emoji on a message, and the users who gave it, in that order.
type Reaction struct {
	Emoji string
	By    []ReactionBy // at most MaxReactionNames of them in what a store or a call gives
	More  int          // how many gave it besides those in By
}

// ShownTo gives a message as one viewer is shown it: of each reaction at most
// MaxReactionNames users, the first ones, with the viewer in the place of the last if it
// is in By behind them. [Service.Reactions] lists all. A store gives messages as they are
// shown to nobody, "".
func (e Event) ShownTo(viewer UserID) Event {
	if e.Message == nil || !slices.ContainsFunc(e.Message.Reactions, func(r Reaction) bool { return len(r.By) > MaxReactionNames }) {
		return e
	}
	m := *e.Message
	m.Reactions = slices.Clone(m.Reactions)
	for i, r := range m.Reactions {
		m.Reactions[i] = r.shownTo(viewer)
	}
	e.Message = &m
	return e
}

func (r Reaction) shownTo(viewer UserID) Reaction {
	const most = MaxReactionNames
	if len(r.By) <= most {
		return r
	}
	by := r.By[:most:most]
	if at := r.index(viewer); at >= most {
		by = append(slices.Clone(r.By[:most-1]), r.By[at])
	}
	return Reaction{Emoji: r.Emoji, By: by, More: r.More + len(r.By) - most}
}

// Size is what a message counts in the bytes of a list of messages: its ciphertext, and
// ReactionNameBytes for each user that its reactions name.
func (m Message) Size() int {
	names := 0
	for _, r := range m.Reactions {
		names += len(r.By)
	}
	return len(m.Ciphertext) + names*ReactionNameBytes
}

// ReactionBy is who gave a reaction, when, and by which event: those of one emoji are in
// the order of their Seq. What was stored before that was kept has a Seq between that of
// the message and those of its later reactions.
type ReactionBy struct {
	User UserID
	At   time.Time
	Seq  Seq
}

// ReactionChange is what a KindReaction event did: its By added the emoji to the
// target, or removed it.
type ReactionChange struct {
	Emoji   string
	Removed bool
}

// Apply folds an event about the message into its state. It is the only place
// that says what an event does to a message, as [Thread.Apply] is for threads.
func (m Message) Apply(e Event) Message {
	switch e.Kind {
	case KindEdit:
		if m.Deleted == "" {
			m.Veils = m.veilsAfterEdit(e)
			m.Ciphertext, m.ContentType, m.EditedAt = e.Message.Ciphertext, e.Message.ContentType, e.At
		}
	case KindDelete:
		m = m.erased(e.Reason)
	case KindReaction:
		if m.Deleted == "" {
			if given, is := m.given(e.By, e.Reaction.Emoji); is == e.Reaction.Removed {
				m.Veils = m.VeilsAfterReaction(e, given)
			}
			m.Reactions = withReaction(m.Reactions, e)
		}
	case KindRedelivery:
		m.HiddenFrom, m.RedeliveredSeq = "", e.Seq
	case KindMessage, KindThread: // they change no message
	}
	return m
}

// erased is the tombstone of the message
// (docs/contract.md#editing-and-deleting). The first reason stays.
func (m Message) erased(why DeleteReason) Message {
	if m.Deleted == "" {
		m.Deleted = why
	}
	m.Ciphertext, m.AttachmentID, m.AttachmentSHA256, m.Reactions, m.Veils, m.Omitted = nil, "", "", nil, nil, false
	return m
}

// IsControl reports whether the message is one of the clients' protocol, which counts
// neither as unread nor as activity (docs/contract.md#control-messages).
func (m Message) IsControl() bool { return m.ContentType == Control }

// IsLarge reports whether frames and pages leave the ciphertext out: that of a control
// message of more than MaxShownBytes.
func (m Message) IsLarge() bool { return m.IsControl() && len(m.Ciphertext) > MaxShownBytes }

// Brief is the event with its message as frames and pages show it.
func (e Event) Brief() Event {
	if e.Message != nil && e.Message.IsLarge() {
		m := *e.Message
		m.Ciphertext, m.Omitted = nil, true
		e.Message = &m
	}
	return e
}

// ExpiredAt reports whether the message has expired at the given moment and is not
// deleted.
func (m Message) ExpiredAt(now time.Time) bool {
	return m.Deleted == "" && !m.ExpiresAt.IsZero() && !m.ExpiresAt.After(now)
}

func (r Reaction) index(user UserID) int {
	return slices.IndexFunc(r.By, func(b ReactionBy) bool { return b.User == user })
}

// given finds a user's reaction among those that the message names.
func (m Message) given(user UserID, emoji string) (ReactionBy, bool) {
	for _, r := range m.Reactions {
		if i := r.index(user); r.Emoji == emoji && i >= 0 {
			return r.By[i], true
		}
	}
	return ReactionBy{}, false
}

func withReaction(reactions []Reaction, e Event) []Reaction {
	reactions = slices.Clone(reactions)
	i := slices.IndexFunc(reactions, func(r Reaction) bool { return r.Emoji == e.Reaction.Emoji })
	switch {
	case e.Reaction.Removed && i < 0:
	case e.Reaction.Removed:
		at := reactions[i].index(e.By)
		if at < 0 {
			reactions[i].More = max(reactions[i].More-1, 0) // one of those that By leaves out
			break
		}
		if reactions[i].By = slices.Delete(slices.Clone(reactions[i].By), at, at+1); len(reactions[i].By)+reactions[i].More == 0 {
			reactions = slices.Delete(reactions, i, i+1)
		}
	case i < 0:
		reactions = append(reactions, Reaction{Emoji: e.Reaction.Emoji, By: []ReactionBy{{e.By, e.At, e.Seq}}})
	case reactions[i].index(e.By) < 0:
		reactions[i].By = append(slices.Clip(reactions[i].By), ReactionBy{e.By, e.At, e.Seq})
	}
	if len(reactions) == 0 {
		return nil
	}
	return reactions
}

package chat

import (
	"slices"
	"time"
)

// ThreadType tells a conversation of two from a group.
type ThreadType string

// The thread types of docs/contract.md#threads.
const (
	OneToOne ThreadType = "1_TO_1"
	Group    ThreadType = "GROUP"
)

// Role is what a participant may do in a group.
type Role string

// The roles of docs/contract.md#threads.
const (
	Admin  Role = "admin"
	Member Role = "member"
)

// Thread is the present state of one thread: its log, folded by [Thread.Apply]. Threads
// are values: a change makes a new one, and never writes into slices that somebody else
// may hold.
type Thread struct {
	ID        ThreadID
	Type      ThreadType
	Title     string // "" is no title
	CreatedAt time.Time
	CreatedBy UserID
	// Participants are the present ones in order of joining; those of the
	// creating request keep its order.
	Participants []Participant
	Pins         []Pin // in order of pinning
	Head         Head
}

// Pin is a message that somebody pinned.
type Pin struct {
	Message MessageID
	Seq     Seq // of the message
	By      UserID
	At      time.Time
	// HiddenFrom is the user who does not see the pin: it blocked who pinned the message, or
	// has unpinned it while the other one blocked it. "" is nobody.
	HiddenFrom UserID
}

// Participant is a user who is in a thread now.
type Participant struct {
	User      UserID
	Role      Role
	JoinedSeq Seq     // the event it joined with; see [Participant.Sees]
	JoinedID  EventID // that event's id
	JoinedAt  time.Time
	// Pending says that somebody put the user in with whom it had no 1:1 that it had accepted:
	// it has to accept the thread first ([OwnState]).
	Pending bool
}

// Head is where a thread's log ends, and the newest message in it.
type Head struct {
	Seq            Seq
	ID             EventID   // of the newest event
	LastMessage    MessageID // zero while there is none
	LastMessageSeq Seq
	LastMessageAt  time.Time // its [Message.CreatedAt]
	// LastHiddenFrom is the user who does not see that message; "" is nobody. LastShown
	// is the newest message that this user sees; zero is none.
	LastHiddenFrom UserID
	LastShown      Target
	LastShownAt    time.Time // its [Message.CreatedAt]

	// Epoch is the thread's, and EpochMessage the control message that began it; both are
	// zero while there was none.
	Epoch        Epoch
	EpochMessage MessageID
}

// withControl moves the head over a control message: it is no last message.
func (h Head) withControl(e Event) Head {
	if e.Message.Epoch > 0 {
		h.Epoch, h.EpochMessage = e.Message.Epoch, e.ID
	}
	return h
}

// withMessage moves the head over a message. A message is hidden in 1:1s only, and only
// from one of the two. So if the last message was hidden from the other one, the user who
// does not see this one sees that.
func (h Head) withMessage(e Event) Head {
	if e.Message.IsControl() {
		return h.withControl(e)
	}
	switch e.Message.HiddenFrom {
	case "":
		h.LastShown, h.LastShownAt = Target{}, time.Time{}
	case h.LastHiddenFrom:
	default:
		h.LastShown, h.LastShownAt = Target{h.LastMessage, h.LastMessageSeq}, h.LastMessageAt
	}
	h.LastMessage, h.LastMessageSeq, h.LastMessageAt = e.ID, e.Seq, e.At
	h.LastHiddenFrom = e.Message.HiddenFrom
	return h
}

// withRedelivery moves the head over a redelivery, whose target is hidden no more.
func (h Head) withRedelivery(e Event) Head {
	switch {
	case e.Message != nil && e.Message.IsControl():
	case e.Target.ID == h.LastMessage:
		h.LastHiddenFrom, h.LastShown, h.LastShownAt = "", Target{}, time.Time{}
	case h.LastHiddenFrom != "" && e.Target.Seq > h.LastShown.Seq:
		h.LastShown, h.LastShownAt = e.Target, e.Message.CreatedAt
	}
	return h
}

// Participant finds a present participant.
func (t Thread) Participant(u UserID) (Participant, bool) {
	if i := t.index(u); i >= 0 {
		return t.Participants[i], true
	}
	return Participant{}, false
}

func (t Thread) index(u UserID) int {
	return slices.IndexFunc(t.Participants, func(p Participant) bool { return p.User == u })
}

// Users lists the present participants' ids.
func (t Thread) Users() []UserID {
	users := make([]UserID, len(t.Participants))
	for i, p := range t.Participants {
		users[i] = p.User
	}
	return users
}

// LastActivity is the last message's time, or the creation while there is none.
func (t Thread) LastActivity() time.Time {
	if t.Head.LastMessageSeq == 0 {
		return t.CreatedAt
	}
	return t.Head.LastMessageAt
}

// Apply folds the next event of the thread's log into its state. It is the only
// place that says what an event does to a thread; stores that can only write one
// document at a time use it to roll a thread forward from its log.
func (t Thread) Apply(e Event) Thread {
	t.Head.Seq, t.Head.ID = e.Seq, e.ID
	switch e.Kind {
	case KindMessage:
		t.Head = t.Head.withMessage(e)
	case KindRedelivery:
		t.Head = t.Head.withRedelivery(e)
	case KindDelete: // what is deleted is unpinned by that
		t.Pins = t.pinsWithout(e.Target.ID)
	case KindThread:
		t = t.applyChange(e)
	case KindEdit, KindReaction: // they change the message alone
	}
	return t
}

func (t Thread) applyChange(e Event) Thread {
	c := e.Change
	switch c.Event {
	case ThreadCreated:
		t.ID, t.Type, t.Title = e.Thread, c.Type, c.Title
		t.CreatedAt, t.CreatedBy = e.At, e.By
		t.Participants = make([]Participant, 0, len(c.Members))
		for _, m := range c.Members {
			t.Participants = append(t.Participants, Participant{User: m.User, Role: m.Role, JoinedSeq: e.Seq, JoinedID: e.ID, JoinedAt: e.At, Pending: m.Pending})
		}
	case ParticipantAdded:
		joined := Participant{User: c.User, Role: c.Role, JoinedSeq: e.Seq, JoinedID: e.ID, JoinedAt: e.At, Pending: c.Pending}
		t.Participants = append(slices.Clip(t.Participants), joined)
	case ParticipantRemoved:
		if i := t.index(c.User); i >= 0 {
			t.Participants = slices.Delete(slices.Clone(t.Participants), i, i+1)
		}
	case RoleChanged:
		if i := t.index(c.User); i >= 0 {
			t.Participants = slices.Clone(t.Participants)
			t.Participants[i].Role = c.Role
		}
	case TitleChanged:
		t.Title = c.Title
	case Pinned:
		t.Pins = t.pinsWith(e)
	case Unpinned:
		t.Pins = t.pinsAfterUnpin(e)
	}
	return t
}

// pin finds a pinned message.
func (t Thread) pin(id MessageID) (Pin, bool) {
	for _, p := range t.Pins {
		if p.Message == id {
			return p, true
		}
	}
	return Pin{}, false
}

// pinsWith are the pins once an event has pinned a message. Who pins what only the other one has
// pinned, hidden from it, takes the pin over; who pins again what it has unpinned unseen by the
// other one sees the pin again.
func (t Thread) pinsWith(e Event) []Pin {
	pinned := Pin{Message: e.Target.ID, Seq: e.Target.Seq, By: e.By, At: e.At, HiddenFrom: e.HiddenFrom}
	if old, is := t.pin(e.Target.ID); is && e.HiddenFrom != "" && old.HiddenFrom == e.By {
		pinned.By, pinned.At, pinned.HiddenFrom = old.By, old.At, ""
	}
	return append(slices.Clip(t.pinsWithout(e.Target.ID)), pinned)
}

// pinsAfterUnpin are the pins once an event has unpinned a message. Of a pin that is seen by the
// one who is not told of that, the other one sees no more.
func (t Thread) pinsAfterUnpin(e Event) []Pin {
	old, is := t.pin(e.Target.ID)
	if !is || e.HiddenFrom == "" || e.HiddenFrom == old.HiddenFrom || e.HiddenFrom == e.By { // the last makes room for another
		return t.pinsWithout(e.Target.ID)
	}
	pins := slices.Clone(t.Pins)
	for i, p := range pins {
		if p.Message == e.Target.ID {
			pins[i].HiddenFrom = e.By
		}
	}
	return pins
}

// pinnedFor finds a pinned message whose pin is not hidden from a user.
func (t Thread) pinnedFor(user UserID, id MessageID) (Pin, bool) {
	p, is := t.pin(id)
	return p, is && p.HiddenFrom != user
}

// pinsWithout never writes into the slice it leaves a message out of.
func (t Thread) pinsWithout(id MessageID) []Pin {
	if _, pinned := t.pin(id); !pinned {
		return t.Pins
	}
	if len(t.Pins) == 1 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(t.Pins), func(p Pin) bool { return p.Message == id })
}

// successor is the participant who becomes admin when leaving goes: the first of the
// others to have joined, in the order of the creating request if they joined together.
// There is none if an admin stays, or if nobody stays.
func (t Thread) successor(leaving UserID) (UserID, bool) {
	var heir UserID
	for _, p := range t.Participants {
		switch {
		case p.User == leaving:
		case p.Role == Admin:
			return "", false
		case heir == "":
			heir = p.User // Participants is in order of joining
		}
	}
	return heir, heir != ""
}

// Stint is the time of a user in a thread, from the event it joined with to the event it
// left with. Who comes back begins another one.
type Stint struct {
	User      UserID
	JoinedSeq Seq
	LeftSeq   Seq // of the removal that ended it; zero while it lasts
}

// Covers reports whether the user was in the thread when event seq was appended.
func (s Stint) Covers(seq Seq) bool {
	return s.JoinedSeq <= seq && (s.LeftSeq == 0 || seq < s.LeftSeq)
}

// UserThread is one line of a user's list of threads: the user's last stint in the
// thread, and where the thread's log ends.
type UserThread struct {
	Thread    ThreadID
	JoinedSeq Seq // of the last joining
	LeftSeq   Seq // of the removal that ended it; zero while it is in
	Head      Head
	State     OwnState // what the user keeps of it; of no meaning once it has left
}

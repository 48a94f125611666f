package model

import (
	"fmt"
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/storetest"
)

// spec is the contract as a model: everything that ever happened, in lists, and
// the plainest way to say what follows from it.
type spec struct {
	clock    *storetest.Clock
	threads  []*specThread
	messages []*specMessage // of all threads, as they were sent
	byID     map[chat.MessageID]*specMessage
	keys     map[specKey]specUse
	numbers  map[specNumber]*specMessage
	blocks   map[specBlock]time.Time
	denied   map[string]bool
	devices  map[chat.UserID]map[chat.DeviceID]*specDevice
	reports  []chat.Report // without their ids
}

func newSpec(c *storetest.Clock) *spec {
	return &spec{
		clock: c, byID: make(map[chat.MessageID]*specMessage), keys: make(map[specKey]specUse), numbers: make(map[specNumber]*specMessage),
		blocks: make(map[specBlock]time.Time), denied: make(map[string]bool), devices: make(map[chat.UserID]map[chat.DeviceID]*specDevice),
	}
}

// specKey is an idempotency key of a user; specUse is what it was last used for.
type (
	specKey struct {
		user chat.UserID
		key  string
	}
	specUse struct {
		at      time.Time
		message *specMessage // nil: it was a creation
		send    chat.SendRequest
		thread  *specThread
		create  chat.CreateThread
	}
)

// specNumber is a client_seq.
type specNumber struct {
	thread *specThread
	user   chat.UserID
	device chat.DeviceID
	number int64
}

type specBlock struct{ user, blocked chat.UserID }

type specThread struct {
	name    string
	id      chat.ThreadID
	kind    chat.ThreadType
	title   string
	by      chat.UserID
	at      time.Time
	members []specMember // in order of joining
	stays   []specStay   // of everybody who is or was in
	log     []*specEvent
	sent    []*specMessage
	pins    []specPin
	marks   map[chat.UserID][]specMark // of both kinds, as they were made
}

type specMember struct {
	user   chat.UserID
	role   chat.Role
	joined chat.Seq
	at     time.Time
}

type specStay struct {
	user         chat.UserID
	joined, left chat.Seq // left is 0 while it lasts
}

type specPin struct {
	message *specMessage
	by      chat.UserID
	at      time.Time
}

type specMark struct {
	kind    chat.MarkKind
	seq     chat.Seq
	message *specMessage
	at      time.Time
}

// specEvent is an event of a log. What it shows of a message is the message's.
type specEvent struct {
	seq     chat.Seq
	id      chat.EventID // known once the bus has told it
	at      time.Time
	kind    chat.EventKind
	by      chat.UserID
	device  chat.DeviceID
	about   *specMessage // a msg's own too
	hidden  chat.UserID
	emoji   string
	removed bool
	reason  chat.DeleteReason
	what    chat.ChangeEvent
	user    chat.UserID
	role    chat.Role
	title   string
	members []chat.InitialMember
}

type specMessage struct {
	name        string
	thread      *specThread
	sent        *specEvent
	req         chat.SendRequest
	text        string
	kind        chat.ContentType
	expires     time.Time // zero is never
	edited      time.Time
	gone        chat.DeleteReason // as the log says
	reactions   []specReaction
	hiddenFrom  chat.UserID
	redelivered chat.Seq
	readAlone   time.Time // when the recipient of the redelivery read it, and not what lay between
}

type specReaction struct {
	emoji string
	by    []chat.ReactionBy
}

type specDevice struct {
	upload  chat.PrekeyUpload
	oneTime map[uint32]string
	taken   map[uint32]bool
}

func (s *spec) now() time.Time { return s.clock.Now() }

func (m *specMessage) seq() chat.Seq   { return m.sent.seq }
func (m *specMessage) by() chat.UserID { return m.sent.by }

// goneAt is why a message is a tombstone at a moment, "" if it is none.
func (m *specMessage) goneAt(now time.Time) chat.DeleteReason {
	if m.gone == "" && !m.expires.IsZero() && !now.Before(m.expires) {
		return chat.DeletedByExpiry
	}
	return m.gone
}

func (m *specMessage) reaction(emoji string) int {
	return slices.IndexFunc(m.reactions, func(r specReaction) bool { return r.emoji == emoji })
}

// gave reports whether a user has given an emoji.
func (m *specMessage) gave(user chat.UserID, emoji string) bool {
	i := m.reaction(emoji)
	return i >= 0 && slices.ContainsFunc(m.reactions[i].by, func(b chat.ReactionBy) bool { return b.User == user })
}

func (t *specThread) member(u chat.UserID) *specMember {
	for i := range t.members {
		if t.members[i].user == u {
			return &t.members[i]
		}
	}
	return nil
}

func (t *specThread) users() []chat.UserID {
	users := make([]chat.UserID, len(t.members))
	for i, m := range t.members {
		users[i] = m.user
	}
	return users
}

// other is the second person of a 1:1.
func (t *specThread) other(u chat.UserID) chat.UserID {
	if t.kind != chat.OneToOne || t.member(u) == nil {
		return ""
	}
	return t.members[slices.IndexFunc(t.members, func(m specMember) bool { return m.user != u })].user
}

// blocker is who of a 1:1 does not want to hear from a user, "" if nobody.
func (s *spec) blocker(t *specThread, user chat.UserID) chat.UserID {
	if other := t.other(user); other != "" {
		if _, blocks := s.blocks[specBlock{other, user}]; blocks {
			return other
		}
	}
	return ""
}

// sees reports whether a user may see a message of the thread.
func (t *specThread) sees(u chat.UserID, m *specMessage) bool {
	me := t.member(u)
	return me != nil && m.thread == t && m.seq() >= me.joined && m.hiddenFrom != u
}

// visible are the messages that a user sees, oldest first.
func (t *specThread) visible(u chat.UserID) (all []*specMessage) {
	for _, m := range t.sent {
		if t.sees(u, m) {
			all = append(all, m)
		}
	}
	return all
}

// told are the events that a user is told of, oldest first.
func (t *specThread) told(u chat.UserID) (all []*specEvent) {
	me := t.member(u)
	for _, e := range t.log[me.joined-1:] {
		hidden := e.hidden == u || e.kind == chat.KindMessage && e.about.hiddenFrom == u
		if !hidden && (e.about == nil || e.about.seq() >= me.joined) {
			all = append(all, e)
		}
	}
	return all
}

// last is a user's newest mark of a kind.
func (t *specThread) last(u chat.UserID, kind chat.MarkKind) (last specMark) {
	for _, k := range t.marks[u] {
		if k.kind == kind {
			last = k
		}
	}
	return last
}

// received is how far a user has received, delivered or read; the message never
// goes back.
func (t *specThread) received(u chat.UserID) (chat.Seq, *specMessage) {
	d, r := t.last(u, chat.Delivered), t.last(u, chat.Read)
	return max(d.seq, r.seq), newer(d.message, r.message)
}

// newer is the newer of two messages of a thread; either may be none.
func newer(a, b *specMessage) *specMessage {
	if a == nil || b != nil && b.seq() > a.seq() {
		return b
	}
	return a
}

// unread is how many messages a user has yet to read, up to 100.
func (s *spec) unread(t *specThread, u chat.UserID) (n int) {
	read := t.last(u, chat.Read).seq
	for _, m := range t.visible(u) {
		if m.by() != u && m.seq() > read && m.goneAt(s.now()) == "" {
			n++
		}
	}
	return min(n, 100)
}

// lastMessage is the newest message that is not hidden from a user.
func (t *specThread) lastMessage(u chat.UserID) *specMessage {
	for _, m := range slices.Backward(t.sent) {
		if m.hiddenFrom != u {
			return m
		}
	}
	return nil
}

func (t *specThread) activity(u chat.UserID) time.Time {
	if m := t.lastMessage(u); m != nil {
		return m.sent.at
	}
	return t.at
}

// receipts is where each recipient of a message stands.
func (s *spec) receipts(m *specMessage) map[chat.UserID]chat.RecipientReceipt {
	all := make(map[chat.UserID]chat.RecipientReceipt)
	for _, stay := range m.thread.stays {
		if stay.user != m.by() && stay.joined <= m.seq() && (stay.left == 0 || m.seq() < stay.left) {
			all[stay.user] = s.receipt(m, stay)
		}
	}
	return all
}

// marks are those that say something of a message to who was in for that stay.
func (m *specMessage) marks(stay specStay) (marks []specMark) {
	for _, k := range m.thread.marks[stay.user] {
		if k.seq >= max(m.seq(), m.redelivered) && (stay.left == 0 || k.seq < stay.left) {
			marks = append(marks, k)
		}
	}
	if !m.readAlone.IsZero() {
		marks = append(marks, specMark{kind: chat.Read, at: m.readAlone})
	}
	return marks
}

func (s *spec) receipt(m *specMessage, stay specStay) chat.RecipientReceipt {
	r := chat.RecipientReceipt{User: stay.user, State: chat.StateSent}
	if m.hiddenFrom == stay.user {
		r.State, r.Reason = chat.StateFailed, chat.FailedBlocked
		return r
	}
	for _, k := range m.marks(stay) {
		if r.DeliveredAt.IsZero() || k.at.Before(r.DeliveredAt) { // whichever comes first: what is read was delivered
			r.DeliveredAt = k.at
		}
		if k.kind == chat.Read && (r.ReadAt.IsZero() || k.at.Before(r.ReadAt)) {
			r.ReadAt = k.at
		}
	}
	switch expired := !m.expires.IsZero() && !s.now().Before(m.expires) && m.gone != chat.DeletedBySender; {
	case expired && (r.DeliveredAt.IsZero() || !r.DeliveredAt.Before(m.expires)):
		return chat.RecipientReceipt{User: stay.user, State: chat.StateFailed, Reason: chat.FailedExpired}
	case !r.ReadAt.IsZero():
		r.State = chat.StateRead
	case !r.DeliveredAt.IsZero():
		r.State = chat.StateDelivered
	}
	return r
}

// unreached are the recipients whom a message expired before it reached them.
func (s *spec) unreached(m *specMessage) (users []chat.UserID) {
	for u, r := range s.receipts(m) {
		if r.Reason == chat.FailedExpired {
			users = append(users, u)
		}
	}
	slices.Sort(users)
	return users
}

// name names a message id in words that are the same each time.
func (s *spec) name(id chat.MessageID) string {
	m, known := s.byID[id]
	switch {
	case id.IsZero():
		return "none"
	case !known:
		return "an unknown id"
	}
	return m.name
}

func nameOf(m *specMessage) string {
	if m == nil {
		return "none"
	}
	return m.name
}

func (t *specThread) String() string { return t.name }

func (m *specMessage) String() string { return fmt.Sprintf("%s of %s", m.name, m.thread.name) }

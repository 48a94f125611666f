package model

import (
	"fmt"
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/storetest"
)

// model is the contract as plain code: everything that ever happened, in lists, and
// the simplest way to compute what follows from it.
type model struct {
	clock    *storetest.Clock
	threads  []*thread
	messages []*message // of all threads, as they were sent
	byID     map[chat.MessageID]*message
	keys     map[idempotencyKey]keyUse
	numbers  map[clientSeq]*message
	blocks   map[block]time.Time
	denied   map[string]bool
	devices  map[chat.UserID]map[chat.DeviceID]*device
	news     map[string][]time.Time // when changes of a user's devices were told, by each node
	reports  []chat.Report          // without their ids

	strangers map[chat.UserID]map[chat.UserID]time.Time // whom each user has put into a thread unknown, and since when they count
}

func newModel(c *storetest.Clock) *model {
	return &model{
		clock: c, byID: make(map[chat.MessageID]*message), keys: make(map[idempotencyKey]keyUse), numbers: make(map[clientSeq]*message),
		blocks: make(map[block]time.Time), denied: make(map[string]bool), devices: make(map[chat.UserID]map[chat.DeviceID]*device),
		news: make(map[string][]time.Time), strangers: make(map[chat.UserID]map[chat.UserID]time.Time),
	}
}

// idempotencyKey is one key of a user in a thread, or for creations, and keyUse what it was
// last used for.
type (
	idempotencyKey struct {
		user   chat.UserID
		thread chat.ThreadID // zero: for creations
		key    string
	}
	keyUse struct {
		at      time.Time
		message *message // nil if it was a creation
		send    chat.SendRequest
		thread  *thread
		create  chat.CreateThread
	}
)

// clientSeq is the number that a device gave a message of a thread.
type clientSeq struct {
	thread *thread
	user   chat.UserID
	device chat.DeviceID
	number int64
}

// block is that a user blocks another.
type block struct{ user, blocked chat.UserID }

// thread is all that ever happened in a thread.
type thread struct {
	name    string // in what is printed
	id      chat.ThreadID
	kind    chat.ThreadType
	title   string
	by      chat.UserID
	at      time.Time
	members []member // in order of joining
	stints  []stint  // of everybody who is or was a participant
	log     []*event
	sent    []*message
	pins    []pin
	epoch   chat.Epoch
	began   *message               // the control message that began the epoch; nil at epoch 0
	marks   map[chat.UserID][]mark // of both kinds, as they were made
	changes map[chat.UserID]uint64 // of what each user keeps of it for itself
}

// member is a participant.
type member struct {
	user     chat.UserID
	role     chat.Role
	joined   chat.Seq
	at       time.Time
	accepted bool // whether it has accepted the thread
	own      own
}

// stint is one stay of a user, from the event it joined with to the one it left with.
type stint struct {
	user         chat.UserID
	joined, left chat.Seq // left is 0 while it lasts
}

// pin is a pinned message.
type pin struct {
	message *message
	by      chat.UserID
	at      time.Time
	hidden  chat.UserID // who does not see it
}

// mark is that a user has received or read a thread up to seq.
type mark struct {
	kind    chat.MarkKind
	seq     chat.Seq
	message *message
	at      time.Time
}

// event is an event of a log. What it shows of a message stands in the message.
type event struct {
	seq     chat.Seq
	id      chat.EventID // known from its first notice on
	at      time.Time
	kind    chat.EventKind
	by      chat.UserID
	device  chat.DeviceID
	about   *message // a message's first event names it, too
	hidden  chat.UserID
	emoji   string
	removed bool
	reason  chat.DeleteReason
	what    chat.ChangeEvent
	user    chat.UserID
	role    chat.Role
	title   string
	members []chat.InitialMember
	pending bool // who is added has to accept the thread
}

// message is a message as it is now, with all later changes.
type message struct {
	name        string // in what is printed
	thread      *thread
	sent        *event
	req         chat.SendRequest
	text        string
	kind        chat.ContentType
	expires     time.Time // zero is never
	edited      time.Time
	deleted     chat.DeleteReason // "" until the log has its deletion
	reactions   []reaction
	hiddenFrom  chat.UserID
	redelivered chat.Seq
	veils       map[chat.UserID]*veil
	readAlone   time.Time // when the recipient of the redelivery read it, and not what lay between
}

// reaction is one emoji of a message and who gave it.
type reaction struct {
	emoji string
	by    []chat.ReactionBy
}

// device is the prekeys of a device.
type device struct {
	upload  chat.PrekeyUpload
	oneTime map[uint32]string
	taken   map[uint32]bool
}

func (md *model) now() time.Time { return md.clock.Now() }

func (m *message) seq() chat.Seq   { return m.sent.seq }
func (m *message) by() chat.UserID { return m.sent.by }

// tombstoneAt is why a message is a tombstone at a moment, "" if it is none.
func (m *message) tombstoneAt(now time.Time) chat.DeleteReason {
	if m.deleted == "" && !m.expires.IsZero() && !now.Before(m.expires) {
		return chat.DeletedByExpiry
	}
	return m.deleted
}

// reaction is the index of a reaction, -1 if there is none.
func (m *message) reaction(emoji string) int {
	return slices.IndexFunc(m.reactions, func(r reaction) bool { return r.emoji == emoji })
}

// gave reports whether a user has given an emoji.
func (m *message) gave(user chat.UserID, emoji string) bool {
	i := m.reaction(emoji)
	return i >= 0 && slices.ContainsFunc(m.reactions[i].by, func(b chat.ReactionBy) bool { return b.User == user })
}

func (t *thread) member(u chat.UserID) *member {
	for i := range t.members {
		if t.members[i].user == u {
			return &t.members[i]
		}
	}
	return nil
}

func (t *thread) users() []chat.UserID {
	users := make([]chat.UserID, len(t.members))
	for i, m := range t.members {
		users[i] = m.user
	}
	return users
}

// other is the second person of a 1:1.
func (t *thread) other(u chat.UserID) chat.UserID {
	if t.kind != chat.OneToOne || t.member(u) == nil {
		return ""
	}
	return t.members[slices.IndexFunc(t.members, func(m member) bool { return m.user != u })].user
}

// blocker is who blocks a user in a 1:1, "" if nobody does.
func (md *model) blocker(t *thread, user chat.UserID) chat.UserID {
	if other := t.other(user); other != "" {
		if _, blocks := md.blocks[block{other, user}]; blocks {
			return other
		}
	}
	return ""
}

// sees reports whether a user may see a message of the thread.
func (t *thread) sees(u chat.UserID, m *message) bool {
	me := t.member(u)
	return me != nil && m.thread == t && m.seq() >= me.joined && m.hiddenFrom != u
}

// visible are the messages that a user sees, oldest first.
func (t *thread) visible(u chat.UserID) (all []*message) {
	for _, m := range t.sent {
		if t.sees(u, m) {
			all = append(all, m)
		}
	}
	return all
}

// eventsFor are the events that a user is shown, oldest first.
func (t *thread) eventsFor(u chat.UserID) (all []*event) {
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
func (t *thread) last(u chat.UserID, kind chat.MarkKind) (last mark) {
	for _, k := range t.marks[u] {
		if k.kind == kind {
			last = k
		}
	}
	return last
}

// received is the seq up to which a user has received a thread, by marks of either
// kind, and the newest message that they name.
func (t *thread) received(u chat.UserID) (chat.Seq, *message) {
	d, r := t.last(u, chat.Delivered), t.last(u, chat.Read)
	return max(d.seq, r.seq), newer(d.message, r.message)
}

// newer is the newer of two messages of a thread. Either may be nil.
func newer(a, b *message) *message {
	if a == nil || b != nil && b.seq() > a.seq() {
		return b
	}
	return a
}

// unread is how many messages a user has yet to read, up to 100.
func (md *model) unread(t *thread, u chat.UserID) (n int) {
	read := t.last(u, chat.Read).seq
	for _, m := range t.visible(u) {
		if m.by() != u && m.seq() > read && !m.isControl() && m.tombstoneAt(md.now()) == "" {
			n++
		}
	}
	return min(n, 100)
}

// lastMessage is the newest message, but control messages, that is not hidden from a user.
func (t *thread) lastMessage(u chat.UserID) *message {
	for _, m := range slices.Backward(t.sent) {
		if m.hiddenFrom != u && !m.isControl() {
			return m
		}
	}
	return nil
}

// activity is when the newest message was sent that is not hidden from a user.
func (t *thread) activity(u chat.UserID) time.Time {
	if m := t.lastMessage(u); m != nil {
		return m.sent.at
	}
	return t.at
}

// receipts is the receipt of each recipient of a message.
func (md *model) receipts(m *message) map[chat.UserID]chat.RecipientReceipt {
	all := make(map[chat.UserID]chat.RecipientReceipt)
	for _, stint := range m.thread.stints {
		if stint.user != m.by() && stint.joined <= m.seq() && (stint.left == 0 || m.seq() < stint.left) {
			all[stint.user] = md.receipt(m, stint)
		}
	}
	return all
}

// marks are those marks of a stint that tell of a message.
func (m *message) marks(stint stint) (marks []mark) {
	for _, k := range m.thread.marks[stint.user] {
		if k.seq >= max(m.seq(), m.redelivered) && (stint.left == 0 || k.seq < stint.left) {
			marks = append(marks, k)
		}
	}
	if !m.readAlone.IsZero() {
		marks = append(marks, mark{kind: chat.Read, at: m.readAlone})
	}
	return marks
}

func (md *model) receipt(m *message, stint stint) chat.RecipientReceipt {
	r := chat.RecipientReceipt{User: stint.user, State: chat.StateSent}
	if m.hiddenFrom == stint.user {
		r.State, r.Reason = chat.StateFailed, chat.FailedBlocked
		return r
	}
	for _, k := range m.marks(stint) {
		if r.DeliveredAt.IsZero() || k.at.Before(r.DeliveredAt) { // a mark of either kind: what was read was delivered
			r.DeliveredAt = k.at
		}
		if k.kind == chat.Read && (r.ReadAt.IsZero() || k.at.Before(r.ReadAt)) {
			r.ReadAt = k.at
		}
	}
	switch expired := !m.expires.IsZero() && !md.now().Before(m.expires) && m.deleted != chat.DeletedBySender; {
	case expired && (r.DeliveredAt.IsZero() || !r.DeliveredAt.Before(m.expires)):
		return chat.RecipientReceipt{User: stint.user, State: chat.StateFailed, Reason: chat.FailedExpired}
	case !r.ReadAt.IsZero():
		r.State = chat.StateRead
	case !r.DeliveredAt.IsZero():
		r.State = chat.StateDelivered
	}
	return r
}

// unreached are the recipients whom a message did not reach before it expired.
func (md *model) unreached(m *message) (users []chat.UserID) {
	for u, r := range md.receipts(m) {
		if r.Reason == chat.FailedExpired {
			users = append(users, u)
		}
	}
	slices.Sort(users)
	return users
}

// name is a message's name in what is printed: ids are different each time.
func (md *model) name(id chat.MessageID) string {
	m, known := md.byID[id]
	switch {
	case id.IsZero():
		return "none"
	case !known:
		return "an unknown id"
	}
	return m.name
}

func nameOf(m *message) string {
	if m == nil {
		return "none"
	}
	return m.name
}

func (t *thread) String() string { return t.name }

func (m *message) String() string { return fmt.Sprintf("%s of %s", m.name, m.thread.name) }

package chat

import (
	"context"
	"errors"
	"time"
)

// Store is the durable truth, made of one small port for each thing that it keeps. Who
// needs little of it takes those parts, not the whole. Package store/storetest is the
// contract in executable form; every implementation passes it whole.
//
// For every method of every part:
//
//   - Durability: a nil error of a write means that it is on stable storage, unless its
//     comment says otherwise. No read shows what is not there yet.
//   - Errors: those that a comment names are final and may be wrapped. Any other error
//     means "unavailable": the outcome of a write is then unknown, and the caller may
//     repeat it.
//   - Ownership: values handed in belong to the store only until it returns. Values
//     handed out belong to the caller.
//   - Order: a list is in no particular order, unless its comment names one.
//   - Methods may be called at the same time.
type Store interface {
	ThreadStore
	ListStore
	LogStore
	MessageStore
	ReceiptStore
	PositionStore
	DeviceStore
	LastSeenStore
	SubscriptionStore
	PrekeyStore
	BlockStore
	AcceptanceStore
	StrangerStore
	ModerationStore

	// ID names the store: drawn when it was made, and anew when a backup of it is restored.
	// It stays the same as long as the store is open.
	ID() StoreID
	// Ping reports whether the store can serve now.
	Ping(ctx context.Context) error
	// Close finishes pending writes. The store is not used after it.
	Close() error
}

// ThreadStore keeps threads and who is, and was, in them. Membership changes
// only by events: CreateThread and Append keep it in step with the log.
type ThreadStore interface {
	// CreateThread stores a new thread with the first event of its log. For a
	// 1:1 whose pair of people already has a thread it stores nothing and returns
	// a *PairExistsError, also when two creations race. If its idempotency key is
	// taken it is a *DuplicateError, as for Append.
	CreateThread(ctx context.Context, created Event) error
	// Thread gives a thread's present state, or ErrNotFound.
	Thread(ctx context.Context, id ThreadID) (Thread, error)
	// UserThreads lists every thread the user is or was in, at the cost of one pass
	// over the threads' heads.
	UserThreads(ctx context.Context, user UserID) ([]UserThread, error)
	// UserThread is one line of UserThreads, or ErrNotFound if the user never was in
	// the thread.
	UserThread(ctx context.Context, user UserID, thread ThreadID) (UserThread, error)
	// Peers lists everybody who is in a thread with the user now, each once, of the threads
	// that count. It reads no heads. A joining or leaving that a crash left half done may not
	// count yet.
	Peers(ctx context.Context, user UserID, in SharedThreads) ([]UserID, error)
	// ShareThread reports whether two users are in some thread together now. It takes
	// one look-up for two who have a 1:1, else as many as the one has threads that has
	// fewer, or one query.
	ShareThread(ctx context.Context, a, b UserID) (bool, error)
	// OwnState gives what a user keeps of a thread that it is in, or ErrNotFound. It reads
	// no head.
	OwnState(ctx context.Context, user UserID, thread ThreadID) (OwnState, error)
	// PutOwnState stores what a user keeps of a thread in place of what it kept. If that is
	// not of the same stint, or has another revision than the one before st.Revision, it
	// stores nothing.
	PutOwnState(ctx context.Context, user UserID, thread ThreadID, st OwnState) (stored bool, err error)
	// Pairs lists the 1:1s that a user has with any of the others.
	Pairs(ctx context.Context, user UserID, others []UserID) ([]Pair, error)
	// ParticipantsAt lists who was in the thread when event seq was appended, each
	// with the stint that covers seq.
	ParticipantsAt(ctx context.Context, thread ThreadID, seq Seq) ([]Stint, error)
}

// Pair is the 1:1 of a user with another.
type Pair struct {
	Other    UserID
	Thread   ThreadID
	Accepted bool // whether the other one has accepted it
}

// SharedThreads says which threads count when [ThreadStore.Peers] looks for who shares one.
type SharedThreads struct {
	Most int // those of at most so many participants; zero is no bound
	// Before counts a thread only for two who both joined it by events with lower ids;
	// zero is no bound.
	Before EventID
	// Accepted says that [ThreadStore.Peers] counts only those that the user has accepted.
	Accepted bool
	// AcceptedByPeer says that it counts a thread only with the peers who have accepted it.
	AcceptedByPeer bool
	// Among says of which peers it lists those it finds; nil is of all.
	Among func(UserID) bool
}

// Counts reports whether a thread of so many participants counts.
func (in SharedThreads) Counts(participants int) bool { return in.Most == 0 || participants <= in.Most }

// Asks reports whether it matters who shares threads with this one.
func (in SharedThreads) Asks(peer UserID) bool { return in.Among == nil || in.Among(peer) }

// CountsFor reports whether a thread counts for a participant who joined with that event.
func (in SharedThreads) CountsFor(joined EventID) bool {
	return in.Before == EventID{} || joined.Compare(in.Before) < 0
}

// LogStore keeps each thread's log. It gives message events as they are now: with all
// that later events did to them ([Message.Apply]), from the moment on at which those
// events are in the log.
type LogStore interface {
	// Append adds events to one thread's log, in order, from head.Seq+1 on; head
	// is the head the caller made them for. It commits a prefix of them and
	// returns its length n; with a nil error that is all of them. Otherwise the
	// error says why events[n] was refused: ErrStaleHead if its seq is taken, a
	// *DuplicateError if the sender's idempotency key (within the store's
	// window) or its client_seq is. Each Target is a message that an earlier
	// Append stored, and no two events of one Append change the same one.
	Append(ctx context.Context, head Head, events []Event) (n int, err error)
	// SentBefore is the *DuplicateError for which Append would refuse a message, or
	// CreateThread a creation, or nil. Of e it uses the thread, the sender's user and
	// device, the idempotency key and a message's client_seq.
	SentBefore(ctx context.Context, e Event) error
	// Events lists the events with after < seq ≤ through, oldest first, at most
	// limit.Count of them and, once past the first, at most limit.Bytes of
	// ciphertext. Edits and redeliveries come with their target as it is now. All come as
	// [Event.Brief] gives them, and count as that.
	Events(ctx context.Context, thread ThreadID, after, through Seq, limit Limit) ([]Event, error)
	// SeqAt is the seq of the first event whose id is at or above id, or the
	// head's seq + 1 if there is none. With [EventIDAt] it finds the first event at or
	// after a time.
	SeqAt(ctx context.Context, thread ThreadID, id EventID) (Seq, error)
	// NewestID is an id at or above that of every event and report that was stored when the
	// store was opened, and at most a few seconds above the highest; zero if there was none.
	NewestID(ctx context.Context) (EventID, error)
}

// MessageStore reads the messages in the logs, as they are now. Every message comes with
// its reactions cut as [Event.ShownTo] cuts them for nobody, so that what a reaction and a
// page cost does not grow with how many reacted.
type MessageStore interface {
	// Messages lists the messages of a range, in the range's order, as [Event.Brief] gives
	// them.
	Messages(ctx context.Context, thread ThreadID, r MessageRange) ([]Event, error)
	// Message finds a message by its id, whatever thread it is in, or ErrNotFound.
	Message(ctx context.Context, id MessageID) (Event, error)
	// MessageIn finds a message of one thread by its id, or ErrNotFound. It spares a cluster
	// the search of all its parts.
	MessageIn(ctx context.Context, thread ThreadID, id MessageID) (Event, error)
	// Reactors lists who gave an emoji to a message, in order of Seq, of those whose Seq
	// is above after; at most count.
	Reactors(ctx context.Context, m Event, emoji string, after Seq, count int) ([]ReactionBy, error)
	// ReactionsOf gives, for each of the messages, the reactions that the user has given
	// it, each with that user alone in By, in no particular order.
	ReactionsOf(ctx context.Context, user UserID, messages []Event) ([][]Reaction, error)
	// LastClientSeqs gives, for each of the threads, the largest client_seq that a device has
	// used in it; nil where it has used none.
	LastClientSeqs(ctx context.Context, user UserID, device DeviceID, threads []ThreadID) ([]*int64, error)
	// Expired lists messages of all threads that have expired at now and are not
	// deleted: those that expired first come first, at most count.
	Expired(ctx context.Context, now time.Time, count int) ([]Event, error)
}

// MessageRange says which of a thread's messages to list: oldest first, or newest first.
type MessageRange struct {
	After, Before Seq         // After < seq < Before; a Before of zero is "to the end"
	Viewer        UserID      // messages hidden from this user are left out; "" is nobody
	ContentType   ContentType // messages of other types are left out; "" is none
	NewestFirst   bool
	Count         int // at most
	// Bytes ends the list with the message, other than its first, that brings the sum of
	// their sizes ([Message.Size]) above it; zero is no bound. So who asks for one message
	// more than it shows learns from that one that there is more.
	Bytes int
}

// Full reports whether a list of so many messages of such a size together ends there, for
// the Bytes of the range.
func (r MessageRange) Full(messages, bytes int) bool {
	return r.Bytes > 0 && messages > 1 && bytes > r.Bytes
}

// Limit bounds a read of the log.
type Limit struct {
	Count int
	Bytes int
}

// ReceiptStore keeps receipts as marks: one write each, whatever the thread's size.
// A mark's Thread need not be the id of a thread: the marks of a message that was read
// on its own have the message's id there.
type ReceiptStore interface {
	// PutMark appends a mark if it is above the user's present one of that kind;
	// otherwise it writes nothing. prev is the one that was present before; moved
	// reports whether m was stored. If prev's Message is newer than m's, m is stored
	// with that one.
	PutMark(ctx context.Context, m Mark) (prev Mark, moved bool, err error)
	// Marks gives the present marks of the given users, in their order.
	Marks(ctx context.Context, thread ThreadID, users []UserID) ([]Marks, error)
	// MarksAt gives, for each of the users in their order, the first mark of each
	// kind at or above seq.
	MarksAt(ctx context.Context, thread ThreadID, seq Seq, users []UserID) ([]Marks, error)
}

// PositionStore keeps how far each device has acknowledged, and numbers its connections.
type PositionStore interface {
	// AdmitDevice numbers a new connection of a device: above all that it has numbered
	// before, on any node. The device is seen then.
	AdmitDevice(ctx context.Context, user UserID, device DeviceID) (Admitted, error)
	// Position gives a device's stored position; found is false at its first
	// connect ever.
	Position(ctx context.Context, user UserID, device DeviceID) (p Position, found bool, err error)
	// BeginPosition stores the position of a device that has none, and gives what is
	// stored then: p, or what another connection of the device was faster to store.
	BeginPosition(ctx context.Context, user UserID, device DeviceID, p Position) (stored Position, err error)
	// RaisePosition raises a stored position to p, and notes that the device is seen: an entry that is
	// not above the stored one changes nothing, so the writes of two nodes may come in any order. Of a
	// device without a position it stores nothing. It need not be durable when it returns: losing it
	// repeats frames and loses none. conn is the connection that has acknowledged; zero is none. If a
	// later one was admitted, the position is raised all the same, and the error is ErrTakenOver; a
	// store that only one process can open need not tell.
	RaisePosition(ctx context.Context, user UserID, device DeviceID, conn Conn, p Position) error
}

// DeviceStore knows which devices users have: those that have connected or uploaded keys. It
// remembers which a user has removed, of each user up to MaxRemovals.
type DeviceStore interface {
	// Devices lists a user's devices.
	Devices(ctx context.Context, user UserID) ([]SeenDevice, error)
	// UnseenDevices lists devices that were not seen since the given time, about count at
	// most.
	UnseenDevices(ctx context.Context, since time.Time, count int) ([]SeenDevice, error)
	// ForgetDevice removes a device with its position, its keys and its subscriptions, unless
	// it was seen after its LastSeen. hadKeys says that it had keys; then that is their last
	// change, at that time.
	ForgetDevice(ctx context.Context, d SeenDevice, at time.Time) (forgotten, hadKeys bool, err error)
	// RemoveDevice does the same whenever the device was seen, and remembers that it was
	// removed. A device that is not known is ErrNotFound.
	RemoveDevice(ctx context.Context, user UserID, device DeviceID, at time.Time) (r Removal, hadKeys bool, err error)
	// RemovedAt is when a device was removed last; zero is never, or not remembered. Of what
	// another node has done it may know nothing for 5 s.
	RemovedAt(ctx context.Context, user UserID, device DeviceID) (time.Time, error)
	// RemovedSince lists what was removed at that time or later. A store that only one
	// process can open lists what that process has removed.
	RemovedSince(ctx context.Context, since time.Time) ([]Removal, error)
	// KeysChangedAt is, for each of the users in their order, when a device of it with keys
	// was added or removed, or had another identity, last; zero is never.
	KeysChangedAt(ctx context.Context, users []UserID) ([]time.Time, error)
}

// Admitted is a connection that the store has numbered.
type Admitted struct {
	Conn Conn
	// Stored is the device's position at that moment, if the store reads it along; else nil.
	Stored *StoredPosition
	// New says that the device was not known before.
	New bool
}

// LastSeenStore keeps when users were last connected.
type LastSeenStore interface {
	// LastSeen is when the user was last connected; the zero time is never.
	LastSeen(ctx context.Context, user UserID) (time.Time, error)
	// PutLastSeen stores a time that is later than the stored one; any other changes
	// nothing. It need not be durable when it returns.
	PutLastSeen(ctx context.Context, user UserID, at time.Time) error
}

// SubscriptionStore keeps subscriptions of devices that are away.
type SubscriptionStore interface {
	// Subscriptions gives what is kept for a device, or ErrNotFound.
	Subscriptions(ctx context.Context, user UserID, device DeviceID) (KeptSubscriptions, error)
	// PutSubscriptions keeps subscriptions for a device in place of those kept before. If the
	// user has more than MaxKeptDevices devices then, or filters of more than MaxKeptBytes, the
	// store forgets those of the devices whose At is the oldest, but never the ones just put.
	// conn is the connection that they are of. If a later one has put or deleted some, they
	// stay as they are and the error is ErrTakenOver; a store that only one process can
	// open need not tell.
	PutSubscriptions(ctx context.Context, user UserID, device DeviceID, conn Conn, k KeptSubscriptions) error
	// DeleteSubscriptions forgets what is kept for a device, if there is anything. For conn
	// see PutSubscriptions.
	DeleteSubscriptions(ctx context.Context, user UserID, device DeviceID, conn Conn) error
	// SweepSubscriptions forgets all whose Until is not after now.
	SweepSubscriptions(ctx context.Context, now time.Time) error
}

// Position says which events a device has acknowledged, exactly and thread by thread
// (docs/contract.md#resuming). There is no time in it: an event may come into a log
// later than others with higher ids, and then it still lies above the thread's entry.
type Position struct {
	// Through is, for each thread, the event up to which the device has acknowledged
	// all that is for it. No entry means nothing since the user joined. An entry only
	// rises, and over no event that was for the device and is not acknowledged.
	Through map[ThreadID]Seq
	// Acknowledged is set once the device has acknowledged anything.
	Acknowledged bool
}

// StoredPosition is a device's position as it was found; Found is false at its first
// connect ever.
type StoredPosition struct {
	Position
	Found bool
}

// PrekeyStore keeps the public keys with which others begin an encrypted conversation
// with a device (docs/contract.md#prekeys). [PrekeyUpload.Resets],
// [PrekeyUpload.Admit] and [PrekeyUpload.Stored] decide what an upload changes; the store
// makes that atomic.
type PrekeyStore interface {
	// PutPrekeys stores a device's upload and gives the device as it is then, with what is
	// left. If the user would have more than MaxPrekeyDevices devices, it stores nothing and
	// returns ErrTooManyDevices; if the device would have more than MaxOneTimePrekeys
	// one-time keys, ErrTooManyPrekeys or ErrTooManyPQPrekeys.
	PutPrekeys(ctx context.Context, user UserID, device DeviceID, u PrekeyUpload) (StoredPrekeys, error)
	// PrekeyDevices lists the devices of the users that have keys, in order of the users as
	// they are given and then of the devices' ids. It does not say what is left. The reads
	// do not become more with the users, where the store can ask for many at once.
	PrekeyDevices(ctx context.Context, users []UserID) ([]PrekeyDevice, error)
	// CountPrekeys says how many one-time keys each of the devices has left, in their order.
	// It takes one read, where the store can ask for many at once.
	CountPrekeys(ctx context.Context, devices []PrekeyDevice) ([]PrekeyCounts, error)
	// TakePrekey takes what a caller is given of a device, as PrekeyDevices has listed it: of
	// each kind it removes the one-time key with the lowest id, or else gives the key of last
	// resort. What it gives is all of one installation. If there is nothing to give it is
	// ErrNotFound, and nothing is removed. Whatever happens, no key is ever given twice.
	TakePrekey(ctx context.Context, d PrekeyDevice) (DeviceBundle, error)
}

// BlockStore keeps which users block which others.
type BlockStore interface {
	// PutBlock stores a block. If the user blocks the other one already, the stored
	// block stays as it is.
	PutBlock(ctx context.Context, b Block) error
	// DeleteBlock removes a block, if it is there.
	DeleteBlock(ctx context.Context, user, blocked UserID) error
	// Blocks lists whom a user blocks, of those whose id is above after, in order of
	// their ids; at most count.
	Blocks(ctx context.Context, user, after UserID, count int) ([]Block, error)
	// HasBlocked reports whether user blocks other.
	HasBlocked(ctx context.Context, user, other UserID) (bool, error)
	// BlockedAmong gives those of the others whom user blocks. How many it blocks
	// besides does not matter.
	BlockedAmong(ctx context.Context, user UserID, others []UserID) ([]UserID, error)
	// WhoBlocks gives those of the others who block user.
	WhoBlocks(ctx context.Context, user UserID, others []UserID) ([]UserID, error)
}

// ModerationStore keeps what users report, and which attachments operators deny.
type ModerationStore interface {
	// PutReport stores a report, unless its By has reported the message before. It gives
	// the report that is stored then; added tells whether it is r, and was not there.
	PutReport(ctx context.Context, r Report) (stored Report, added bool, err error)
	// Reports lists reports with an id below before, newest first, at most count;
	// the zero id is "from the newest".
	Reports(ctx context.Context, before ReportID, count int) ([]Report, error)
	// DenyAttachment stores that attachments of this SHA-256 (64 lower-case hex
	// digits) are refused; AllowAttachment takes it back.
	DenyAttachment(ctx context.Context, sha256 string) error
	AllowAttachment(ctx context.Context, sha256 string) error
	// AttachmentDenied reports whether they are.
	AttachmentDenied(ctx context.Context, sha256 string) (bool, error)
}

// Errors of the Store port.
var (
	ErrNotFound       = errors.New("not found")
	ErrStaleHead      = errors.New("the log has grown past the given head")
	ErrTakenOver      = errors.New("the device has connected again")
	ErrStoreFull      = errors.New("the disk is full") // an unavailability that somebody has to end
	ErrTooManyDevices = errors.New("the user has keys of too many devices")
	ErrTooManyPrekeys = errors.New("the device has too many one-time keys")

	ErrTooManyPQPrekeys = errors.New("the device has too many post-quantum one-time keys")
)

// PairExistsError says that two people have a 1:1 already, and which. Begun is the creation of
// that thread if it was only now completed: whoever began it may be gone, and has told nobody.
type PairExistsError struct {
	Thread ThreadID
	Begun  *Event
}

func (e *PairExistsError) Error() string {
	return "a 1:1 thread of this pair exists: " + e.Thread.String()
}

// DuplicateError says that a message was sent, or a thread created, before. Existing is
// the event that did.
type DuplicateError struct {
	By       DuplicateOf
	Existing Event
}

// DuplicateOf names the key that recognised a duplicate.
type DuplicateOf string

// The two keys of docs/contract.md#sending. A message that has both in common
// with an earlier one is reported as ByIdempotencyKey.
const (
	ByIdempotencyKey DuplicateOf = "idempotency_key"
	ByClientSeq      DuplicateOf = "client_seq"
)

func (e *DuplicateError) Error() string {
	return "sent before (same " + string(e.By) + ") as " + e.Existing.ID.String()
}

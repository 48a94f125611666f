package chat

import "context"

// Bus carries hints between those who change threads and the live sessions of
// every node. It may lose any of them: the log is the truth, and a subscriber
// that learns of a loss resynchronises from the store.
type Bus interface {
	// Publish hands a notice to every subscriber. It returns without waiting for
	// any of them to act on it; notices of one publisher about one thread arrive
	// in order. The notice and all it points to are shared and never written again.
	Publish(n Notice)
	// Subscribe registers a handler until stop is called. After stop returned the
	// handler is not called again.
	Subscribe(h BusHandler) (stop func())
	// Ping reports whether hints travel now.
	Ping(ctx context.Context) error
	// Close ends all subscriptions.
	Close() error
}

// BusHandler receives notices. Its methods must not block: they run on the
// publisher's time.
type BusHandler interface {
	// HandleNotice takes one notice.
	HandleNotice(n Notice)
	// HandleLoss says that notices may have been lost.
	HandleLoss()
}

// Notice is one hint: exactly one of the members behind Audience is set.
type Notice struct {
	// Audience are the users it concerns: the thread's participants, and for a
	// membership change the one added or removed.
	Audience   []UserID
	Event      *Event
	Receipt    *Receipt
	Failure    *Failure
	PrekeysLow *PrekeysLow
	Typing     *Typing
	Presence   *Presence
}

// Failure tells a message's sender, the only one of the audience, that it does
// not reach some recipients (contract 4.1, frame `failed`).
type Failure struct {
	Thread  ThreadID
	Message MessageID
	Reason  FailureReason
	Users   []UserID // the recipients
}

// PrekeysLow tells one device of the only user in the audience that few of its
// one-time keys are left (contract 3.4, frame `prekeys_low`).
type PrekeysLow struct {
	Device DeviceID
	Left   int
}

// Typing tells the others of a thread that a user is writing something (contract 4.4).
type Typing struct {
	Thread ThreadID
	User   UserID
}

// Receipt tells that a participant's mark moved.
type Receipt struct {
	Mark
	Device DeviceID // the device it was done on: a reader's other devices are told
	// Senders are those whose messages the mark newly covers, for Delivered: each
	// is told of its newest one.
	Senders []SenderMark
}

// SenderMark is the newest message of one sender that a receipt covers.
type SenderMark struct {
	User    UserID
	Message MessageID
}

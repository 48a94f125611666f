package chat

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"time"
	"unicode/utf8"
)

// SendRequest is a message to send (docs/contract.md#sending).
type SendRequest struct {
	Thread           ThreadID
	IdempotencyKey   string // 1–64 visible ASCII characters
	BinaryKey        []byte // in place of IdempotencyKey; 1–64 bytes
	ClientSeq        int64
	Ciphertext       []byte
	ContentType      ContentType // "" is Text
	AttachmentID     string
	AttachmentSHA256 string
	ReplyTo          MessageID     // zero is none
	TTL              time.Duration // zero is for ever
	Epoch            Epoch         // that a control message begins; zero is none
}

// SendOutcome says in which of several ways a send succeeded.
type SendOutcome int

// The outcomes of docs/contract.md#sending.
const (
	Sent           SendOutcome = iota // the message is new
	Replayed                          // the same key and values were sent before
	ClientSeqTaken                    // another key sent this client_seq before
	Retried                           // as ClientSeqTaken, but a block had kept it from its recipient
	Gone                              // sent before, but it expired before delivery: a tombstone
)

// SendResult is the message as it is stored, new or found.
type SendResult struct {
	Event   Event
	Outcome SendOutcome
	Differs bool // the message was found by its client_seq, and what it was sent with is not what was sent now
}

// Send stores a message and publishes it (docs/contract.md#sending). A retry is
// recognised by its idempotency key, or by its client_seq once the key is
// forgotten. It stores nothing and publishes the message again, in case the
// first try crashed before it did.
func (s *Service) Send(ctx context.Context, c Caller, req SendRequest) (SendResult, error) {
	sending, err := s.BeginSend(ctx, c, req)
	if err != nil {
		return SendResult{}, err
	}
	return sending.Result(ctx)
}

// Sending is a message on its way into the log.
type Sending struct {
	admission *Admission
	hash      [32]byte
	op        *operation
	begun     time.Time
}

// BeginSend is the first half of [Service.Send]: it checks the request and puts the
// message into its thread's append queue. Messages of one thread are stored in the order
// in which they were begun. Whether the message was stored, [Sending.Result] tells.
func (s *Service) BeginSend(ctx context.Context, c Caller, req SendRequest) (*Sending, error) {
	a, err := s.Admit(ctx, c, req, 0)
	if err != nil {
		return nil, err
	}
	return a.Begin(ctx, nil)
}

func (s *Service) beginSend(ctx context.Context, a *Admission, order *SendOrder) (*Sending, error) {
	c, req := a.caller, a.req
	refs, err := s.loadReferences(ctx, req)
	if err != nil {
		return nil, err
	}
	p := &Sending{admission: a, hash: req.hash(), begun: time.Now()}
	p.op = &operation{bytes: len(req.Ciphertext), ttl: req.TTL, order: order, epoch: req.Epoch, decide: func(ctx context.Context, t Thread) ([]Event, error) {
		me, in := t.Participant(c.User)
		e := Event{Thread: req.Thread, Kind: KindMessage, By: c.User, Device: c.Device, Message: req.message(p.hash)}
		if !in && req.ContentType != System {
			return nil, s.unlessSentBefore(ctx, e, notAParticipant())
		}
		if err := refs.check(req, me); err != nil {
			return nil, s.unlessSentBefore(ctx, e, err)
		}
		var err error
		if e.Message.HiddenFrom, err = s.blockedBy(ctx, c, t); err != nil {
			return nil, err
		}
		if err := t.Head.mayBegin(req.Epoch, e.Message.HiddenFrom); err != nil {
			return nil, s.unlessSentBefore(ctx, e, err)
		}
		return []Event{e}, nil
	}}
	s.queues.enqueue(req.Thread, p.op)
	return p, nil
}

// Result waits until the message is stored, or refused. It is called once.
func (p *Sending) Result(ctx context.Context) (SendResult, error) {
	events, thread, err := p.op.wait(ctx)
	svc := p.admission.svc
	var dup *DuplicateError
	switch {
	case errors.As(err, &dup):
		if err := p.admission.knownBefore(ctx); err != nil {
			return SendResult{}, err
		}
		res, err := svc.sentBefore(ctx, p.admission.caller, p.hash, thread, dup)
		if err != nil || res.Differs || res.Outcome == Gone {
			return res, err
		}
		if err := p.acceptsThread(ctx, thread); err != nil {
			return SendResult{}, err
		}
		return res, nil
	case CodeOf(err) == CodeEpochConflict:
		return SendResult{}, svc.withHolder(ctx, p.admission.caller.User, thread, err)
	case err != nil:
		return SendResult{}, err
	}
	svc.stats.SendToAck.Since(p.begun)
	svc.tellBlocked(events[0])
	if err := p.acceptsThread(ctx, thread); err != nil {
		return SendResult{}, err
	}
	return SendResult{Event: events[0], Outcome: Sent}, nil
}

// acceptsThread has the sender of a message accept the thread. A failure is answered as one
// of the store: the retry finds the message and accepts then. So a retry accepts too, even if
// the sender has taken that back since; a refused one does not.
func (p *Sending) acceptsThread(ctx context.Context, t Thread) error {
	svc, user, req := p.admission.svc, p.admission.caller.User, p.admission.req
	if req.ContentType == Control {
		return nil
	}
	if has, err := svc.hasToAccept(ctx, user, t); err != nil || !has {
		return err
	}
	return svc.accept(ctx, user, req.Thread)
}

// tellBlocked tells the sender of a message that is hidden from its recipient so.
func (s *Service) tellBlocked(m Event) {
	if m.Message.HiddenFrom != "" {
		s.tellFailed(m, FailedBlocked, m.Message.HiddenFrom)
	}
}

func (s *Service) tellFailed(m Event, why FailureReason, users ...UserID) {
	f := &Failure{Thread: m.Thread, Message: m.ID, Reason: why, Users: users}
	s.bus.Publish(Notice{Audience: []UserID{m.By}, Failure: f})
}

// checkSend makes the checks that need no state: scope and values. A content type that does
// not exist needs no scope.
func (s *Service) checkSend(c Caller, req SendRequest) error {
	if !slices.Contains(contentTypes, req.ContentType) {
		return req.validate(s.limits)
	}
	scope := ScopeWrite
	if req.ContentType == System {
		scope = ScopeSystem
	}
	if err := c.need(scope); err != nil {
		return err
	}
	return req.validate(s.limits)
}

// references are what a send refers to besides its thread, as it is when the send
// begins. They are loaded before the operation is queued, so that no other operation
// waits for that.
type references struct {
	replied Event // the message replied to; the zero Event is none
	denied  bool  // whether operators deny the attachment
}

func (s *Service) loadReferences(ctx context.Context, req SendRequest) (refs references, err error) {
	if req.Epoch > 0 && s.epochs != nil {
		if err := s.epochs.CheckEpochs(ctx); err != nil {
			return refs, Unavailable("begin an epoch", err)
		}
	}
	if !req.ReplyTo.IsZero() {
		refs.replied, err = s.store.MessageIn(ctx, req.Thread, req.ReplyTo)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return refs, Unavailable("look up the message replied to", err)
		}
	}
	if req.AttachmentSHA256 != "" {
		if refs.denied, err = s.store.AttachmentDenied(ctx, req.AttachmentSHA256); err != nil {
			return refs, Unavailable("look up the attachment", err)
		}
	}
	return refs, nil
}

// check refuses a reply to something that is not a message of the thread or that the
// sender does not see, and an attachment that operators deny.
func (refs references) check(req SendRequest, by Participant) error {
	if !req.ReplyTo.IsZero() {
		m := refs.replied
		if m.Message == nil || m.Thread != req.Thread || !by.Sees(m) {
			return Invalid("reply_to_msg_id", "is no message of this thread")
		}
	}
	if refs.denied {
		return Refuse(CodeAttachmentBlocked, "attachments with this attachment_sha256 are not accepted")
	}
	return nil
}

func (r SendRequest) validate(l Limits) error {
	var bad []FieldError
	refuse := func(wrong bool, field, message string) {
		if wrong {
			bad = append(bad, FieldError{field, message})
		}
	}
	if len(r.BinaryKey) == 0 {
		refuse(!validIdempotencyKey(r.IdempotencyKey), "Idempotency-Key", "must be 1 to 64 visible ASCII characters")
	} else {
		refuse(len(r.BinaryKey) > MaxIdempotencyKey, "correlation data", "must be 1 to 64 bytes to serve as the key")
	}
	refuse(r.ClientSeq < 0, "client_seq", "must be an integer of 0 or more")
	refuse(len(r.Ciphertext) == 0, "ciphertext", "must not be empty")
	refuse(!slices.Contains(contentTypes, r.ContentType), "content_type", contentTypeRule)
	refuse(utf8.RuneCountInString(r.AttachmentID) > MaxAttachmentID, "attachment_id", "is longer than 256 characters")
	refuse(r.ContentType.isRef() && r.AttachmentID == "", "attachment_id", "is required for this content_type")
	refuse(r.AttachmentSHA256 != "" && !isSHA256(r.AttachmentSHA256), "attachment_sha256", "must be 64 lower-case hex digits")
	refuse(r.Epoch != 0 && r.ContentType != Control, "epoch", "is for control messages only")
	refuse(r.Epoch > MaxEpoch, "epoch", epochRule)
	refuse(!r.ReplyTo.IsZero() && r.ContentType == Control, "reply_to_msg_id", "is not for control messages")
	refuse(r.TTL != 0 && (r.TTL < time.Second || r.TTL > MaxTTL), "ttl_seconds", "must be 1 to 2419200")
	if len(bad) > 0 {
		return &Error{Code: CodeInvalidRequest, Fields: bad}
	}
	if len(r.Ciphertext) > l.ciphertextBytes(r.ContentType) {
		return ciphertextTooLarge()
	}
	return nil
}

func validIdempotencyKey(key string) bool {
	for i := range len(key) {
		if key[i] < '!' || key[i] > '~' {
			return false
		}
	}
	return len(key) > 0 && len(key) <= MaxIdempotencyKey
}

func isSHA256(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 64
}

// key is what recognises the request. Binary keys that are visible ASCII are the same as
// text; of others it is a text that no IdempotencyKey can be, since stores hold text.
func (r SendRequest) key() string {
	switch {
	case len(r.BinaryKey) == 0:
		return r.IdempotencyKey
	case validIdempotencyKey(string(r.BinaryKey)):
		return string(r.BinaryKey)
	}
	return " " + base64.StdEncoding.EncodeToString(r.BinaryKey)
}

func keyReused() error {
	return Refuse(CodeIdempotencyKeyReused, "the Idempotency-Key was used for another request")
}

// hash covers every value of the request but the key.
func (r SendRequest) hash() [32]byte {
	parts := [][]byte{
		r.Thread[:], r.Ciphertext, []byte(r.ContentType), []byte(r.AttachmentID), []byte(r.AttachmentSHA256), r.ReplyTo[:],
		binary.BigEndian.AppendUint64(nil, uint64(r.ClientSeq)), binary.BigEndian.AppendUint64(nil, uint64(r.TTL)),
	}
	if r.Epoch > 0 { // the hashes of all others stay what they were before there were epochs
		parts = append(parts, binary.BigEndian.AppendUint64(nil, uint64(r.Epoch)))
	}
	return hashOf(parts...)
}

// hashOf precedes each part by its length, so that no two lists of parts run
// together to the same bytes.
func hashOf(parts ...[]byte) [32]byte {
	h := sha256.New()
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	return [32]byte(h.Sum(nil))
}

func (r SendRequest) message(hash [32]byte) *Message {
	return &Message{
		Ciphertext: r.Ciphertext, ContentType: r.ContentType, ClientSeq: r.ClientSeq,
		AttachmentID: r.AttachmentID, AttachmentSHA256: r.AttachmentSHA256, ReplyTo: r.ReplyTo, Epoch: r.Epoch,
		IdempotencyKey: r.key(), BodyHash: hash,
	}
}

package mongo

import (
	"fmt"
	"strings"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/base"
)

// newEventDoc is the document of an event of this process that follows the head prev.
func (s *Store) newEventDoc(e chat.Event, prev headState) eventDoc {
	doc := newEventDoc(e, prev)
	doc.Via = int64(s.node)
	return doc
}

// newEventDoc is the document of an event that follows the head prev, whoever made it.
func newEventDoc(e chat.Event, prev headState) eventDoc {
	doc := eventDoc{
		ID: e.ID, At: e.At, Thread: e.Thread, Seq: e.Seq, Kind: e.Kind, By: e.By, Device: e.Device,
		Key: " " + e.ID.String(), ClientSeq: e.ID.String(), // no request's key has a space
		Hidden: e.HiddenFrom, Reason: e.Reason, Changed: prev.next(e).changed,
	}
	if key, hash := e.Retry(); key != "" {
		doc.Key, doc.Hash = storedKey(e.RetryIn(), key), hash[:]
	}
	if e.Target != (chat.Target{}) {
		doc.Target = &targetDoc{ID: e.Target.ID, Seq: e.Target.Seq}
	}
	if r := e.Reaction; r != nil {
		doc.Reaction = &reactionEvent{Emoji: r.Emoji, Removed: r.Removed}
	}
	doc.Change = newChangeDoc(e.Change)
	switch {
	case e.Kind == chat.KindMessage && e.Message != nil:
		doc.ClientSeq, doc.Hidden = e.Message.ClientSeq, e.Message.HiddenFrom
		doc.Message = newMessageDoc(*e.Message)
		if doc.Hash == nil && e.Message.BodyHash != [32]byte{} {
			doc.Hash = e.Message.BodyHash[:]
		}
	case e.Kind == chat.KindEdit && e.Message != nil:
		doc.Message = messageDoc{Body: e.Message.Ciphertext, Type: e.Message.ContentType}
	}
	h := prev.next(e).Head
	if h.Epoch > 0 {
		doc.Epoch = &epochDoc{Number: h.Epoch, ID: h.EpochMessage}
	}
	if h.LastMessageSeq > 0 && (h.LastMessage != e.ID || h.LastHiddenFrom != "") {
		doc.Last = &lastDoc{ID: h.LastMessage, Seq: h.LastMessageSeq, At: h.LastMessageAt, Hidden: h.LastHiddenFrom}
		if h.LastShown.Seq > 0 {
			doc.Last.Shown = &shownDoc{ID: h.LastShown.ID, Seq: h.LastShown.Seq, At: h.LastShownAt}
		}
	}
	return doc
}

func newMessageDoc(m chat.Message) messageDoc {
	doc := messageDoc{
		Body: m.Ciphertext, Type: m.ContentType, Attachment: m.AttachmentID, SHA256: m.AttachmentSHA256,
		ReplyTo: m.ReplyTo, Expires: m.ExpiresAt, Edited: m.EditedAt, Deleted: m.Deleted, Redelivered: m.RedeliveredSeq,
	}
	if m.Deleted == "" {
		doc.Due = m.ExpiresAt
	}
	doc.Veils = newVeilDocs(m.Veils)
	return doc
}

func newVeilDocs(veils []chat.Veil) (docs []veilDoc) {
	for _, v := range veils {
		doc := veilDoc{User: v.User, Hidden: v.Hidden}
		if c := v.Content; c != nil {
			doc.Content = &contentDoc{c.Ciphertext, c.ContentType, c.EditedAt}
		}
		for _, k := range v.Kept {
			doc.Kept = append(doc.Kept, veiledReactionDoc{k.Emoji, k.By.User, k.By.At, k.By.Seq})
		}
		docs = append(docs, doc)
	}
	return docs
}

func veilsOf(docs []veilDoc) (veils []chat.Veil) {
	for _, doc := range docs {
		v := chat.Veil{User: doc.User, Hidden: doc.Hidden}
		if c := doc.Content; c != nil {
			v.Content = &chat.Content{Ciphertext: c.Body, ContentType: c.Type}
			if !c.Edited.IsZero() {
				v.Content.EditedAt = c.Edited.UTC()
			}
		}
		for _, k := range doc.Kept {
			v.Kept = append(v.Kept, chat.VeiledReaction{Emoji: k.Emoji, By: chat.ReactionBy{User: k.User, At: k.At.UTC(), Seq: k.Seq}})
		}
		veils = append(veils, v)
	}
	return veils
}

func newChangeDoc(c *chat.ThreadChange) *changeDoc {
	if c == nil {
		return nil
	}
	doc := &changeDoc{Event: c.Event, Type: c.Type, User: c.User, Role: c.Role, Title: c.Title, Pending: c.Pending}
	for _, m := range c.Members {
		doc.Members = append(doc.Members, initialMember{m.User, m.Role, m.Pending})
	}
	return doc
}

// event makes an event of its document. An edit that is not folded yet has its new
// content as Message, which is all that folding it needs; a reader replaces that by the
// whole target.
func (doc *eventDoc) event() (chat.Event, error) {
	e := chat.Event{
		Thread: doc.Thread, Seq: doc.Seq, ID: doc.ID, At: timeOr(doc.At, doc.ID), Kind: doc.Kind, By: doc.By, Device: doc.Device, Reason: doc.Reason,
	}
	if t := doc.Target; t != nil {
		e.Target = chat.Target{ID: t.ID, Seq: t.Seq}
	}
	if r := doc.Reaction; r != nil {
		e.Reaction = &chat.ReactionChange{Emoji: r.Emoji, Removed: r.Removed}
	}
	if doc.Kind != chat.KindMessage {
		e.HiddenFrom = doc.Hidden
	}
	switch doc.Kind {
	case chat.KindMessage:
		clientSeq, ok := doc.ClientSeq.(int64)
		if !ok {
			return e, fmt.Errorf("message %s has the client_seq %v", doc.ID, doc.ClientSeq)
		}
		m := doc.Message.message()
		m.CreatedAt, m.ClientSeq, m.HiddenFrom = e.At, clientSeq, doc.Hidden
		if doc.Epoch != nil && doc.Epoch.ID == doc.ID {
			m.Epoch = doc.Epoch.Number
		}
		m.Reactions = doc.inDocument()
		m.IdempotencyKey, m.BodyHash = doc.retry()
		e.Message = &m
	case chat.KindEdit:
		e.Message = &chat.Message{Ciphertext: doc.Message.Body, ContentType: doc.Message.Type}
	case chat.KindThread:
		if doc.Change == nil {
			return e, fmt.Errorf("event %s changes the thread in no way", doc.ID)
		}
		e.Change = doc.Change.change()
		e.Change.IdempotencyKey, e.Change.BodyHash = doc.retry()
	default: // the others carry nothing more
	}
	return e, nil
}

// timeOr is the wall-clock time of an event or a report. In a document of format 2 it is
// missing, and is that of the id.
func timeOr(at time.Time, id chat.EventID) time.Time {
	if at.IsZero() {
		return chat.IDTime(id)
	}
	return at.UTC()
}

func eventsOf(docs []eventDoc) ([]chat.Event, error) {
	events := make([]chat.Event, len(docs))
	for i := range docs {
		var err error
		if events[i], err = docs[i].event(); err != nil {
			return nil, err
		}
	}
	return events, nil
}

func (doc *eventDoc) retry() (key string, hash [32]byte) {
	copy(hash[:], doc.Hash)
	if len(doc.Key) > 0 && doc.Key[0] == ' ' {
		return "", hash
	}
	if _, key, of := strings.Cut(doc.Key, " "); of {
		return key, hash
	}
	return doc.Key, hash // of a creation, or of format 2
}

// storedKey is an idempotency key as it is stored: that of a message with its thread in
// front, within which it is the sender's.
func storedKey(in chat.ThreadID, key string) string {
	if in == (chat.ThreadID{}) {
		return key
	}
	return in.String() + " " + key
}

func (doc *messageDoc) message() chat.Message {
	m := chat.Message{
		Ciphertext: doc.Body, ContentType: doc.Type, AttachmentID: doc.Attachment, AttachmentSHA256: doc.SHA256,
		ReplyTo: doc.ReplyTo, ExpiresAt: doc.Expires, EditedAt: doc.Edited, Deleted: doc.Deleted, RedeliveredSeq: doc.Redelivered,
		Omitted: doc.Omitted, Veils: veilsOf(doc.Veils),
	}
	return m
}

func (doc *changeDoc) change() *chat.ThreadChange {
	c := &chat.ThreadChange{Event: doc.Event, Type: doc.Type, User: doc.User, Role: doc.Role, Title: doc.Title, Pending: doc.Pending}
	for _, m := range doc.Members {
		c.Members = append(c.Members, chat.InitialMember{User: m.User, Role: m.Role, Pending: m.Pending})
	}
	return c
}

// headState is a head and the seq of the log's newest change, the event that a reader
// of the head must find settled.
type headState struct {
	chat.Head
	changed chat.Seq
}

// next is the head after an event.
func (h headState) next(e chat.Event) headState {
	h.Head = chat.Thread{Head: h.Head}.Apply(e).Head // which alone says how a head moves
	if e.Kind != chat.KindMessage {
		h.changed = e.Seq
	}
	return h
}

// head is the head of a log that ends with the document.
func (doc *eventDoc) head() headState {
	h := headState{Head: chat.Head{Seq: doc.Seq, ID: doc.ID}, changed: doc.Changed}
	switch last := doc.Last; {
	case last != nil:
		h.LastMessage, h.LastMessageSeq, h.LastHiddenFrom = last.ID, last.Seq, last.Hidden
		h.LastMessageAt = timeOr(last.At, last.ID)
		if shown := last.Shown; shown != nil {
			h.LastShown, h.LastShownAt = chat.Target{ID: shown.ID, Seq: shown.Seq}, timeOr(shown.At, shown.ID)
		}
	case doc.Kind == chat.KindMessage && doc.Message.Type != chat.Control:
		h.LastMessage, h.LastMessageSeq, h.LastMessageAt = doc.ID, doc.Seq, timeOr(doc.At, doc.ID)
	}
	if epoch := doc.Epoch; epoch != nil {
		h.Epoch, h.EpochMessage = epoch.Number, epoch.ID
	}
	return h
}

// newThreadDoc is the document of a thread as its changes up to applied left it.
func newThreadDoc(t chat.Thread, applied chat.Seq) threadDoc {
	doc := threadDoc{
		ID: t.ID, Type: t.Type, Title: t.Title, Created: t.CreatedAt, By: t.CreatedBy, Applied: applied,
		Members: make([]memberDoc, len(t.Participants)), Pins: make([]pinDoc, len(t.Pins)),
	}
	for i, p := range t.Participants {
		doc.Members[i] = memberDoc{User: p.User, Role: p.Role, Seq: p.JoinedSeq, ID: p.JoinedID, At: p.JoinedAt, Pending: p.Pending}
	}
	for i, p := range t.Pins {
		doc.Pins[i] = pinDoc{ID: p.Message, Seq: p.Seq, By: p.By, At: p.At, Hidden: p.HiddenFrom}
	}
	return doc
}

// thread is the thread of a document, without its head.
func (doc *threadDoc) thread() chat.Thread {
	t := chat.Thread{
		ID: doc.ID, Type: doc.Type, Title: doc.Title, CreatedAt: doc.Created.UTC(), CreatedBy: doc.By,
		Participants: make([]chat.Participant, len(doc.Members)),
	}
	for i, m := range doc.Members {
		if m.ID.IsZero() { // of format 2
			m.ID = base.JoinedIDAt(m.At)
		}
		t.Participants[i] = chat.Participant{User: m.User, Role: m.Role, JoinedSeq: m.Seq, JoinedID: m.ID, JoinedAt: m.At.UTC(), Pending: m.Pending}
	}
	for _, p := range doc.Pins {
		t.Pins = append(t.Pins, chat.Pin{Message: p.ID, Seq: p.Seq, By: p.By, At: p.At.UTC(), HiddenFrom: p.Hidden})
	}
	return t
}

// asOf is the user's last stint when the log ended at seq. It is not found if the user
// had not joined by then.
func (doc *stintsDoc) asOf(seq chat.Seq) (stintDoc, bool) {
	last := stintDoc{Joined: doc.Joined, Left: doc.Left}
	for i := len(doc.Earlier); last.Joined > seq; {
		if i--; i < 0 {
			return stintDoc{}, false
		}
		last = doc.Earlier[i]
	}
	if last.Left > seq {
		last.Left = 0
	}
	return last, true
}

// state is what the user keeps of the thread in the stint that began with joined.
func (doc *stintsDoc) state(joined chat.Seq) chat.OwnState {
	own := doc.Own
	if own == nil {
		return chat.FreshState(joined, doc.Pending && joined == doc.Joined, 0)
	}
	if own.Joined != joined {
		return chat.FreshState(joined, doc.Pending && joined == doc.Joined, uint64(own.Revision))
	}
	st := chat.OwnState{
		Joined: own.Joined, Revision: uint64(own.Revision), Accepted: own.Accepted, ArchivedAt: own.Archived,
		Pinned: own.Pinned, MarkedUnread: own.Unread,
	}
	if !own.Muted.IsZero() {
		st.MutedUntil = own.Muted.UTC()
	}
	if own.Custom != nil {
		st.Custom = chat.Custom{Set: true, Bytes: string(*own.Custom)}
	}
	return st
}

func newOwnDoc(st chat.OwnState) ownDoc {
	doc := ownDoc{
		Joined: st.Joined, Revision: int64(st.Revision), Accepted: st.Accepted, Muted: st.MutedUntil, Archived: st.ArchivedAt,
		Pinned: st.Pinned, Unread: st.MarkedUnread,
	}
	if st.Custom.Set {
		doc.Custom = new([]byte(st.Custom.Bytes))
	}
	return doc
}

// at is the stint that covers seq, if one does.
func (doc *stintsDoc) at(seq chat.Seq) (chat.Stint, bool) {
	for _, s := range append(doc.Earlier, stintDoc{Joined: doc.Joined, Left: doc.Left}) {
		if st := (chat.Stint{User: doc.User, JoinedSeq: s.Joined, LeftSeq: s.Left}); st.Covers(seq) {
			return st, true
		}
	}
	return chat.Stint{}, false
}

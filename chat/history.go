package chat

import (
	"cmp"
	"context"
	"slices"
)

// MessagePage is one page of a thread's messages.
type MessagePage struct {
	Messages []Event
	Next     string // "" at the end
}

// A page of messages looks at so many events of the log at most, one that is narrowed to a
// content type at fewer. So a page may hold less than it could, or nothing, and have a next
// one (docs/contract.md#history).
const (
	maxLook       = 5000
	maxFilterLook = 1000
)

// mostEvents is how many events a page of the listing looks at.
func (l messageListing) mostEvents() Seq {
	if l.filter != "" {
		return maxFilterLook
	}
	return maxLook
}

// History lists a thread's messages, newest first, back to where the caller joined.
func (s *Service) History(ctx context.Context, c Caller, id ThreadID, p PageRequest) (MessagePage, error) {
	if isCursor(cursorSince, p.Cursor) { // the cursor alone says in which direction to go on
		return s.HistorySince(ctx, c, id, MessageID{}, p)
	}
	listing := messageListing{cursorHistory, id, p.ContentType}
	before, err := listing.seqOf(p.Cursor)
	if err != nil {
		return MessagePage{}, err
	}
	line, size, err := s.reading(ctx, c, id, p)
	if err != nil {
		return MessagePage{}, err
	}
	r := MessageRange{After: line.JoinedSeq - 1, Before: before, NewestFirst: true}
	goOn := Seq(0)
	if last, most := cmp.Or(before, line.Head.Seq+1), listing.mostEvents(); last > r.After+1+most {
		r.After = last - 1 - most
		goOn = r.After + 1
	}
	return s.messagePage(ctx, c.User, listing, r, size, goOn)
}

// HistorySince lists the messages after the message since, oldest first. If no message
// has that id, they are those of a later time than the id's.
func (s *Service) HistorySince(ctx context.Context, c Caller, id ThreadID, since MessageID, p PageRequest) (MessagePage, error) {
	listing := messageListing{cursorSince, id, p.ContentType}
	after, err := listing.seqOf(p.Cursor)
	if err != nil {
		return MessagePage{}, err
	}
	line, size, err := s.reading(ctx, c, id, p)
	if err != nil {
		return MessagePage{}, err
	}
	if p.Cursor == "" {
		if after, err = s.lastAt(ctx, id, since); err != nil {
			return MessagePage{}, err
		}
	}
	r := MessageRange{After: max(after, line.JoinedSeq-1)}
	goOn := Seq(0)
	if most := listing.mostEvents(); line.Head.Seq > r.After+most {
		goOn = r.After + most
		r.Before = goOn + 1
	}
	return s.messagePage(ctx, c.User, listing, r, size, goOn)
}

// EventPage is one page of a thread's log.
type EventPage struct {
	Events []Event
	Next   Seq // the last event of the page; zero at the end of the log
	Store  StoreID
}

// maxPageBytes bounds one page of messages or events that has more than one: the
// ciphertext, and of messages the names in their reactions (docs/contract.md#limits).
const maxPageBytes = 1 << 20

// Events lists a thread's log after a seq, oldest first, from where the caller joined.
// With it a device can keep an exact index of the thread
// (docs/contract.md#history).
func (s *Service) Events(ctx context.Context, c Caller, id ThreadID, since Seq, p PageRequest) (EventPage, error) {
	line, size, err := s.reading(ctx, c, id, p)
	if err != nil {
		return EventPage{}, err
	}
	after := max(since, line.JoinedSeq-1)
	page := EventPage{Store: s.store.ID()}
	if after >= line.Head.Seq {
		return page, nil
	}
	found, err := s.store.Events(ctx, id, after, line.Head.Seq, Limit{Count: size, Bytes: maxPageBytes})
	if err != nil {
		return EventPage{}, Unavailable("read the log", err)
	}
	if n := len(found); n > 0 && found[n-1].Seq < line.Head.Seq {
		page.Next = found[n-1].Seq
	}
	now := s.now()
	for _, e := range found {
		if e.VisibleTo(c.User, line.JoinedSeq) {
			page.Events = append(page.Events, e.AsOf(now).SeenBy(c.User).Brief())
		}
	}
	return page, nil
}

// Message gives one message to a participant who sees it.
func (s *Service) Message(ctx context.Context, c Caller, id MessageID) (Event, error) {
	if err := c.need(ScopeRead); err != nil {
		return Event{}, err
	}
	if err := s.spendRead(c); err != nil {
		return Event{}, err
	}
	m, err := s.messageFor(ctx, c.User, id)
	if err != nil {
		return Event{}, err
	}
	return s.shownTo(ctx, c.User, m)
}

// lastAt is the seq of the last event whose id is at or below the given one.
func (s *Service) lastAt(ctx context.Context, thread ThreadID, id EventID) (Seq, error) {
	at, err := s.store.SeqAt(ctx, thread, NextInOrder(id))
	if err != nil {
		return 0, Unavailable("find the position", err)
	}
	return at - 1, nil
}

// seqOf is the seq that a page cursor says; zero if there is no cursor.
func (l messageListing) seqOf(cursor string) (Seq, error) {
	if cursor == "" {
		return 0, nil
	}
	return l.decode(cursor)
}

// reading refuses who may not read a thread, and gives the reader's line of it and the
// page's size.
func (s *Service) reading(ctx context.Context, c Caller, id ThreadID, p PageRequest) (UserThread, int, error) {
	if err := c.need(ScopeRead); err != nil {
		return UserThread{}, 0, err
	}
	size, err := s.pageSize(p)
	if err != nil {
		return UserThread{}, 0, err
	}
	if p.ContentType != "" && !slices.Contains(contentTypes, p.ContentType) {
		return UserThread{}, 0, Invalid("content_type", contentTypeRule)
	}
	if err := s.spendRead(c); err != nil {
		return UserThread{}, 0, err
	}
	line, err := s.standing(ctx, c.User, id)
	return line, size, err
}

// messagePage reads one page of a range. The listing goes on behind the page's last message
// or, if the range has no more, at the seq goOn, unless that is zero.
func (s *Service) messagePage(ctx context.Context, viewer UserID, l messageListing, r MessageRange, size int, goOn Seq) (MessagePage, error) {
	r.Viewer, r.ContentType, r.Count, r.Bytes = viewer, l.filter, size+1, maxPageBytes
	found, err := s.store.Messages(ctx, l.thread, r)
	if err != nil {
		return MessagePage{}, Unavailable("read the history", err)
	}
	size = min(size, withinBytes(found, maxPageBytes))
	if len(found) > size { // the one message more says that there is more
		goOn = found[size-1].Seq
	}
	page := MessagePage{Messages: found[:size]}
	if goOn != 0 {
		page.Next = l.encode(goOn)
	}
	return page, s.showTo(ctx, viewer, page.Messages)
}

// withinBytes is how many of the messages, from the first on, have at most such a size
// together; the first counts whatever its size.
func withinBytes(messages []Event, most int) int {
	bytes := 0
	for i, m := range messages {
		if bytes += m.Message.Size(); i > 0 && bytes > most {
			return i
		}
	}
	return len(messages)
}

package chat

import (
	"context"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"
)

// ReportID is a ULID: reports sort by it as they came, also when the clock is set. It tells
// no time.
type ReportID = ulid.ULID

// ReportReason is why a message was reported (docs/contract.md#reports).
type ReportReason string

// The reasons of docs/contract.md#reports.
const (
	ReportSpam    ReportReason = "spam"
	ReportAbuse   ReportReason = "abuse"
	ReportIllegal ReportReason = "illegal"
	ReportOther   ReportReason = "other"
)

// Report is a user's complaint about a message. It stays when the message goes.
type Report struct {
	ID      ReportID
	At      time.Time // when it was made
	Thread  ThreadID
	Message MessageID
	Sender  UserID // of the message
	By      UserID // who reports
	Reason  ReportReason
	Note    string // at most 1,000 characters; "" is none
}

// Report files a complaint about a message that the caller sees. If the caller has
// reported it before, that report stays: it is given, and added is false.
func (s *Service) Report(ctx context.Context, c Caller, id MessageID, reason ReportReason, note string) (r Report, added bool, err error) {
	if err := c.need(ScopeWrite); err != nil {
		return Report{}, false, err
	}
	if !slices.Contains([]ReportReason{ReportSpam, ReportAbuse, ReportIllegal, ReportOther}, reason) {
		return Report{}, false, Invalid("reason", "must be spam, abuse, illegal or other")
	}
	if utf8.RuneCountInString(note) > MaxNoteChars {
		return Report{}, false, Invalid("note", "is longer than 1000 characters")
	}
	err = s.writing(c, costReport, func() (wrote bool, err error) {
		m, err := s.messageFor(ctx, c.User, id)
		if err != nil {
			return false, err
		}
		mine := Report{
			ID: s.reports.next(s.clock.Now()), At: s.markTime(), Thread: m.Thread, Message: id, Sender: m.By,
			By: c.User, Reason: reason, Note: note,
		}
		if r, added, err = s.store.PutReport(ctx, mine); err != nil {
			return false, Unavailable("store the report", err)
		}
		return added, nil
	})
	return r, added, err
}

// reportIDs mints ids that rise from call to call, within one millisecond too, and over
// restarts: last is the newest id of the store at first.
type reportIDs struct {
	mu   sync.Mutex
	last ReportID
}

func (r *reportIDs) next(now time.Time) ReportID {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = nextEventID(r.last, now)
	return r.last
}

// ReportPage is one page of reports.
type ReportPage struct {
	Reports []Report
	Next    string // "" at the end
}

// Reports lists what users have reported, newest first, to operators.
func (s *Service) Reports(ctx context.Context, c Caller, p PageRequest) (ReportPage, error) {
	if err := c.need(ScopeAdmin); err != nil {
		return ReportPage{}, err
	}
	size, err := s.pageSize(p)
	if err != nil {
		return ReportPage{}, err
	}
	var before ReportID
	if p.Cursor != "" {
		if before, err = decodeReportCursor(c.User, p.Cursor); err != nil {
			return ReportPage{}, err
		}
	}
	if err := s.spendRead(c); err != nil {
		return ReportPage{}, err
	}
	found, err := s.store.Reports(ctx, before, size+1)
	if err != nil {
		return ReportPage{}, Unavailable("list the reports", err)
	}
	if len(found) <= size {
		return ReportPage{Reports: found}, nil
	}
	return ReportPage{Reports: found[:size], Next: encodeReportCursor(c.User, found[size-1].ID)}, nil
}

// DenyAttachment makes the service refuse messages with this attachment from now on.
func (s *Service) DenyAttachment(ctx context.Context, c Caller, sha256 string) error {
	return s.changeDenylist(ctx, c, sha256, s.store.DenyAttachment)
}

// AllowAttachment undoes DenyAttachment.
func (s *Service) AllowAttachment(ctx context.Context, c Caller, sha256 string) error {
	return s.changeDenylist(ctx, c, sha256, s.store.AllowAttachment)
}

func (s *Service) changeDenylist(ctx context.Context, c Caller, sha256 string, change func(context.Context, string) error) error {
	if err := c.need(ScopeAdmin); err != nil {
		return err
	}
	if !isSHA256(sha256) {
		return Invalid("sha256", "must be 64 lower-case hex digits")
	}
	return s.writing(c, costWrite, func() (wrote bool, err error) {
		if err := change(ctx, sha256); err != nil {
			return false, Unavailable("change the denylist", err)
		}
		return true, nil
	})
}

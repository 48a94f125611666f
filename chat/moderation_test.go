package chat_test

import (
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/parleyhq/parley/chat"
)

var operator = with("ops", chat.ScopeAdmin)

func (w *world) report(by chat.UserID, m chat.Event, why chat.ReportReason, note string) chat.Report {
	w.tb.Helper()
	r, added, err := w.Report(w.tb.Context(), as(by), m.ID, why, note)
	must(w.tb, err)
	same(w.tb, "it is new", added, true)
	return r
}

func TestReports(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	m := w.send("alice", id, "buy now")
	w.heard.drain()
	at := w.clock.advance(time.Second)
	note := strings.Repeat("ö", 1000)
	first := w.report("bob", m, chat.ReportSpam, note)
	same(t, "report", first, chat.Report{ID: first.ID, At: at, Thread: id, Message: m.ID, Sender: "alice", By: "bob", Reason: chat.ReportSpam, Note: note})
	w.heard.nothing(t)

	again, added, err := w.Report(t.Context(), as("bob"), m.ID, chat.ReportAbuse, "")
	must(t, err)
	same(t, "the first one stays", again, first)
	same(t, "it is new", added, false)

	want := []chat.Report{first}
	for _, why := range []chat.ReportReason{chat.ReportAbuse, chat.ReportIllegal, chat.ReportOther} {
		w.clock.advance(time.Millisecond)
		want = append([]chat.Report{w.report("bob", w.send("alice", id, "and now"), why, "")}, want...)
	}
	w.clock.advance(time.Millisecond)
	want = append([]chat.Report{w.report("alice", m, chat.ReportOther, "oneself")}, want...)
	w.erase("alice", m)
	w.remove("alice", id, "bob")
	for _, size := range []int{0, 1, 2, 5} {
		var got []chat.Report
		for cursor := ""; ; {
			page, err := w.Reports(t.Context(), operator, chat.PageRequest{Cursor: cursor, Size: size})
			must(t, err)
			same(t, "no empty page", len(page.Reports) > 0, true)
			got = append(got, page.Reports...)
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		sameList(t, "newest first, the message gone or not", got, want...)
	}
}

func TestReportRefusals(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	m := w.send("alice", id, "hello")
	w.add("alice", id, "carol")
	for name, c := range map[string]struct {
		by   chat.Caller
		of   chat.MessageID
		code chat.Code
	}{
		"no right to write":        {with("bob", chat.ScopeRead), m.ID, chat.CodeMissingScope},
		"no such message":          {as("bob"), ulid.Make(), chat.CodeMessageNotFound},
		"a message before joining": {as("carol"), m.ID, chat.CodeMessageNotFound},
		"a stranger":               {as("mallory"), m.ID, chat.CodeNotAParticipant},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := w.Report(t.Context(), c.by, c.of, chat.ReportSpam, "")
			refused(t, err, c.code)
		})
	}
	for _, why := range []chat.ReportReason{"", "Spam", "boring"} {
		_, _, err := w.Report(t.Context(), as("bob"), m.ID, why, "")
		invalid(t, err, "reason")
	}
	_, _, err := w.Report(t.Context(), as("bob"), m.ID, chat.ReportSpam, strings.Repeat("o", 1001))
	invalid(t, err, "note")

	_, err = w.Reports(t.Context(), as("alice"), chat.PageRequest{})
	refused(t, err, chat.CodeMissingScope)
	for _, size := range []int{-1, 101} {
		_, err = w.Reports(t.Context(), operator, chat.PageRequest{Size: size})
		invalid(t, err, "page_size")
	}
	_, err = w.Reports(t.Context(), operator, chat.PageRequest{Cursor: "x"})
	invalid(t, err, "cursor")
	w.send("alice", id, "another")
	history, err := w.History(t.Context(), as("alice"), id, chat.PageRequest{Size: 1})
	must(t, err)
	_, err = w.Reports(t.Context(), operator, chat.PageRequest{Cursor: history.Next})
	invalid(t, err, "cursor") // of another listing
	page, err := w.Reports(t.Context(), operator, chat.PageRequest{})
	must(t, err)
	same(t, "reports", len(page.Reports), 0)
}

func TestDeniedAttachments(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	send := func(hash string) error {
		req := w.request(id, "look")
		req.ContentType, req.AttachmentID, req.AttachmentSHA256 = chat.ImageRef, "a", hash
		_, err := w.Send(t.Context(), as("alice"), req)
		return err
	}
	other := sha[1:] + "0"
	must(t, send(sha))
	must(t, w.DenyAttachment(t.Context(), operator, sha))
	must(t, w.DenyAttachment(t.Context(), operator, sha))
	w.heard.drain()
	refused(t, send(sha), chat.CodeAttachmentBlocked)
	w.heard.nothing(t)
	same(t, "nothing is stored", len(w.soundLog(id)), 2)
	must(t, send(other))
	must(t, send(""))
	plain := w.request(id, "the type does not matter")
	plain.AttachmentSHA256 = sha
	_, err := w.Send(t.Context(), as("alice"), plain)
	refused(t, err, chat.CodeAttachmentBlocked)
	same(t, "what was sent before stays", w.history("bob", id)[2], "look")

	must(t, w.AllowAttachment(t.Context(), operator, sha))
	must(t, w.AllowAttachment(t.Context(), operator, sha))
	must(t, send(sha))

	for _, judge := range []func(chat.Caller, string) error{
		func(c chat.Caller, h string) error { return w.DenyAttachment(t.Context(), c, h) },
		func(c chat.Caller, h string) error { return w.AllowAttachment(t.Context(), c, h) },
	} {
		refused(t, judge(with("alice", chat.ScopeRead, chat.ScopeWrite, chat.ScopeSystem), sha), chat.CodeMissingScope)
		for _, bad := range []string{"", sha[1:], sha + "0", strings.ToUpper(sha), sha[1:] + "g"} {
			invalid(t, judge(operator, bad), "sha256")
		}
	}
}

func TestSendRate(t *testing.T) {
	w := newWorldOf(t, setup{limits: chat.Limits{SendRate: 20, SendBurst: 40}})
	id := w.newGroup("alice", "bob")
	req := w.request(id, "once")
	_, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	for range 100 {
		w.resend("alice", req, chat.Replayed) // retries cost no write
	}
	w.sendMany("alice", id, 37) // the group was a write too
	_, err = w.Send(t.Context(), as("alice"), chat.SendRequest{Thread: id})
	refused(t, err, chat.CodeInvalidRequest) // what is no request does not
	w.send("alice", id, "the fortieth")
	w.heard.drain()
	_, err = w.Send(t.Context(), as("alice"), w.request(id, "one more"))
	refused(t, err, chat.CodeRateLimited)
	w.heard.nothing(t)
	w.send("bob", id, "another user")
	w.sendSystem(id, "a service")
	w.clock.advance(50 * time.Millisecond)
	w.send("alice", id, "later")
	_, err = w.Send(t.Context(), as("alice"), w.request(id, "too soon"))
	refused(t, err, chat.CodeRateLimited)
}

// Reports stand in the order in which they came, whatever is done to the clock and over
// restarts. When each was made is by the clock.
func TestReportsStayInOrderWhenTheClockIsSet(t *testing.T) {
	dir := t.TempDir()
	start := time.Date(2026, 5, 30, 17, 42, 11, 234e6, time.UTC)
	var made []chat.Report // newest first
	for _, by := range []time.Duration{0, -5 * time.Second, 20 * time.Second, -time.Hour, -30 * 24 * time.Hour, 30 * 24 * time.Hour, -time.Minute} {
		w := newWorldOf(t, setup{dir: dir, start: start.Add(by)})
		id := w.newGroup("alice", "bob", "carol")
		for _, reporter := range []chat.UserID{"bob", "carol"} {
			at := w.clock.advance(2 * time.Hour)
			made = append([]chat.Report{w.report(reporter, w.send("alice", id, "buy now"), chat.ReportSpam, "")}, made...)
			same(t, "the time of a report", made[0].At, at)
			at = w.clock.advance(by - time.Hour)
			made = append([]chat.Report{w.report(reporter, w.send("alice", id, "and now"), chat.ReportSpam, "")}, made...)
			same(t, "the time of a report", made[0].At, at)
		}
		page, err := w.Reports(t.Context(), operator, chat.PageRequest{Size: 100})
		must(t, err)
		sameList(t, "reports, newest first", page.Reports, made...)
		w.stop()
	}
}

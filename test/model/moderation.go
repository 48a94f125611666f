package model

import (
	"slices"

	"github.com/parleyhq/parley/chat"
)

// report reports a message.
func (r *runner) report(op operation) {
	m, id := r.someMessage(op)
	c := r.caller(op)
	reason := []chat.ReportReason{chat.ReportSpam, chat.ReportAbuse, chat.ReportIllegal, chat.ReportOther, "boring"}[op.a%5]
	code := firstRefusal(refuseIf(reason == "boring", chat.CodeInvalidRequest), refuseMessage(m, c.User))
	r.tracef("%s reports %s as %s: %q", c.User, nameOf(m), reason, code)
	got, added, err := r.node(op).Report(r.ctx(), c, id, reason, "note")
	if !r.checkError(err, code) {
		return
	}
	want := chat.Report{Thread: m.thread.id, Message: id, Sender: m.by(), By: c.User, Reason: reason, Note: "note"}
	before := slices.IndexFunc(r.reports, func(old chat.Report) bool { return old.Message == id && old.By == c.User })
	equal(r, "the answer", "it is the first report", added, before < 0)
	if before >= 0 {
		want = r.reports[before]
	} else {
		equal(r, "the answer", "time of the report", got.At.UnixMilli(), r.now().UnixMilli())
		want.At = got.At
		r.reports = append(r.reports, want)
	}
	got.ID = chat.ReportID{}
	equal(r, "the answer", "the report is the one filed", got == want, true)
	r.compareReports(r.node(op), 1+op.b%100)
}

// deny denies or allows an attachment.
func (r *runner) deny(op operation) {
	hash := hashes[op.b%len(hashes)]
	denied := op.a%2 == 0
	r.tracef("attachment %d is denied: %v", op.b%len(hashes), denied)
	judge := r.node(op).AllowAttachment
	if r.denied[hash] = denied; denied {
		judge = r.node(op).DenyAttachment
	}
	r.checkError(judge(r.ctx(), administrator, hash), "")
}

// compareReports compares all reports. The model leaves open in which order reports
// of one millisecond come.
func (r *runner) compareReports(node *chat.Service, size int) {
	var got []chat.Report
	for cursor := ""; ; {
		page, err := node.Reports(r.ctx(), administrator, chat.PageRequest{Cursor: cursor, Size: size})
		r.checkError(err, "")
		for _, report := range page.Reports {
			equal(r, "the answer", "reports are newest first", len(got) == 0 || report.ID.Compare(got[len(got)-1].ID) < 0, true)
			got = append(got, report)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	counts := make(map[chat.Report]int)
	for _, report := range r.reports {
		counts[report]++
	}
	for _, report := range got {
		report.ID = chat.ReportID{}
		counts[report]--
	}
	for _, n := range counts {
		equal(r, "the answer", "reports of one kind too few", n, 0)
	}
}

package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var moderationScenarios = []scenario{
	{"reports come newest first, page by page", testReports},
	{"a report stored again changes nothing", testReportAgain},
	{"an attachment is denied until it is allowed", testDenylist},
}

func (f *fixture) putReport(r chat.Report) {
	f.tb.Helper()
	if stored, added, err := f.store.PutReport(f.tb.Context(), r); err != nil || !added || stored != r {
		f.tb.Fatalf("PutReport: %+v, %v, %v", stored, added, err)
	}
}

func (f *fixture) wantReports(before chat.ReportID, count int, want ...chat.Report) {
	f.tb.Helper()
	got, err := f.store.Reports(f.tb.Context(), before, count)
	if err != nil {
		f.tb.Fatalf("Reports: %v", err)
	}
	if !slices.Equal(got, want) {
		f.tb.Errorf("at most %d reports before %s are %+v, want %+v", count, before, got, want)
	}
}

// report makes a report with the clock's time and an id above another's.
func (f *fixture) report(after chat.ReportID, reason chat.ReportReason, note string) chat.Report {
	return chat.Report{
		ID: mint(after, f.clock.Now().Add(time.Minute)), At: f.clock.Now(), // an id tells no time
		Thread: newThreadID(), Message: mint(chat.EventID{}, f.clock.Now()),
		Sender: "mal", By: "ann", Reason: reason, Note: note,
	}
}

func testReports(_ *testing.T, f *fixture) {
	f.wantReports(chat.ReportID{}, 10)
	var all []chat.Report // newest first
	last := chat.ReportID{}
	for i, reason := range []chat.ReportReason{chat.ReportSpam, chat.ReportAbuse, chat.ReportIllegal, chat.ReportOther, chat.ReportSpam} {
		f.clock.Advance(time.Duration(i/2) * time.Second) // some in the same millisecond
		r := f.report(last, reason, strings.Repeat("ü", i*250))
		last = r.ID
		all = append([]chat.Report{r}, all...)
	}
	for _, i := range []int{3, 0, 4, 1, 2} { // several nodes store them in any order
		f.putReport(all[i])
	}
	f.wantReports(chat.ReportID{}, 10, all...)
	f.wantReports(chat.ReportID{}, 2, all[:2]...)
	f.wantReports(all[1].ID, 2, all[2:4]...)
	f.wantReports(all[3].ID, 2, all[4:]...)
	f.wantReports(all[4].ID, 2)
	f.wantReports(mint(all[2].ID, all[2].At), 1, all[2])
	f.wantReports(chat.ReportID{}, 0)
}

func testReportAgain(t *testing.T, f *fixture) {
	first := f.report(chat.ReportID{}, chat.ReportSpam, "first")
	f.putReport(first)
	again := func(r chat.Report) {
		t.Helper()
		if stored, added, err := f.store.PutReport(t.Context(), r); err != nil || added || stored != first {
			t.Errorf("reported again: %+v, %v, %v; want %+v", stored, added, err, first)
		}
	}
	again(first)
	second := first
	second.ID, second.Reason, second.Note = mint(first.ID, first.At), chat.ReportAbuse, "second"
	again(second)
	other := second
	other.By = "an"
	f.putReport(other)
	another := f.report(other.ID, chat.ReportSpam, "")
	f.putReport(another)
	f.wantReports(chat.ReportID{}, 10, another, other, first)
	again(second)
}

func testDenylist(t *testing.T, f *fixture) {
	one, two := strings.Repeat("0f", 32), strings.Repeat("0e", 32)
	want := func(denied ...string) {
		t.Helper()
		for _, hash := range []string{one, two} {
			got, err := f.store.AttachmentDenied(t.Context(), hash)
			if err != nil || got != slices.Contains(denied, hash) {
				t.Errorf("%s is denied: %v, %v; want %v", hash, got, err, denied)
			}
		}
	}
	do := func(what func(hash string) error, hash string) {
		t.Helper()
		for range 2 { // the second changes nothing
			if err := what(hash); err != nil {
				t.Fatal(err)
			}
		}
	}
	deny := func(hash string) error { return f.store.DenyAttachment(t.Context(), hash) }
	allow := func(hash string) error { return f.store.AllowAttachment(t.Context(), hash) }
	want()
	do(allow, one)
	do(deny, one)
	want(one)
	do(deny, two)
	want(one, two)
	do(allow, one)
	want(two)
	do(deny, one)
	want(one, two)
}

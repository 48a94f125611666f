package storetest

import (
	"context"
	"strings"
	"testing"

	"github.com/parleyhq/parley/chat"
)

func testPing(t *testing.T, f *fixture) {
	if err := f.store.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.store.Ping(ended); err == nil {
		t.Error("Ping with an ended context says that the store can serve")
	}
}

func testEndedContext(t *testing.T, f *fixture) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	thread := f.group("ann", "bob")
	head := f.thread(thread).Head
	if n, err := f.store.Append(ended, head, f.stamp(thread, head, drafts("ann", 1))); n != 0 || err == nil {
		t.Errorf("Append = %d, %v; want an error", n, err)
	}
	if _, moved, err := f.store.PutMark(ended, chat.Mark{Thread: thread, User: "bob", Kind: chat.Read, Seq: 1, At: f.clock.Now()}); moved || err == nil {
		t.Errorf("PutMark moved %v, %v; want an error", moved, err)
	}
	if err := f.store.CreateThread(ended, f.creation(chat.OneToOne, "ann", "bob")); err == nil {
		t.Error("CreateThread succeeded")
	}
	if got := f.thread(thread).Head; got != head {
		t.Errorf("the head moved to %+v", got)
	}
	f.wantMarks(thread, 0, chat.Marks{User: "bob"})
	testEndedContextOfUsers(ended, t, f)
	if lines, err := f.store.UserThreads(t.Context(), "ann"); err != nil || len(lines) != 1 {
		t.Errorf("ann is in %d threads, %v; want 1", len(lines), err)
	}
}

func testEndedContextOfUsers(ended context.Context, t *testing.T, f *fixture) {
	t.Helper()
	f.putPrekeys("ann", "phone", f.upload("first", oneTime("a", 1, 2)...), 2)
	listed := f.prekeysOf("ann")[0]
	block := f.putBlock("ann", "bob")
	sha := strings.Repeat("0f", 32)
	for what, write := range map[string]func() error{
		"PutPrekeys": func() error {
			_, err := f.store.PutPrekeys(ended, "ann", "phone", f.upload("second", oneTime("b", 3, 4)...))
			return err
		},
		"TakePrekey": func() error {
			_, err := f.store.TakePrekey(ended, listed)
			return err
		},
		"PutBlock": func() error {
			return f.store.PutBlock(ended, chat.Block{User: "ann", Blocked: "cid", At: f.clock.Now()})
		},
		"DeleteBlock": func() error { return f.store.DeleteBlock(ended, "ann", "bob") },
		"PutReport": func() error {
			_, _, err := f.store.PutReport(ended, f.report(chat.ReportID{}, chat.ReportSpam, ""))
			return err
		},
		"DenyAttachment": func() error { return f.store.DenyAttachment(ended, sha) },
	} {
		if err := write(); err == nil {
			t.Errorf("%s succeeded", what)
		}
	}
	f.wantPrekeys("ann", storedPrekeys("phone", f.upload("first"), 2))
	f.wantBlocks("ann", block)
	f.wantReports(chat.ReportID{}, 10)
	if denied, err := f.store.AttachmentDenied(t.Context(), sha); denied || err != nil {
		t.Errorf("the attachment is denied: %v, %v", denied, err)
	}
}

package storetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

func testReopen(t *testing.T, s Subject) {
	f := newFixture(t, s)
	pair := f.creation(chat.OneToOne, "ann", "bob")
	if err := f.store.CreateThread(t.Context(), pair); err != nil {
		t.Fatalf("CreateThread: %v", err)
	}
	group := f.group("ann", "bob", "cid")
	sent := f.append(group, draft("ann", "hello"), removal("ann", "cid"), draft("bob", "hi"))
	mark, _, _ := f.putMark(chat.Mark{Thread: group, User: "bob", Kind: chat.Read, Seq: 2, Message: sent[0].ID})
	more := f.append(group, expiring(draft("ann", "soon gone"), f.clock.Now().Add(time.Second)), edit(sent[0], "changed"), pin(sent[2], "bob"))
	more = append(more, f.append(group, reaction(sent[2], "bob", "+1"), redelivery(sent[0]))...)
	upload := f.upload("first", oneTime("a", 1, 5)...)
	f.putPrekeys("ann", "phone", upload, 5)
	if k, _, err := f.take("ann", "phone"); err != nil || k.OneTime.ID != 1 {
		t.Fatalf("taken was %+v, %v", k, err)
	}
	block := f.putBlock("ann", "bob")
	f.putBlock("ann", "cid")
	f.deleteBlock("ann", "cid")
	report, sha := f.report(chat.ReportID{}, chat.ReportSpam, "note"), strings.Repeat("0f", 32)
	f.putReport(report)
	subscriptions := kept(f.clock.Now(), "v1/#")
	f.putKept("ann", "phone", subscriptions)
	if err := f.store.DenyAttachment(t.Context(), sha); err != nil {
		t.Fatal(err)
	}
	before, id := f.thread(group), f.store.ID()

	f.store = s.Reopen(t, f.store)
	if got := f.store.ID(); got != id {
		t.Errorf("the store is %s, was %s", got, id)
	}
	if got := f.thread(group); !sameThread(got, before) {
		t.Errorf("the thread is %+v, was %+v", got, before)
	}
	f.wantFolded(group, append(sent, more...))
	log := folded(append(sent, more...))
	f.clock.Advance(time.Second)
	wantEvents(t, "Expired", f.expired(10), log[3:4])
	f.wantPrekeys("ann", storedPrekeys("phone", upload, 4))
	f.wantTake("ann", "phone", oneTime("a", 2, 5)...)
	f.wantBlocks("ann", block)
	f.wantKept("ann", "phone", &subscriptions)
	f.wantReports(chat.ReportID{}, 10, report)
	if newest, err := f.store.NewestID(t.Context()); err != nil || newest.Compare(report.ID) < 0 {
		t.Errorf("NewestID = %s, %v; the newest report has %s", newest, err, report.ID)
	}
	if denied, err := f.store.AttachmentDenied(t.Context(), sha); !denied || err != nil {
		t.Errorf("the attachment is denied: %v, %v", denied, err)
	}
	f.wantMarks(group, 1, chat.Marks{User: "bob", Read: mark})
	f.wantDuplicate("a retry", group, resend(sent[0], draft("ann", "")), chat.ByIdempotencyKey, log[0])
	f.wantDuplicate("its client_seq", group, resend(draft("ann", ""), sent[0]), chat.ByClientSeq, log[0])
	var exists *chat.PairExistsError
	if err := f.store.CreateThread(t.Context(), f.creation(chat.OneToOne, "bob", "ann")); !errors.As(err, &exists) || exists.Thread != pair.Thread {
		t.Errorf("the pair is %v, want %s", err, pair.Thread)
	}
}

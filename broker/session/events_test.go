package session

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// wantSummary compares what a device got of a thread.
func wantSummary(t *testing.T, who string, frames []frame, thread chat.ThreadID, want ...string) {
	t.Helper()
	if got := summary(frames, thread); !slices.Equal(got, want) {
		t.Errorf("%s got\n%q, want\n%q", who, got, want)
	}
}

func TestEveryKindOfEventReachesAllDevicesButTheActingOne(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	laptop, phone := as("alice", "laptop"), as("bob", "phone")
	devices := []*device{
		n.connect(laptop), n.connect(as("alice", "tablet")), n.connect(phone), n.connect(as("bob", "tablet"), mqtt),
	}
	devices[3].subscribe("v1/#")
	for _, d := range devices {
		d.awaitCaughtUp()
	}
	var m chat.Event
	want := make([][]string, len(devices))
	for i, step := range []struct {
		by   chat.Caller
		do   func() error
		want string
	}{
		{laptop, func() error { m = n.send(laptop, g, "one"); return nil }, "msg one"},
		{laptop, func() error { n.edit(laptop, m.ID, "two"); return nil }, "edit two"},
		{phone, func() error { _, err := n.chat.React(t.Context(), phone, m.ID, "+1"); return err }, "reactionadd"},
		{phone, func() error { _, _, err := n.chat.Pin(t.Context(), phone, g, m.ID); return err }, "threadpinned"},
		{phone, func() error { return n.chat.Unpin(t.Context(), phone, g, m.ID) }, "threadunpinned"},
		{phone, func() error { return n.chat.Unreact(t.Context(), phone, m.ID, "+1") }, "reactionremove"},
		{laptop, func() error { n.delete(laptop, m.ID); return nil }, "del"},
		{as("carol", "web"), func() error { n.send(as("alice", "web"), g, "end"); return nil }, "msg end"},
	} {
		must(t, step.do())
		seq := chat.Seq(i + 2)
		for j, d := range devices { // who is late is shown what is so by then
			if d.sess.user != step.by.User || d.sess.device != step.by.Device {
				d.awaitSeq(g, seq)
				want[j] = append(want[j], fmt.Sprintf("%d %s", seq, step.want))
			}
		}
	}
	for i, d := range devices {
		who := fmt.Sprintf("the %s of %s", d.sess.device, d.sess.user)
		live := slices.DeleteFunc(d.awaitSeq(g, 9), func(f frame) bool { return f.Seq == 1 })
		wantSummary(t, who, live, g, want[i]...)
	}
}

func TestReplayShowsThePresentContent(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	alice := as("alice", "web")
	edited, deleted, both := n.send(alice, g, "a"), n.send(alice, g, "b"), n.send(alice, g, "c")
	n.edit(alice, edited.ID, "A")   // 5
	n.edit(alice, both.ID, "C")     // 6
	n.delete(alice, deleted.ID)     // 7
	n.delete(alice, both.ID)        // 8
	n.edit(alice, edited.ID, "A+A") // 9
	bob := n.connect(as("bob", "phone"))
	wantSummary(t, "bob", bob.awaitSeq(g, 9), g,
		"1 threadcreated", "2 msg A+A", "3 msg", "4 msg", "5 edit A+A", "6 edit", "7 del", "8 del", "9 edit A+A")
	del := bob.awaitFrame("del", func(f frame) bool { return f.Seq == 7 })
	if del.ID != deleted.ID.String() || del.By != "alice" || del.Reason != "sender" {
		t.Errorf("the deletion is told as %+v", del)
	}
}

// Who joins sees nothing of what came before, nor what is done to it later.
func TestJoinerIsNotSentWhatIsAboutEarlierMessages(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	alice := as("alice", "web")
	early := n.send(alice, g, "early") // 2
	carol := n.connect(as("carol", "phone"))
	carol.awaitCaughtUp()
	_, _, err := n.chat.AddParticipant(t.Context(), alice, g, "carol") // 3
	must(t, err)
	change := func() {
		n.edit(alice, early.ID, "changed")
		_, err := n.chat.React(t.Context(), alice, early.ID, "+1")
		must(t, err)
		_, _, err = n.chat.Pin(t.Context(), alice, g, early.ID)
		must(t, err)
		n.delete(alice, early.ID)
	}
	change()
	last := n.send(alice, g, "late")
	want := []string{"3 threadparticipant_added", "8 msg late"}
	wantSummary(t, "carol, live,", carol.awaitSeq(g, last.Seq), g, want...)
	tablet := n.connect(as("carol", "tablet"), lastSeen(early.ID))
	wantSummary(t, "carol, in replay,", tablet.awaitSeq(g, last.Seq), g, want...)
	page, err := n.chat.Events(t.Context(), as("carol", "web"), g, 0, chat.PageRequest{})
	must(t, err)
	if len(page.Events) != 2 || page.Events[0].Seq != 3 || page.Events[1].Seq != last.Seq {
		t.Errorf("carol reads %d events", len(page.Events))
	}
}

// The same for who was in before, with a session that has all of it to catch up.
func TestWhoComesBackIsNotSentWhatIsAboutMessagesOfItsAbsence(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	alice := as("alice", "web")
	bob := n.connect(as("bob", "phone"))
	bob.awaitCaughtUp()
	bob.setStall(true)
	first := n.send(alice, g, "first")                              // 2
	must(t, n.chat.RemoveParticipant(t.Context(), alice, g, "bob")) // 3
	second := n.send(alice, g, "second")                            // 4
	must(t, add(n, g, "bob"))                                       // 5
	n.edit(alice, second.ID, "second!")
	_, err := n.chat.React(t.Context(), alice, first.ID, "+1")
	must(t, err)
	last := n.send(alice, g, "last") // 8
	n.edit(alice, last.ID, "last!")  // 9
	bob.resume()
	wantSummary(t, "bob", bob.awaitSeq(g, 9), g, "1 threadcreated", "2 msg first", "3 threadparticipant_removed",
		"5 threadparticipant_added", "8 msg last!", "9 edit last!")
}

// A device that was removed while away is sent its removal and nothing of what
// came before: acknowledging that is no receipt.
func TestAcknowledgingOnesRemovalDeliversNothing(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	bob := n.connect(as("bob", "phone"))
	bob.awaitCaughtUp()
	bob.disconnect()
	missed := n.send(as("alice", "web"), g, "missed")
	must(t, n.chat.RemoveParticipant(t.Context(), as("alice", "web"), g, "bob"))
	bob = n.connect(as("bob", "phone"))
	if c := bob.awaitCaughtUp(); c.Replayed != 1 {
		t.Errorf("bob was sent %d frames, want his removal alone", c.Replayed)
	}
	bob.disconnect()
	marks, err := n.store.Marks(t.Context(), g, []chat.UserID{"bob"})
	must(t, err)
	if got := marks[0].Delivered.Seq; got >= missed.Seq {
		t.Errorf("bob's delivered mark is at %d, and he never got %d", got, missed.Seq)
	}
	if c := n.connect(as("bob", "phone")).awaitCaughtUp(); c.Replayed != 0 {
		t.Errorf("bob was sent %d frames again: his position has not moved", c.Replayed)
	}
}

func TestFailuresReachTheSendersDevicesOnePerRecipientAndMessage(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob", "carol")
	laptop, phone := n.connect(as("alice", "laptop")), n.connect(as("alice", "phone"), mqtt)
	phone.subscribe("v1/threads/+/frames")
	other := n.connect(as("alice", "watch"), mqtt)
	other.subscribe("v1/devices/watch/frames")
	bob := n.connect(as("bob", "phone"), stalled)
	phone.setStall(true) // several failures wait for it at once
	first, second := n.sendTTL(as("alice", "laptop"), g, "1", time.Minute), n.sendTTL(as("alice", "laptop"), g, "2", time.Minute)
	n.pass(2 * time.Minute)
	must(t, n.chat.ExpireDue(t.Context()))
	phone.setStall(false)
	for _, d := range []*device{laptop, phone} {
		frames := d.await("four failures", func(frames []frame) bool { return count(frames, contracts.FrameFailed) >= 4 })
		got := map[string]bool{}
		for _, f := range frames {
			if f.T == contracts.FrameFailed {
				got[f.ID+" "+f.By+" "+f.Reason] = true
			}
		}
		for _, m := range []chat.Event{first, second} {
			for _, by := range []string{"bob", "carol"} {
				if !got[m.ID.String()+" "+by+" expired"] {
					t.Errorf("that message %d did not reach %s was not told: %v", m.Seq, by, got)
				}
			}
		}
	}
	bob.resume()
	bob.awaitCaughtUp()
	other.subscribe("v1/threads/+/frames") // from here on
	other.awaitSeq(g, 3)
	for _, d := range []*device{bob, other} {
		d.mu.Lock()
		if count(d.frames, contracts.FrameFailed) > 0 {
			t.Errorf("a device that should not was told of a failure: %+v", d.frames)
		}
		d.mu.Unlock()
	}
}

func TestPrekeysLowReachesThatDeviceAlone(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.pair("alice", "bob")
	phone, tablet, hers := n.connect(as("bob", "phone")), n.connect(as("bob", "tablet")), n.connect(as("alice", "phone"))
	watch := n.connect(as("bob", "watch"), mqtt)
	watch.subscribe("v1/#")
	for _, device := range []chat.DeviceID{"phone", "watch"} {
		up := chat.PrekeyUpload{Identity: []byte("i"), Signed: chat.SignedPrekey{Prekey: chat.Prekey{Public: []byte("s")}, Signature: []byte("s")}}
		for id := range uint32(chat.LowPrekeys) {
			up.OneTime = append(up.OneTime, chat.Prekey{ID: id, Public: []byte("k")})
		}
		_, err := n.chat.UploadPrekeys(t.Context(), as("bob", device), up)
		must(t, err)
	}
	_, err := n.chat.FetchPrekeys(t.Context(), as("alice", "phone"), "bob")
	must(t, err)
	for _, d := range []*device{phone, watch} {
		f := d.awaitFrame(contracts.FramePrekeysLow, func(frame) bool { return true })
		if f.OneTimePrekeys == nil || *f.OneTimePrekeys != chat.LowPrekeys-1 {
			t.Errorf("prekeys_low says %v, want %d", f.OneTimePrekeys, chat.LowPrekeys-1)
		}
	}
	n.send(as("alice", "web"), g, "end")
	for _, d := range []*device{phone, tablet, hers, watch} {
		want := 0
		if d == phone || d == watch {
			want = 1
		}
		if got := count(d.awaitSeq(g, 2), contracts.FramePrekeysLow); got != want {
			t.Errorf("%s of %s got %d prekeys_low, want %d", d.sess.device, d.sess.user, got, want)
		}
	}
}

package session

import (
	"testing"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// strict is a node on which who is put into a thread has to accept it.
func strict(t *testing.T) *node {
	return newNodeOver(t, "pebble:"+t.TempDir(), Limits{}, 0, func(s chat.Store) chat.Store { return s.(welcoming).Store })
}

func (n *node) accept(user chat.UserID, thread chat.ThreadID, accepted bool) {
	n.t.Helper()
	_, err := n.chat.SetOwnState(n.t.Context(), as(user, "tablet"), thread, chat.StateChange{Accepted: &accepted})
	must(n.t, err)
}

// Who has not accepted a thread is not seen there, is not seen to type, and gets no signal; once
// it accepts, all of that comes.
func TestAcceptingShows(t *testing.T) {
	n := strict(t)
	pair := n.pair("alice", "bob")
	bob := n.connect(as("bob", "phone"))
	bob.awaitCaughtUp()
	n.awaitAnnounced()
	alice, late := n.connect(as("alice", "web")), n.connect(as("alice", "late"), mqtt)
	late.subscribe("v1/presence/bob") // which shows that he is there to those who may know
	alice.awaitCaughtUp()
	bob.awaitPresences("alice", "online")
	late.awaitPresences("bob", "offline")
	typing := contracts.ClientFrame{Type: contracts.FrameTyping, Thread: pair}
	signal := contracts.ClientFrame{Type: contracts.FrameSignal, Thread: pair, Name: "ring"}
	must(t, bob.sess.Handle(typing))
	must(t, alice.sess.Handle(signal))
	n.accept("bob", pair, true)
	alice.awaitPresences("bob", "online")
	late.awaitPresences("bob", "offline", "online")
	if frames := alice.all(); count(frames, contracts.FrameTyping) > 0 {
		t.Error("bob was seen to type in a thread that he had not accepted")
	}
	must(t, bob.sess.Handle(typing))
	must(t, alice.sess.Handle(signal))
	alice.awaitFrame(contracts.FrameTyping, func(f frame) bool { return f.User == "bob" })
	bob.awaitFrame(contracts.FrameSignal, func(f frame) bool { return f.User == "alice" })
	if frames := bob.all(); count(frames, contracts.FrameSignal) > 1 {
		t.Error("a signal came of a thread that bob had not accepted")
	}

	again := n.connect(as("alice", "again"))
	again.awaitPresences("bob", "online") // the greeting
	n.accept("bob", pair, false)
	last := n.connect(as("alice", "last"))
	last.awaitCaughtUp()
	n.awaitAnnounced()
	if told := last.presences("bob"); len(told) > 0 {
		t.Errorf("of bob, who has refused the thread, a device is greeted with %v", told)
	}
}

package session

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

func (n *node) wantOnline(user chat.UserID, want bool) {
	n.t.Helper()
	got, err := n.sessions.Online(n.t.Context(), user)
	must(n.t, err)
	if got != want {
		n.t.Errorf("%s is online: %v, want %v", user, got, want)
	}
}

func (n *node) lastSeen(user chat.UserID) time.Time {
	n.t.Helper()
	at, err := n.store.LastSeen(n.t.Context(), user)
	must(n.t, err)
	return at
}

func TestUserIsOnlineWhileADeviceIsConnectedAndThenLastSeen(t *testing.T) {
	n := newNode(t, Limits{})
	n.wantOnline("bob", false)
	phone, tablet := n.connect(as("bob", "phone")), n.connect(as("bob", "tablet"))
	n.connect(as("bob", "phone")).awaitCaughtUp() // takes the first over
	phone.disconnect()
	tablet.disconnect()
	n.wantOnline("bob", true)
	if at := n.lastSeen("bob"); !at.IsZero() {
		t.Errorf("bob, who is connected, was last seen at %v", at)
	}
	again := n.connect(as("bob", "phone"))
	n.pass(time.Hour)
	before := n.now()
	again.disconnect()
	n.wantOnline("bob", false)
	if at := n.lastSeen("bob"); at.Before(before.Truncate(time.Millisecond)) || at.After(n.now()) {
		t.Errorf("bob was last seen at %v, want the end of his last connection, %v", at, before)
	}
}

// forgetful is a store that keeps nobody's last connection.
type forgetful struct{ chat.Store }

func (forgetful) PutLastSeen(context.Context, chat.UserID, time.Time) error {
	return errors.New("the disk is away")
}

func TestSessionEndsThoughLastSeenIsNotStored(t *testing.T) {
	n := newNode(t, Limits{})
	g := n.group("alice", "bob")
	n.restart(forgetful{n.store})
	bob := n.connect(as("bob", "phone"))
	bob.awaitSeq(g, 1)
	bob.disconnect()
	_, found, err := n.store.Position(t.Context(), "bob", "phone")
	must(t, err)
	if !found {
		t.Error("the device's position is not stored either")
	}
}

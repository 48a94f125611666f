package session

import (
	"errors"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// renewing is a node whose verifier takes tokens that are times, as RFC 3339: their expiry.
func renewing(t *testing.T) *node {
	t.Helper()
	n := newNode(t, Limits{PingInterval: 60 * time.Millisecond})
	n.sessions.verify = func(token string, c chat.Caller) (Token, error) {
		at, err := time.Parse(time.RFC3339Nano, token)
		if err != nil {
			return Token{}, chat.Refuse(contracts.CodeUnauthenticated, "no such token")
		}
		c.Scopes = []chat.Scope{chat.ScopeRead}
		return Token{Caller: c, Expires: at, Key: "new"}, nil
	}
	return n
}

func expires(at time.Time) option { return func(_ *device, p *Params) { p.Expires = at } }

func expiresAt(at time.Time) func(frame) bool {
	return func(f frame) bool { return f.ExpiresAt == at.UTC().Format("2006-01-02T15:04:05.000Z") }
}

// A client is told a minute before its token ends. With a new one its connection lives on,
// and is told again.
func TestRenewedTokenPutsOffTheEnd(t *testing.T) {
	n := renewing(t)
	start := n.now()
	first, second := start.Add(time.Hour), start.Add(2*time.Hour)
	d := n.connect(as("bob", "phone"), expires(first))
	d.awaitCaughtUp()
	n.pass(59*time.Minute + time.Second)
	d.awaitFrame(contracts.FrameExpiring, expiresAt(first))
	must(t, d.sess.Handle(contracts.ClientFrame{Type: contracts.FrameAuth, Token: second.Format(time.RFC3339Nano)}))
	d.awaitFrame(contracts.FrameAuth, expiresAt(second))
	if c := d.sess.Caller(); c.Has(chat.ScopeWrite) {
		t.Errorf("the scopes are still %v", c.Scopes)
	}
	n.pass(59 * time.Minute) // beyond the end of the first
	g := n.group("alice", "bob")
	if frames := d.awaitSeq(g, 1); count(frames, contracts.FrameExpiring) != 1 {
		t.Errorf("an hour before the new end: %+v", frames)
	}
	n.pass(time.Minute)
	d.awaitFrame(contracts.FrameExpiring, expiresAt(second))
	n.pass(time.Minute)
	d.awaitClosed(TokenExpired)
}

// With less than a minute left the client is told at once: on JSON behind the hello, on MQTT
// with its subscription, and after a renewal behind its confirmation.
func TestShortTokenIsToldAtOnce(t *testing.T) {
	n := renewing(t)
	soon, later := n.now().Add(30*time.Second), n.now().Add(50*time.Second)
	d := n.connect(as("bob", "phone"), expires(soon))
	d.awaitCaughtUp()
	if first := d.all()[0]; first.T != contracts.FrameExpiring || !expiresAt(soon)(first) {
		t.Errorf("the first frame behind hello is %+v", first)
	}
	must(t, d.sess.Handle(contracts.ClientFrame{Type: contracts.FrameAuth, Token: later.Format(time.RFC3339Nano)}))
	d.awaitFrame(contracts.FrameExpiring, expiresAt(later))
	frames := d.all()
	if n := len(frames); frames[n-2].T != contracts.FrameAuth {
		t.Errorf("after the renewal came %+v", frames[n-2:])
	}
	m := n.connect(as("bob", "tablet"), mqtt, expires(soon))
	m.subscribe("v1/threads/+/frames")
	m.subscribe("v1/devices/tablet/frames")
	m.awaitFrame(contracts.FrameExpiring, expiresAt(soon))
	if got := count(m.all(), contracts.FrameExpiring); got != 1 {
		t.Errorf("told %d times", got)
	}
}

// Ten refused tokens end a connection; they are none of the ten wrong frames.
func TestRefusedTokens(t *testing.T) {
	n := renewing(t)
	d := n.connect(as("bob", "phone"))
	d.awaitCaughtUp()
	bad := contracts.ClientFrame{Type: contracts.FrameAuth, Token: "bad"}
	for range maxRefusedTokens - 1 {
		must(t, d.sess.Handle(bad))
		d.sess.Fail(contracts.CodeInvalidFrame, "wrong")
	}
	g := n.group("alice", "bob")
	d.awaitSeq(g, 1)
	must(t, d.sess.Handle(bad))
	d.awaitClosed(TokensRefused)
	if frames := d.all(); frames[len(frames)-1].T != contracts.FrameError {
		t.Errorf("the last frame is %+v, want the error", frames[len(frames)-1])
	}
	m := n.connect(as("bob", "tablet"), mqtt)
	if err := m.sess.Handle(bad); chat.CodeOf(err) != contracts.CodeInvalidFrame {
		t.Errorf("over MQTT a frame of JSON is answered with %v", err)
	}
}

// A token that cannot be checked while the store is down is no refused one, however often it
// comes.
func TestTokensThatCannotBeCheckedEndNoConnection(t *testing.T) {
	n := renewing(t)
	down := true
	renewed := n.sessions.verify
	n.sessions.verify = func(token string, c chat.Caller) (Token, error) {
		if down {
			return Token{}, chat.Unavailable("look up the device", errors.New("the store is down"))
		}
		return renewed(token, c)
	}
	d := n.connect(as("bob", "phone"))
	d.awaitCaughtUp()
	for range 2 * maxRefusedTokens {
		if last, err := d.sess.Authenticate("good"); last || chat.CodeOf(err) != chat.CodeUnavailable {
			t.Fatalf("the last one: %t, %v", last, err)
		}
	}
	down = false
	for i := range maxRefusedTokens {
		if last, _ := d.sess.Authenticate("bad"); last != (i == maxRefusedTokens-1) {
			t.Fatalf("after %d refused tokens the last one: %t", i+1, last)
		}
	}
}

// The connections of a key that is gone end; a renewed token is one of its own key.
func TestConnectionsEndWithTheirKey(t *testing.T) {
	n := renewing(t)
	keyed := func(key string) option { return func(_ *device, p *Params) { p.Key = key } }
	old, renewed, other, secret := n.connect(as("bob", "a"), keyed("old")), n.connect(as("bob", "b"), keyed("old")),
		n.connect(as("bob", "c"), keyed("other")), n.connect(as("bob", "d"))
	for _, d := range []*device{old, renewed, other, secret} {
		d.awaitCaughtUp() // a new device starts behind what another one of bob's has acknowledged by then
	}
	if _, err := renewed.sess.Authenticate(n.now().Add(time.Hour).Format(time.RFC3339Nano)); err != nil {
		t.Fatal(err)
	}
	n.sessions.EndTokensOf([]string{"old", "older", ""})
	old.awaitClosed(TokenExpired)
	g := n.group("alice", "bob")
	for _, d := range []*device{renewed, other, secret} {
		d.awaitSeq(g, 1)
	}
	n.sessions.EndTokensOf([]string{"new"})
	renewed.awaitClosed(TokenExpired)
}

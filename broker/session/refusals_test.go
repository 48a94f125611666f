package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/parleyhq/parley/chat"
)

// apart are two nodes on one MongoDB that hear nothing of each other: what one admits or
// refuses right after a change by the other it has from the store.
func apart(t *testing.T) (a, b *node) {
	t.Helper()
	url := newDatabase(t)
	a, b = newNodeOn(t, url, Limits{}, 0), newNodeOn(t, url, Limits{}, 0)
	b.keys = 1 << 20
	return a, b
}

// trySend sends a message with an attachment, and gives the code of the refusal, or "".
func (n *node) trySend(by chat.UserID, thread chat.ThreadID, sha256 string) chat.Code {
	n.t.Helper()
	n.keys++
	_, err := n.chat.Send(n.t.Context(), as(by, "phone"), chat.SendRequest{
		Thread: thread, IdempotencyKey: fmt.Sprint("k", n.keys), ClientSeq: int64(n.keys), Ciphertext: []byte("x"),
		ContentType: chat.FileRef, AttachmentID: "file", AttachmentSHA256: sha256,
	})
	return codeOf(err)
}

func codeOf(err error) chat.Code {
	if err == nil {
		return ""
	}
	return chat.CodeOf(err)
}

// Nothing that admits or refuses rests on what a node keeps in memory: every change is in
// force for the next call at the other node.
func TestChangesHoldAtOnceOnTheOtherNode(t *testing.T) {
	a, b := apart(t)
	ctx, bob := t.Context(), as("bob", "phone")
	g := a.group("alice", "carol")
	sum := strings.Repeat("ab", 32)
	admin := chat.Caller{User: "root", Device: "web", Scopes: []chat.Scope{chat.ScopeAdmin}}
	pair := a.pair("alice", "bob")
	want := func(what string, err error, code chat.Code) {
		t.Helper()
		if got := codeOf(err); got != code {
			t.Errorf("%s: %q, want %q", what, got, code)
		}
	}
	for round := range 3 { // b has in memory what held before
		if got := b.trySend("bob", g, ""); got != chat.CodeNotAParticipant {
			t.Errorf("one who is not in sends: %q", got)
		}
		_, _, err := a.chat.AddParticipant(ctx, as("alice", "web"), g, "bob")
		must(t, err)
		if got := b.trySend("bob", g, sum); got != "" {
			t.Errorf("one who was just added is refused: %q", got)
		}
		want("added, follows", b.chat.MayFollow(ctx, "bob", g), "")
		want("added, types", b.chat.Typing(ctx, bob, g), "")
		must(t, a.chat.RemoveParticipant(ctx, as("alice", "web"), g, "bob"))
		if got := b.trySend("bob", g, ""); got != chat.CodeNotAParticipant {
			t.Errorf("one who was just removed sends: %q", got)
		}
		want("removed, follows", b.chat.MayFollow(ctx, "bob", g), chat.CodeNotAParticipant)
		want("removed, types", b.chat.Typing(ctx, bob, g), chat.CodeNotAParticipant)
		_, err = b.chat.Thread(ctx, bob, g)
		want("removed, reads", err, chat.CodeNotAParticipant)

		must(t, a.chat.DenyAttachment(ctx, admin, sum))
		if got := b.trySend("carol", g, sum); got == "" {
			t.Error("a denied attachment is sent")
		}
		must(t, a.chat.AllowAttachment(ctx, admin, sum))
		if got := b.trySend("carol", g, sum); got != "" {
			t.Errorf("an attachment that is allowed again is refused: %q", got)
		}

		sent := b.send(bob, pair, "before")
		must(t, a.chat.Block(ctx, as("alice", "web"), "bob"))
		hidden := b.send(bob, pair, "blocked")
		if hidden.Message.HiddenFrom != "alice" || sent.Message.HiddenFrom != "" {
			t.Errorf("round %d: hidden from %q before the block and from %q after it", round, sent.Message.HiddenFrom, hidden.Message.HiddenFrom)
		}
		must(t, a.chat.Unblock(ctx, as("alice", "web"), "bob"))
	}
}

// A caller fetches the keys of another so often as it may, at all nodes together.
func TestPrekeyLimitsCountOverAllNodes(t *testing.T) {
	a, b := apart(t)
	key := chat.SignedPrekey{Prekey: chat.Prekey{ID: 1, Public: []byte("p")}, Signature: []byte("s")}
	if _, err := a.chat.UploadPrekeys(t.Context(), as("bob", "phone"), chat.PrekeyUpload{Identity: []byte("i"), Signed: key, LastResort: &key}); err != nil {
		t.Fatal(err)
	}
	var services []*chat.Service
	for _, n := range []*node{a, b} {
		s := chat.New(chat.Config{Store: n.store, Bus: n.bus, Now: n.now, Limits: chat.DefaultLimits})
		defer s.Close(context.Background())
		services = append(services, s)
	}
	var fetching sync.WaitGroup
	var given, refused atomic.Int64
	for i := range 12 {
		fetching.Go(func() {
			_, err := services[i%2].FetchPrekeys(t.Context(), as("alice", "web"), "bob")
			refusal, isRefusal := errors.AsType[*chat.Error](err)
			switch {
			case err == nil:
				given.Add(1)
			case isRefusal && refusal.Code == chat.CodeRateLimited && refusal.RetryAfter > 0:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	fetching.Wait()
	if given.Load() != 6 || refused.Load() != 6 {
		t.Errorf("of 12 fetches %d were given and %d refused, want 6", given.Load(), refused.Load())
	}
}

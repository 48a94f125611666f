package chat_test

import (
	"context"
	"errors"
	"testing"

	"github.com/parleyhq/parley/chat"
)

func TestARetryFindsTheMessageThoughItsAttachmentIsDeniedMeanwhile(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	req := w.request(id, "look")
	req.ContentType, req.AttachmentID, req.AttachmentSHA256 = chat.ImageRef, "a", sha
	first, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	must(t, w.DenyAttachment(t.Context(), operator, sha))
	w.heard.drain()
	again := w.resend("alice", req, chat.Replayed)
	same(t, "id", again.ID, first.Event.ID)
	same(t, "told again", w.heard.one(t).Event.ID, first.Event.ID)

	other := req
	other.IdempotencyKey = "another"
	same(t, "by client_seq", w.resend("alice", other, chat.ClientSeqTaken).ID, first.Event.ID)
	changed := req
	changed.Ciphertext = []byte("other")
	_, err = w.Send(t.Context(), as("alice"), changed)
	refused(t, err, chat.CodeIdempotencyKeyReused)
	other.ClientSeq++
	_, err = w.Send(t.Context(), as("alice"), other)
	refused(t, err, chat.CodeAttachmentBlocked)
}

func TestARetryFindsTheReplyThoughItsSenderJoinedAgain(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	question := w.send("alice", id, "?")
	req := w.request(id, "!")
	req.ReplyTo = question.ID
	first, err := w.Send(t.Context(), as("bob"), req)
	must(t, err)
	w.remove("bob", id, "bob")
	same(t, "id while away", w.resend("bob", req, chat.Replayed).ID, first.Event.ID)
	w.add("alice", id, "bob")
	same(t, "id", w.resend("bob", req, chat.Replayed).ID, first.Event.ID)
	fresh := w.request(id, "!")
	fresh.ReplyTo = question.ID
	_, err = w.Send(t.Context(), as("bob"), fresh)
	invalid(t, err, "reply_to_msg_id")
}

// A sender who is not in the thread is told that, and nothing of what its message refers to.
func TestParticipationIsCheckedBeforeWhatAMessageRefersTo(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice")
	must(t, w.DenyAttachment(t.Context(), operator, sha))
	req := w.request(id, "look")
	req.AttachmentSHA256, req.ReplyTo = sha, w.send("alice", id, "?").ID
	_, err := w.Send(t.Context(), as("mallory"), req)
	refused(t, err, chat.CodeNotAParticipant)
	req.Thread = chat.ThreadID{15: 9}
	_, err = w.Send(t.Context(), as("mallory"), req)
	refused(t, err, chat.CodeThreadNotFound)
}

// forgetful is a store that cannot say what was sent before.
type forgetful struct{ chat.Store }

func (forgetful) SentBefore(context.Context, chat.Event) error { return errors.New("the disk is gone") }

func TestNothingIsRefusedForGoodWhileTheStoreCannotSayWhatWasSent(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice")
	s := chat.New(chat.Config{Store: forgetful{w.store}, Bus: w.bus, Now: w.clock.Now})
	defer s.Close(context.Background())
	req := w.request(id, "look")
	req.AttachmentSHA256 = sha
	must(t, w.DenyAttachment(t.Context(), operator, sha))
	_, err := s.Send(t.Context(), as("alice"), req)
	refused(t, err, chat.CodeUnavailable)
}

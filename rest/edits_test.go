package rest

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// shown is the message as GET shows it to that user.
func (w *world) shown(user, id string) contracts.Message {
	w.t.Helper()
	return decoded[contracts.Message](w.as(user, "GET", "/v1/messages/"+id, "").want(200))
}

// head is the seq of the newest event of a thread that alice is in.
func (w *world) head(thread string) (seq int) {
	w.t.Helper()
	return len(decoded[contracts.EventPage](w.get("/v1/threads/" + thread + "/events?page_size=100").want(200)).Events)
}

func TestEditing(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	sent := w.message("alice", id, `,"content_type":"image_ref","attachment_id":"a"`)
	path := "/v1/messages/" + sent.ID
	edited := decoded[contracts.Message](w.as("alice", "PATCH", path, `{"ciphertext":"//8="}`).want(200))
	want := sent
	want.Ciphertext, want.EditedAt = []byte{0xff, 0xff}, edited.EditedAt
	if edited.EditedAt == nil || !reflect.DeepEqual(edited, want) {
		t.Errorf("got %+v, want %+v", edited, want)
	}
	if got := w.shown("bob", sent.ID); !reflect.DeepEqual(got, edited) {
		t.Errorf("bob is shown %+v", got)
	}
	w.as("alice", "PATCH", path, `{"ciphertext":"AA==","content_type":null}`).want(200)
	if got := w.shown("bob", sent.ID); got.ContentType != "image_ref" {
		t.Errorf("null made the type %s", got.ContentType)
	}
	w.as("alice", "PATCH", path, `{"ciphertext":"AA==","content_type":"text"}`).want(200)
	if got := w.shown("bob", sent.ID); got.ContentType != "text" {
		t.Errorf("the type is %s", got.ContentType)
	}
	if head := w.head(id); head != 5 {
		t.Errorf("the log has %d events, want created, msg and three edits", head)
	}
}

func TestEditingIsRefused(t *testing.T) {
	w := newWorld(t)
	sent := w.message("alice", w.group("bob"), "")
	path := "/v1/messages/" + sent.ID
	edit := func(ciphertext, members string) answer {
		return w.as("alice", "PATCH", path, `{"ciphertext":"`+ciphertext+`"`+members+`}`)
	}
	edit(ciphertext(1), "").want(200)
	edit(ciphertext(64<<10), "").want(200)
	edit(ciphertext(64<<10+1), "").refused(413, chat.CodeCiphertextTooLarge)
	edit("", "").invalid("ciphertext")
	edit("AA", "").invalid("ciphertext")
	edit("AA==", `,"content_type":""`).invalid("content_type")
	edit("AA==", `,"content_type":"sticker"`).invalid("content_type")
	edit("AA==", `,"content_type":"image_ref"`).invalid("content_type") // it has no attachment
	edit("AA==", `,"content_type":"system"`).refused(403, chat.CodeMissingScope)
	edit("AA==", `,"attachment_id":"a"`).invalid("attachment_id")
	w.as("bob", "PATCH", path, `{"ciphertext":"AA=="}`).refused(403, chat.CodeNotTheSender)
	w.as("mallory", "PATCH", path, `{"ciphertext":"AA=="}`).refused(403, chat.CodeNotAParticipant)
	w.del(path).want(204)
	edit("AA==", "").refused(409, chat.CodeMessageDeleted)
	w.as("bob", "PATCH", path, `{"ciphertext":"AA=="}`).refused(403, chat.CodeNotTheSender)
}

func TestDeletingLeavesATombstone(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	sent := w.message("alice", id, `,"content_type":"file_ref","attachment_id":"a","attachment_sha256":"`+strings.Repeat("ab", 32)+`"`)
	path := "/v1/messages/" + sent.ID
	w.as("bob", "POST", path+"/reactions", `{"emoji":"👍"}`).want(200)
	w.as("bob", "DELETE", path, "").refused(403, chat.CodeNotTheSender)
	w.as("mallory", "DELETE", path, "").refused(403, chat.CodeNotAParticipant)
	if a := w.del(path).want(204); len(a.body) != 0 {
		t.Errorf("204 with %s", a.body)
	}
	got := w.shown("bob", sent.ID)
	want := sent
	want.Ciphertext, want.AttachmentID, want.AttachmentSHA256, want.Deleted = []byte{}, nil, nil, true
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	page := decoded[contracts.MessagePage](w.get("/v1/threads/" + id + "/messages").want(200))
	if len(page.Messages) != 1 || !reflect.DeepEqual(page.Messages[0], want) {
		t.Errorf("the history is %+v", page.Messages)
	}
	head := w.head(id)
	w.advance(time.Hour)
	w.del(path).want(204) // again, and long after the window
	if got := w.head(id); got != head {
		t.Errorf("deleting again made %d events", got-head)
	}
}

func TestEditWindow(t *testing.T) {
	w := newWorld(t)
	w.advance(0)
	sent := w.message("alice", w.group("bob"), "")
	path := "/v1/messages/" + sent.ID
	w.advance(15 * time.Minute)
	w.as("alice", "PATCH", path, `{"ciphertext":"AA=="}`).want(200)
	w.advance(time.Millisecond)
	w.as("alice", "PATCH", path, `{"ciphertext":"AA=="}`).refused(403, chat.CodeEditWindowClosed)
	w.del(path).refused(403, chat.CodeEditWindowClosed)
	w.as("bob", "POST", path+"/reactions", `{"emoji":"👍"}`).want(200) // reactions know no window

	in := w.message("alice", sent.ThreadID, "")
	w.advance(15 * time.Minute)
	w.del("/v1/messages/" + in.ID).want(204)
}

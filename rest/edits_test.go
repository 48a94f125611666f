package rest

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// shown is a message as a user is shown it.
func (w *world) shown(user, id string) contracts.Message {
	w.t.Helper()
	return decoded[contracts.Message](w.as(user, "GET", "/v1/messages/"+id, "").want(200))
}

// head is the number of the newest event of a thread that alice is in.
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

func TestReactions(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	sent := w.message("alice", id, "")
	path := "/v1/messages/" + sent.ID + "/reactions"
	one := decoded[contracts.Message](w.as("bob", "POST", path, `{"emoji":"👍"}`).want(200))
	if len(one.Reactions) != 1 || one.Reactions[0].Emoji != "👍" || fmt.Sprint(one.Reactions[0].By) != "[bob]" || len(one.Reactions[0].At) != 1 {
		t.Fatalf("got %+v", one.Reactions)
	}
	again := decoded[contracts.Message](w.as("bob", "POST", path, `{"emoji":"👍"}`).want(200))
	if !reflect.DeepEqual(again, one) || w.head(id) != 3 {
		t.Errorf("repeating it gave %+v and %d events", again.Reactions, w.head(id))
	}
	w.post(path, `{"emoji":"👍"}`).want(200)
	both := decoded[contracts.Message](w.post(path, `{"emoji":"party_parrot"}`).want(200)).Reactions
	if len(both) != 2 || fmt.Sprintf("%v %s", both[0].By, both[1].Emoji) != "[bob alice] party_parrot" || both[0].At[0] != one.Reactions[0].At[0] {
		t.Errorf("got %+v", both)
	}
	w.as("bob", "DELETE", path+"/"+url.PathEscape("👍"), "").want(204)
	w.as("bob", "DELETE", path+"/"+url.PathEscape("👍"), "").want(204)
	w.as("bob", "DELETE", path+"/party_parrot", "").want(204) // alice's, not bob's
	w.del(path + "/party%5Fparrot").want(204)
	if left := w.shown("bob", sent.ID).Reactions; len(left) != 1 || fmt.Sprint(left[0].By) != "[alice]" {
		t.Errorf("left is %+v", left)
	}
	w.as("mallory", "POST", path, `{"emoji":"x"}`).refused(403, chat.CodeNotAParticipant)
	w.as("mallory", "DELETE", path+"/x", "").refused(403, chat.CodeNotAParticipant)
	w.del("/v1/messages/" + sent.ID).want(204)
	w.as("bob", "POST", path, `{"emoji":"x"}`).refused(409, chat.CodeMessageDeleted)
	w.as("bob", "DELETE", path+"/x", "").want(204)
}

func TestEmojiBounds(t *testing.T) {
	w := newWorld(t)
	path := "/v1/messages/" + w.message("alice", w.group("bob"), "").ID + "/reactions"
	for _, good := range []string{"x", strings.Repeat("x", 64), strings.Repeat("👍", 16), "a b", "+1", "...", "100%", "é?#", `\"`, "👩🏽‍🚀"} {
		w.post(path, `{"emoji":"`+good+`"}`).want(200)
		w.del(path + "/" + url.PathEscape(strings.ReplaceAll(good, `\"`, `"`))).want(204)
	}
	for _, bad := range []string{"", strings.Repeat("x", 65), strings.Repeat("👍", 16) + "x", "/", "a/b", ".", "..", `\u0000`, `\n`, `\u007f`, `\u0085`} {
		w.post(path, `{"emoji":"`+bad+`"}`).invalid("emoji")
	}
	for _, bad := range []string{"%", "%zz", "%FF", "%00", "a%0Ab", "%2F", "a%2Fb", ".", "%2E", "..", "%2E%2E", strings.Repeat("x", 65)} {
		a := w.raw("DELETE " + path + "/" + bad + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + w.token("alice") + "\r\nConnection: close\r\n\r\n")
		a.invalid("emoji")
	}
	w.del(path+"/").refused(404, contracts.CodeNotFound)
	w.del(path+"/a/b").refused(404, contracts.CodeNotFound)
	if got := decoded[contracts.Message](w.get(strings.TrimSuffix(path, "/reactions")).want(200)); len(got.Reactions) != 0 {
		t.Errorf("left are %+v", got.Reactions)
	}
}

func TestAMessageHasSoManyReactions(t *testing.T) {
	w := newWorld(t)
	path := "/v1/messages/" + w.message("alice", w.group("bob"), "").ID + "/reactions"
	for i := range 64 {
		w.post(path, fmt.Sprintf(`{"emoji":"e%d"}`, i)).want(200)
	}
	w.post(path, `{"emoji":"one more"}`).refused(409, chat.CodeTooManyReactions)
	w.as("bob", "POST", path, `{"emoji":"e0"}`).want(200) // no new one
	w.post(path, `{"emoji":"e0"}`).want(200)              // none at all
	w.del(path + "/e1").want(204)
	w.post(path, `{"emoji":"one more"}`).want(200)
	w.post(path, `{"emoji":"e1"}`).refused(409, chat.CodeTooManyReactions)
}

func TestPins(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	path := "/v1/threads/" + id + "/pins"
	var sent []contracts.Message
	for range 4 {
		sent = append(sent, w.message("alice", id, ""))
	}
	pin := func(user, message string) answer { return w.as(user, "POST", path, `{"message_id":"`+message+`"}`) }
	listed := func() (ids []string) {
		for _, p := range decoded[contracts.Pins](w.get(path).want(200)).Pins {
			ids = append(ids, p.MessageID)
		}
		return ids
	}
	if got := string(w.get(path).want(200).body); got != `{"pins":[]}` {
		t.Errorf("got %s", got)
	}
	first := pin("bob", sent[2].ID).want(201)
	if p := decoded[contracts.Pin](first); p.MessageID != sent[2].ID || p.PinnedBy != "bob" || p.PinnedAt == "" {
		t.Errorf("got %s", first.body)
	}
	if again := pin("alice", sent[2].ID).want(200); string(again.body) != string(first.body) {
		t.Errorf("the pin that is there is %s, it was %s", again.body, first.body)
	}
	pin("alice", sent[0].ID).want(201)
	pin("alice", sent[1].ID).want(201)
	pin("alice", sent[3].ID).refused(409, chat.CodeTooManyPins)
	if got := fmt.Sprint(listed()); got != fmt.Sprint([]string{sent[2].ID, sent[0].ID, sent[1].ID}) {
		t.Errorf("pinned are %s", got)
	}
	w.as("bob", "DELETE", path+"/"+sent[0].ID, "").want(204)
	w.del(path+"/"+sent[0].ID).refused(404, chat.CodePinNotFound)
	pin("alice", sent[3].ID).want(201)
	w.del("/v1/messages/" + sent[3].ID).want(204) // unpins it
	pin("alice", sent[3].ID).refused(409, chat.CodeMessageDeleted)
	if got := fmt.Sprint(listed()); got != fmt.Sprint([]string{sent[2].ID, sent[1].ID}) {
		t.Errorf("pinned are %s", got)
	}
}

func TestPinsAreForThoseWhoSeeTheMessage(t *testing.T) {
	w := newWorld(t)
	id, other := w.group("bob"), w.group("bob")
	path := "/v1/threads/" + id + "/pins"
	sent, elsewhere := w.message("alice", id, ""), w.message("alice", other, "")
	body := func(message string) string { return `{"message_id":"` + message + `"}` }
	w.post(path, body(sent.ID)).want(201)
	w.post(path, body(elsewhere.ID)).refused(404, chat.CodeMessageNotFound)
	w.post(path, body("01HX9G3M2J8K4N5P7Q8R0S1TAB")).refused(404, chat.CodeMessageNotFound)
	w.post(path, body("x")).invalid("message_id")
	for _, bad := range []string{elsewhere.ID, "01HX9G3M2J8K4N5P7Q8R0S1TAB", "x", strings.ToLower(sent.ID), "%00", strings.Repeat("x", 5000)} {
		w.del(path+"/"+bad).refused(404, chat.CodePinNotFound)
	}
	for _, method := range []string{"GET", "POST"} {
		w.as("mallory", method, path, body(sent.ID)).refused(403, chat.CodeNotAParticipant)
	}
	w.as("mallory", "DELETE", path+"/"+sent.ID, "").refused(403, chat.CodeNotAParticipant)

	w.post("/v1/threads/"+id+"/participants", `{"user_id":"carol"}`).want(201)
	if got := string(w.as("carol", "GET", path, "").want(200).body); got != `{"pins":[]}` {
		t.Errorf("carol, who came later, sees %s", got)
	}
	w.as("carol", "POST", path, body(sent.ID)).refused(404, chat.CodeMessageNotFound)
	w.as("carol", "DELETE", path+"/"+sent.ID, "").refused(404, chat.CodePinNotFound)
}

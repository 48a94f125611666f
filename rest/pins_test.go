package rest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

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

package rest

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

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

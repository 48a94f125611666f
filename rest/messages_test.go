package rest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// ciphertext is the base64 of n bytes.
func ciphertext(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }

func TestSendReplayAndConflict(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	const body = `{"client_seq":1,"ciphertext":"//8="}`
	first := w.send("alice", id, "k1", body).want(http.StatusAccepted)
	m := decoded[contracts.Message](first)
	if m.Seq != 2 || m.ThreadID != id || m.SenderID != "alice" || m.DeviceID != "default" || m.ContentType != "text" ||
		string(m.Ciphertext) != "\xff\xff" || m.ClientSeq != 1 {
		t.Errorf("got %s", first.body)
	}
	if first.header.Get("Idempotency-Replayed") != "" {
		t.Error("the first send says it is a replay")
	}
	replay := w.send("alice", id, "k1", `{"ciphertext":"//8=","client_seq":1,"content_type":"text","ttl_seconds":null}`).want(http.StatusAccepted)
	if replay.header.Get("Idempotency-Replayed") != "true" || string(replay.body) != string(first.body) {
		t.Errorf("replay: %v %s", replay.header, replay.body)
	}
	w.send("alice", id, "k1", `{"client_seq":2,"ciphertext":"//8="}`).refused(422, chat.CodeIdempotencyKeyReused)
	taken := w.send("alice", id, "k2", body).want(http.StatusConflict)
	if taken.header.Get("Content-Type") != "application/json" || string(taken.body) != string(first.body) {
		t.Errorf("client_seq taken: %v %s", taken.header, taken.body)
	}
	w.send("mallory", id, "k", body).refused(403, chat.CodeNotAParticipant)
}

func TestSendBounds(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	seq := 0
	with := func(members string) string {
		seq++
		return fmt.Sprintf(`{"client_seq":%d,"ciphertext":"AA=="%s}`, seq, members)
	}
	key := func() string { return fmt.Sprintf("key-%d", seq) }
	target := decoded[contracts.Message](w.send("alice", id, "target", with("")).want(202)).ID

	for name, members := range map[string]string{
		"attachment id of 256": `,"attachment_id":"` + strings.Repeat("é", 256) + `"`,
		"ttl 1":                `,"ttl_seconds":1`,
		"ttl 2419200":          `,"ttl_seconds":2419200`,
		"image_ref":            `,"content_type":"image_ref","attachment_id":"a"`,
		"sha256":               `,"attachment_sha256":"` + strings.Repeat("0f", 32) + `"`,
		"reply":                `,"reply_to_msg_id":"` + target + `"`,
	} {
		t.Run(name, func(t *testing.T) { w.send("alice", id, key(), with(members)).want(202) })
	}
	for _, tc := range []struct{ name, members, field string }{
		{"attachment id of 257", `,"attachment_id":"` + strings.Repeat("é", 257) + `"`, "attachment_id"},
		{"ttl 0", `,"ttl_seconds":0`, "ttl_seconds"},
		{"ttl 2419201", `,"ttl_seconds":2419201`, "ttl_seconds"},
		{"ttl overflows", `,"ttl_seconds":9223372036854775807`, "ttl_seconds"},
		{"ttl a fraction", `,"ttl_seconds":1.5`, "ttl_seconds"},
		{"image_ref without attachment", `,"content_type":"image_ref"`, "attachment_id"},
		{"content_type unknown", `,"content_type":"sticker"`, "content_type"},
		{"content_type empty", `,"content_type":""`, "content_type"},
		{"sha256 in capitals", `,"attachment_sha256":"` + strings.Repeat("0F", 32) + `"`, "attachment_sha256"},
		{"sha256 short", `,"attachment_sha256":"00"`, "attachment_sha256"},
		{"reply to no message", `,"reply_to_msg_id":"01HX9G3M2J8K4N5P7Q8R0S1TAB"`, "reply_to_msg_id"},
		{"reply malformed", `,"reply_to_msg_id":"x"`, "reply_to_msg_id"},
		{"unknown field", `,"colour":"red"`, "colour"},
		{"key in the body", `,"idempotency_key":"k"`, "idempotency_key"},
		{"duplicate field", `,"client_seq":1`, "client_seq"},
		{"miscased field", `,"TTL_seconds":1`, "TTL_seconds"},
	} {
		t.Run(tc.name, func(t *testing.T) { w.send("alice", id, key(), with(tc.members)).invalid(tc.field) })
	}
	w.send("alice", id, key(), with(`,"content_type":"system"`)).refused(403, chat.CodeMissingScope)
}

func TestSendForms(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	w.send("alice", id, "k", `{"client_seq":0,"ciphertext":"`+ciphertext(64<<10)+`"}`).want(202)
	w.send("alice", id, "k'", `{"client_seq":9223372036854775807,"ciphertext":"AA=="}`).want(202)
	w.send("alice", id, "large", `{"client_seq":1,"ciphertext":"`+ciphertext(64<<10+1)+`"}`).refused(413, chat.CodeCiphertextTooLarge)
	for _, tc := range []struct{ name, body, field string }{
		{"no body", ``, ""},
		{"empty ciphertext", `{"client_seq":1,"ciphertext":""}`, "ciphertext"},
		{"URL alphabet", `{"client_seq":1,"ciphertext":"_-8="}`, "ciphertext"},
		{"no padding", `{"client_seq":1,"ciphertext":"AA"}`, "ciphertext"},
		{"line break", `{"client_seq":1,"ciphertext":"AAAA\nAAAA"}`, "ciphertext"},
		{"negative", `{"client_seq":-1,"ciphertext":"AA=="}`, "client_seq"},
		{"fraction", `{"client_seq":0.5,"ciphertext":"AA=="}`, "client_seq"},
		{"string", `{"client_seq":"1","ciphertext":"AA=="}`, "client_seq"},
		{"missing", `{"ciphertext":"AA=="}`, "client_seq"},
		{"trailing garbage", `{"client_seq":1,"ciphertext":"AA=="}}`, ""},
		{"invalid UTF-8", "{\"client_seq\":1,\"ciphertext\":\"AA==\",\"attachment_id\":\"\xff\"}", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w.do(request{
				user: "alice", method: "POST", path: "/v1/threads/" + id + "/messages", body: tc.body,
				header: map[string]string{"Idempotency-Key": "key", "Content-Type": "application/json"},
			}).invalid(tc.field)
		})
	}
}

func TestIdempotencyKeyBounds(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	const body = `{"client_seq":1,"ciphertext":"AA=="}`
	for _, bad := range []string{"", strings.Repeat("k", 65), "a b", "a\tb", "é"} {
		w.send("alice", id, bad, body).invalid("Idempotency-Key")
	}
	w.send("alice", id, "!"+strings.Repeat("k", 62)+"~", body).want(202)
}

func TestDevices(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	phone := mint(t, auth.Claims{User: "alice", Device: "phone", Scopes: []chat.Scope{chat.ScopeWrite}})
	send := func(seq int, tok, query, header string) answer {
		return w.do(request{
			user: "alice", token: tok, method: "POST", path: "/v1/threads/" + id + "/messages" + query,
			body:   fmt.Sprintf(`{"client_seq":%d,"ciphertext":"AA=="}`, seq),
			header: map[string]string{"Idempotency-Key": fmt.Sprintf("k%d", seq), "X-Device-Id": header},
		})
	}
	for i, tc := range []struct{ tok, query, header, want string }{
		{"", "", "", "default"},
		{"", "", "tablet", "tablet"},
		{"", "?device_id=web", "", "web"},
		{phone, "", "", "phone"},
		{phone, "?device_id=phone", "phone", "phone"},
	} {
		if m := decoded[contracts.Message](send(i, tc.tok, tc.query, tc.header).want(202)); m.DeviceID != tc.want {
			t.Errorf("%+v: device %s", tc, m.DeviceID)
		}
	}
	send(9, phone, "", "tablet").refused(403, contracts.CodeDeviceMismatch)
	send(9, phone, "?device_id=tablet", "").refused(403, contracts.CodeDeviceMismatch)
	send(9, "", "", "a b").invalid("device_id")
}

func TestHistory(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	var ids []string
	for i := range 5 {
		a := w.send("alice", id, fmt.Sprint("k", i), fmt.Sprintf(`{"client_seq":%d,"ciphertext":"AA=="}`, i)).want(202)
		ids = append(ids, decoded[contracts.Message](a).ID)
	}
	path := "/v1/threads/" + id + "/messages"
	walk := func(query string) (got []string) {
		cursor := ""
		for {
			page := decoded[contracts.MessagePage](w.get(path + query + cursor).want(200))
			for _, m := range page.Messages {
				got = append(got, m.ID)
			}
			if page.NextCursor == nil {
				return got
			}
			cursor = "&cursor=" + *page.NextCursor
		}
	}
	if got, want := fmt.Sprint(walk("?page_size=2")), fmt.Sprint([]string{ids[4], ids[3], ids[2], ids[1], ids[0]}); got != want {
		t.Errorf("history %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(walk("?page_size=2&since="+ids[0])), fmt.Sprint(ids[1:]); got != want {
		t.Errorf("since %s, want %s", got, want)
	}
	for _, bad := range []string{"", "x", strings.ToLower(ids[0])} {
		w.get(path + "?since=" + bad).invalid("since")
	}
	w.get(path + "?cursor=nonsense").invalid("cursor")
	if got := walk("?page_size=2&content_type=text"); len(got) != len(ids) {
		t.Errorf("texts %s, want all of %s", got, ids)
	}
	if got := walk("?page_size=2&content_type=image_ref&since=" + ids[0]); len(got) != 0 {
		t.Errorf("images %s, want none", got)
	}
	for _, bad := range []string{"", "image", "Text", "text%20", "text,image_ref"} {
		w.get(path + "?content_type=" + bad).invalid("content_type")
	}
	first := decoded[contracts.MessagePage](w.get(path + "?page_size=1&content_type=text").want(200))
	w.get(path + "?page_size=1&cursor=" + *first.NextCursor).invalid("cursor")
	w.get(path + "?page_size=1&content_type=system&cursor=" + *first.NextCursor).invalid("cursor")
	w.do(request{user: "mallory", method: "GET", path: path}).refused(403, chat.CodeNotAParticipant)
}

func TestReadAndReceipts(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob", "carol")
	sent := decoded[contracts.Message](w.send("alice", id, "k", `{"client_seq":1,"ciphertext":"AA=="}`).want(202))
	path := "/v1/threads/" + id + "/read"
	asBob := func(body string) answer {
		return w.do(request{user: "bob", method: "POST", path: path, body: body})
	}
	asBob(`{"up_to_msg_id":"` + sent.ID + `"}`).want(http.StatusNoContent)
	asBob(`{"up_to_msg_id":"` + sent.ID + `"}`).want(http.StatusNoContent)
	asBob(`{"up_to_msg_id":"01HX9G3M2J8K4N5P7Q8R0S1TAB"}`).refused(404, chat.CodeMessageNotFound)
	asBob(`{"up_to_msg_id":"x"}`).invalid("up_to_msg_id")
	asBob(`{}`).invalid("up_to_msg_id")
	w.do(request{user: "mallory", method: "POST", path: path, body: `{"up_to_msg_id":"` + sent.ID + `"}`}).refused(403, chat.CodeNotAParticipant)

	r := decoded[contracts.Receipts](w.get("/v1/messages/" + sent.ID + "/receipts").want(200))
	if len(r.States) != 2 || r.Summary != (contracts.ReceiptSummary{Sent: 1, Read: 1}) {
		t.Fatalf("got %+v", r)
	}
	if b := r.States[0]; b.RecipientID != "bob" || b.State != "READ" || b.ReadAt == nil || *b.DeliveredAt != *b.ReadAt {
		t.Errorf("bob: %+v", b)
	}
	w.do(request{user: "mallory", method: "GET", path: "/v1/messages/" + sent.ID + "/receipts"}).refused(403, chat.CodeNotAParticipant)
}

func TestOneMessageIsForThoseWhoSeeIt(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	sent := decoded[contracts.Message](w.send("alice", id, "one", `{"client_seq":1,"ciphertext":"aGVsbG8="}`).want(202))
	got := decoded[contracts.Message](w.do(request{user: "bob", method: "GET", path: "/v1/messages/" + sent.ID}).want(200))
	if got.ID != sent.ID || got.Seq != sent.Seq || string(got.Ciphertext) != "hello" {
		t.Errorf("got %+v, want %+v", got, sent)
	}
	w.do(request{user: "mallory", method: "GET", path: "/v1/messages/" + sent.ID}).refused(403, chat.CodeNotAParticipant)
	w.post("/v1/threads/"+id+"/participants", `{"user_id":"carol"}`).want(201)
	w.do(request{user: "carol", method: "GET", path: "/v1/messages/" + sent.ID}).refused(404, chat.CodeMessageNotFound)
	for _, unknown := range []string{"01ARZ3NDEKTSV4RRFFQ69G5FAV", "x", "01arz3ndektsv4rrffq69g5fav"} {
		w.get("/v1/messages/"+unknown).refused(404, chat.CodeMessageNotFound)
	}
}

func TestEventsAreTheWholeLogInPages(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	for i := range 4 {
		w.send("alice", id, fmt.Sprint("k", i), fmt.Sprintf(`{"client_seq":%d,"ciphertext":"aGVsbG8="}`, i)).want(202)
	}
	w.post("/v1/threads/"+id+"/participants", `{"user_id":"carol"}`).want(201)
	var seqs []uint64
	for since := uint64(0); ; {
		page := decoded[contracts.EventPage](w.get(fmt.Sprintf("/v1/threads/%s/events?since_seq=%d&page_size=2", id, since)).want(200))
		for _, e := range page.Events {
			var frame struct {
				T        string  `json:"t"`
				Seq      uint64  `json:"seq"`
				FrameSeq *uint64 `json:"frame_seq"`
			}
			if err := json.Unmarshal(e, &frame); err != nil {
				t.Fatal(err)
			}
			if frame.FrameSeq != nil {
				t.Errorf("the event has a frame_seq: %s", e)
			}
			seqs = append(seqs, frame.Seq)
		}
		if page.NextSinceSeq == nil {
			break
		}
		since = *page.NextSinceSeq
	}
	if fmt.Sprint(seqs) != "[1 2 3 4 5 6]" {
		t.Errorf("the log is %v, want 1 to 6", seqs)
	}
	joined := decoded[contracts.EventPage](w.do(request{user: "carol", method: "GET", path: "/v1/threads/" + id + "/events"}).want(200))
	if len(joined.Events) != 1 {
		t.Errorf("carol sees %d events, want her joining alone", len(joined.Events))
	}
	for _, bad := range []string{"since_seq=-1", "since_seq=x", "since_seq=1.5", "page_size=0", "page_size=101"} {
		w.get("/v1/threads/"+id+"/events?"+bad).refused(400, chat.CodeInvalidRequest)
	}
	w.do(request{user: "mallory", method: "GET", path: "/v1/threads/" + id + "/events"}).refused(403, chat.CodeNotAParticipant)
}

// The key of a request may stand in quotes, as some clients write it. A key that was taken
// with another client_seq says whether the content is the one that was sent first.
func TestIdempotencyKeysAndDifferingContent(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	const first, other = `{"client_seq":1,"ciphertext":"AAAA"}`, `{"client_seq":1,"ciphertext":"BBBB"}`
	sent := decoded[contracts.Message](w.send("alice", id, `"abc"`, first).want(202))
	long := strings.Repeat("k", 64)
	for _, same := range []string{`abc`, `"abc"`} {
		a := w.send("alice", id, same, first).want(202)
		if a.header.Get("Idempotency-Replayed") != "true" || decoded[contracts.Message](a).ID != sent.ID {
			t.Errorf("%s is not the key abc: %v %s", same, a.header, a.body)
		}
	}
	for _, bad := range []string{`"abc`, `abc"`, `"`, `""`, `"a b"`, `"` + long + `k"`, long + "k"} {
		w.send("alice", id, bad, first).invalid("Idempotency-Key")
		w.do(request{
			user: "alice", method: "POST", path: "/v1/threads", body: `{"type":"GROUP","participants":[]}`,
			header: map[string]string{"Idempotency-Key": bad},
		}).invalid("Idempotency-Key")
	}
	w.send("alice", id, `"`+long+`"`, `{"client_seq":2,"ciphertext":"AAAA"}`).want(202)
	w.send("alice", id, `a"b`, `{"client_seq":3,"ciphertext":"AAAA"}`).want(202)

	for body, differs := range map[string]string{first: "", other: "true", `{"client_seq":1,"ciphertext":"AAAA","ttl_seconds":9}`: "true"} {
		a := w.send("alice", id, "another-"+differs+body[len(body)-4:len(body)-2], body).want(409)
		if got := a.header.Get("Idempotency-Content-Differs"); got != differs || decoded[contracts.Message](a).ID != sent.ID {
			t.Errorf("%s: Idempotency-Content-Differs is %q, want %q: %s", body, got, differs, a.body)
		}
	}
	twice := "POST /v1/threads/" + id + "/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " + w.token("alice") +
		"\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: " + strconv.Itoa(len(first)) + "\r\n\r\n" + first
	w.raw(twice).invalid("Idempotency-Key")
}

func TestContentTypesThatDoNotExist(t *testing.T) {
	w := newWorld(t)
	id := w.group("bob")
	send := func(contentType string, scopes ...chat.Scope) answer {
		return w.do(request{
			token: w.scoped("alice", scopes...), method: "POST", path: "/v1/threads/" + id + "/messages",
			body:   `{"client_seq":1,"ciphertext":"AAAA","content_type":"` + contentType + `"}`,
			header: map[string]string{"Idempotency-Key": "k"},
		})
	}
	for _, scope := range []chat.Scope{chat.ScopeWrite, chat.ScopeSystem} {
		for _, typo := range []string{"System", "systen", "txet", "Text", "text "} {
			send(typo, scope).invalid("content_type")
		}
	}
	send("text", chat.ScopeSystem).refused(403, chat.CodeMissingScope)
	send("system", chat.ScopeWrite).refused(403, chat.CodeMissingScope)
	send("txet", chat.ScopeRead).refused(403, chat.CodeMissingScope)
}

// A call about a message may say in which thread that is; in a wrong one there is no such message.
func TestThreadHints(t *testing.T) {
	sc := newScene(t)
	elsewhere := sc.group("bob")
	for _, c := range sc.calls() {
		if !strings.HasPrefix(c.path, "/v1/messages/") {
			continue
		}
		for _, wrong := range []string{elsewhere, "018fca3e-52b2-7f3c-8a35-6a2f5c1d9e00", "x", "", strings.ToUpper(sc.thread)} {
			sc.make(c, func(r *request) { r.path += "?thread_id=" + wrong }).refused(404, chat.CodeMessageNotFound)
		}
		sc.make(c, func(r *request) { r.path += "?thread_id=" + sc.thread }).want(c.status)
	}
}

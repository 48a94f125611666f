package contracts

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/parleyhq/parley/chat"
)

func TestDecodeSendRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, body, field string
	}{
		{"empty", ``, ""},
		{"null", `null`, "client_seq"},
		{"array", `[]`, ""},
		{"string", `"x"`, ""},
		{"unfinished", `{"client_seq":1`, ""},
		{"trailing garbage", `{"client_seq":1,"ciphertext":"AA=="} x`, ""},
		{"second value", `{"client_seq":1,"ciphertext":"AA=="}{}`, ""},
		{"unknown", `{"client_seq":1,"ciphertext":"AA==","colour":1}`, "colour"},
		{"miscased", `{"Client_seq":1,"ciphertext":"AA=="}`, "Client_seq"},
		{"key in the body", `{"client_seq":1,"ciphertext":"AA==","idempotency_key":"k"}`, "idempotency_key"},
		{"duplicate", `{"client_seq":1,"client_seq":1,"ciphertext":"AA=="}`, "client_seq"},
		{"missing client_seq", `{"ciphertext":"AA=="}`, "client_seq"},
		{"null client_seq", `{"client_seq":null,"ciphertext":"AA=="}`, "client_seq"},
		{"missing ciphertext", `{"client_seq":1}`, "ciphertext"},
		{"null ciphertext", `{"client_seq":1,"ciphertext":null}`, "ciphertext"},
		{"client_seq a fraction", `{"client_seq":1.5,"ciphertext":"AA=="}`, "client_seq"},
		{"client_seq with an exponent", `{"client_seq":1e2,"ciphertext":"AA=="}`, "client_seq"},
		{"client_seq a string", `{"client_seq":"1","ciphertext":"AA=="}`, "client_seq"},
		{"client_seq over 64 bits", `{"client_seq":9223372036854775808,"ciphertext":"AA=="}`, "client_seq"},
		{"ciphertext a number", `{"client_seq":1,"ciphertext":1}`, "ciphertext"},
		{"ciphertext an array", `{"client_seq":1,"ciphertext":[1]}`, "ciphertext"},
		{"URL alphabet", `{"client_seq":1,"ciphertext":"_-8="}`, "ciphertext"},
		{"no padding", `{"client_seq":1,"ciphertext":"AA"}`, "ciphertext"},
		{"too much padding", `{"client_seq":1,"ciphertext":"AAAA===="}`, "ciphertext"},
		{"line break", `{"client_seq":1,"ciphertext":"AAAA\r\nAAAA"}`, "ciphertext"},
		{"stray bits", `{"client_seq":1,"ciphertext":"AB=="}`, "ciphertext"},
		{"blank", `{"client_seq":1,"ciphertext":"AA== "}`, "ciphertext"},
		{"invalid UTF-8", "{\"client_seq\":1,\"ciphertext\":\"AA==\",\"attachment_id\":\"\xff\"}", ""},
		{"lone surrogate", `{"client_seq":1,"ciphertext":"AA==","attachment_id":"\ud800"}`, ""},
		{"content_type a number", `{"client_seq":1,"ciphertext":"AA==","content_type":1}`, "content_type"},
		{"deep nesting", `{"client_seq":1,"ciphertext":` + strings.Repeat("[", 250_000), "ciphertext"},
		{"deep unknown", `{"x":` + strings.Repeat("[", 250_000), "x"},
		{"long unknown name", `{"` + strings.Repeat("n", 100_000) + `":1}`, strings.Repeat("n", 64) + "…"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := DecodeSend([]byte(tc.body))
			wantInvalid(t, err, tc.field)
		})
	}
}

func TestSendRequestRefuses(t *testing.T) {
	for _, tc := range []struct{ member, field string }{
		{`"content_type":""`, "content_type"},
		{`"attachment_sha256":""`, "attachment_sha256"},
		{`"reply_to_msg_id":""`, "reply_to_msg_id"},
		{`"reply_to_msg_id":"01hx9g3m2j8k4n5p7q8r0s1tab"`, "reply_to_msg_id"},
		{`"ttl_seconds":0`, "ttl_seconds"},
		{`"ttl_seconds":-1`, "ttl_seconds"},
		{`"ttl_seconds":2419201`, "ttl_seconds"},
		{`"ttl_seconds":9223372036854775807`, "ttl_seconds"},
	} {
		t.Run(tc.member, func(t *testing.T) {
			body, err := DecodeSend([]byte(`{"client_seq":1,"ciphertext":"AA==",` + tc.member + `}`))
			if err != nil {
				t.Fatal(err)
			}
			_, err = body.Request(chat.ThreadID{}, "k")
			wantInvalid(t, err, tc.field)
		})
	}
}

func TestSendRequestConverts(t *testing.T) {
	body, err := DecodeSend([]byte(`{"client_seq":7,"ciphertext":"\/\/8=","content_type":"image_ref","attachment_id":"a",
		"attachment_sha256":"00","reply_to_msg_id":"01HX9G3M2J8K4N5P7Q8R0S1TAB","ttl_seconds":2419200}`))
	if err != nil {
		t.Fatal(err)
	}
	req, err := body.Request(chat.ThreadID{1}, "key")
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case req.Thread != chat.ThreadID{1}, req.IdempotencyKey != "key", req.ClientSeq != 7,
		!bytes.Equal(req.Ciphertext, []byte{0xff, 0xff}), req.ContentType != chat.ImageRef, req.AttachmentID != "a",
		req.AttachmentSHA256 != "00", req.ReplyTo.String() != "01HX9G3M2J8K4N5P7Q8R0S1TAB", req.TTL != chat.MaxTTL:
		t.Errorf("got %+v", req)
	}
}

func TestNullIsAbsence(t *testing.T) {
	body, err := DecodeSend([]byte(`{"client_seq":0,"ciphertext":"","content_type":null,"attachment_id":null,
		"attachment_sha256":null,"reply_to_msg_id":null,"ttl_seconds":null}`))
	if err != nil {
		t.Fatal(err)
	}
	req, err := body.Request(chat.ThreadID{}, "k")
	if err != nil {
		t.Fatal(err)
	}
	if req.ContentType != "" || req.AttachmentID != "" || req.AttachmentSHA256 != "" || !req.ReplyTo.IsZero() || req.TTL != 0 {
		t.Errorf("got %+v", req)
	}
	create, err := DecodeCreateThread([]byte(`{"type":"GROUP","participants":[],"title":null}`))
	if err != nil || create.Title != "" || len(create.Participants) != 0 {
		t.Errorf("got %+v, %v", create, err)
	}
}

func TestDecodeSendPublish(t *testing.T) {
	p, err := DecodeSendPublish([]byte(`{"idempotency_key":"k","client_seq":1,"ciphertext":"AA=="}`))
	if err != nil || p.IdempotencyKey != "k" || *p.ClientSeq != 1 {
		t.Errorf("got %+v, %v", p, err)
	}
	if p, err = DecodeSendPublish([]byte(`{"client_seq":1,"ciphertext":"AA=="}`)); err != nil || p.IdempotencyKey != "" {
		t.Errorf("without a key: got %+v, %v", p, err)
	}
	_, err = DecodeSendPublish([]byte(`{"idempotency_key":"k","client_seq":1,"ciphertext":"AA==","x":1}`))
	wantInvalid(t, err, "x")
}

func TestDecodeOthersRefuse(t *testing.T) {
	create := func(b []byte) error { _, err := DecodeCreateThread(b); return err }
	add := func(b []byte) error { _, err := DecodeAddParticipant(b); return err }
	read := func(b []byte) error { _, err := DecodeMarkRead(b); return err }
	edit := func(b []byte) error { _, err := DecodeEdit(b); return err }
	react := func(b []byte) error { _, err := DecodeReaction(b); return err }
	pin := func(b []byte) error { _, err := DecodePin(b); return err }
	report := func(b []byte) error { _, _, err := DecodeReport(b); return err }
	for _, tc := range []struct {
		decode      func([]byte) error
		body, field string
	}{
		{create, `{}`, "type"},
		{create, `{"type":"GROUP"}`, "participants"},
		{create, `{"type":null,"participants":["a"]}`, "type"},
		{create, `{"type":"GROUP","participants":null}`, "participants"},
		{create, `{"type":"GROUP","participants":"a"}`, "participants"},
		{create, `{"type":"GROUP","participants":["a",1]}`, "participants/1"},
		{create, `{"type":"GROUP","participants":["a"],"title":1}`, "title"},
		{create, `{"type":"GROUP","participants":["a"],"Title":"x"}`, "Title"},
		{add, `{}`, "user_id"},
		{add, `{"user_id":null}`, "user_id"},
		{add, `{"user_id":"me"}`, "user_id"},
		{add, `{"user_id":""}`, "user_id"},
		{add, `{"user_id":"a","role":"admin"}`, "role"},
		{read, `{}`, "up_to_msg_id"},
		{read, `{"up_to_msg_id":"nope"}`, "up_to_msg_id"},
		{read, `{"up_to_msg_id":"01HX9G3M2J8K4N5P7Q8R0S1TAB","up_to_msg_id":"01HX9G3M2J8K4N5P7Q8R0S1TAB"}`, "up_to_msg_id"},
		{edit, `{}`, "ciphertext"},
		{edit, `{"ciphertext":null}`, "ciphertext"},
		{edit, `{"ciphertext":"AA"}`, "ciphertext"},
		{edit, `{"ciphertext":"AA==","content_type":""}`, "content_type"},
		{edit, `{"ciphertext":"AA==","content_type":7}`, "content_type"},
		{edit, `{"ciphertext":"AA==","client_seq":1}`, "client_seq"},
		{edit, `{"ciphertext":"AA==","ciphertext":"AA=="}`, "ciphertext"},
		{react, `{}`, "emoji"},
		{react, `{"emoji":null}`, "emoji"},
		{react, `{"emoji":["x"]}`, "emoji"},
		{react, `{"emoji":"x","Emoji":"x"}`, "Emoji"},
		{react, `{"emoji":"\ud83d"}`, ""},
		{pin, `{}`, "message_id"},
		{pin, `{"message_id":null}`, "message_id"},
		{pin, `{"message_id":"01hx9g3m2j8k4n5p7q8r0s1tab"}`, "message_id"},
		{pin, `{"message_id":"01HX9G3M2J8K4N5P7Q8R0S1TAB","note":"x"}`, "note"},
		{report, `{}`, "reason"},
		{report, `{"note":"x"}`, "reason"},
		{report, `{"reason":null}`, "reason"},
		{report, `{"reason":1}`, "reason"},
		{report, `{"reason":"spam","note":1}`, "note"},
		{report, `{"reason":"spam","notes":"x"}`, "notes"},
	} {
		t.Run(tc.body, func(t *testing.T) { wantInvalid(t, tc.decode([]byte(tc.body)), tc.field) })
	}
}

func TestDecodeOthersConvert(t *testing.T) {
	edit, err := DecodeEdit([]byte(`{"ciphertext":"\/\/8=","content_type":"image_ref"}`))
	if err != nil || !bytes.Equal(edit.Ciphertext, []byte{0xff, 0xff}) || edit.ContentType != chat.ImageRef {
		t.Errorf("edit: got %+v, %v", edit, err)
	}
	edit, err = DecodeEdit([]byte(`{"ciphertext":"AA==","content_type":null}`))
	if err != nil || edit.ContentType != "" {
		t.Errorf("edit without a type: got %+v, %v", edit, err)
	}
	if emoji, err := DecodeReaction([]byte(`{"emoji":"\ud83d\udc4d"}`)); err != nil || emoji != "👍" {
		t.Errorf("reaction: got %q, %v", emoji, err)
	}
	if id, err := DecodePin([]byte(`{"message_id":"01HX9G3M2J8K4N5P7Q8R0S1TAB"}`)); err != nil || id.String() != "01HX9G3M2J8K4N5P7Q8R0S1TAB" {
		t.Errorf("pin: got %s, %v", id, err)
	}
	if reason, note, err := DecodeReport([]byte(`{"reason":"spam","note":null}`)); err != nil || reason != chat.ReportSpam || note != "" {
		t.Errorf("report: got %q %q, %v", reason, note, err)
	}
	if reason, note, err := DecodeReport([]byte(`{"note":"é","reason":"whatever"}`)); err != nil || reason != "whatever" || note != "é" {
		t.Errorf("report: got %q %q, %v", reason, note, err)
	}
}

func TestDecodedKeepsNothingOfTheBody(t *testing.T) {
	body := []byte(`{"client_seq":1,"ciphertext":"AQID","attachment_id":"abc"}`)
	got, err := DecodeSend(body)
	if err != nil {
		t.Fatal(err)
	}
	clear(body)
	if !bytes.Equal(got.Ciphertext, []byte{1, 2, 3}) || *got.AttachmentID != "abc" {
		t.Errorf("got %q and %q after the buffer was reused", got.Ciphertext, *got.AttachmentID)
	}
}

func TestFormatTime(t *testing.T) {
	at := time.Date(2026, 5, 30, 19, 42, 11, 234_999_999, time.FixedZone("CEST", 7200))
	const want = "2026-05-30T17:42:11.234Z"
	if got := FormatTime(at); got != want {
		t.Errorf("FormatTime = %s, want %s", got, want)
	}
	if got := string(AppendTime([]byte("x"), at)); got != "x"+want {
		t.Errorf("AppendTime = %s", got)
	}
}

func FuzzDecodeSend(f *testing.F) {
	f.Add([]byte(`{"client_seq":1,"ciphertext":"AA==","ttl_seconds":1}`))
	f.Add([]byte(`{"client_seq":1,"ciphertext":"\/\/8=","reply_to_msg_id":"01HX9G3M2J8K4N5P7Q8R0S1TAB"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := DecodeSend(body)
		if err != nil {
			wantCoded(t, err)
			return
		}
		if !jsontext.Value(body).IsValid() {
			t.Fatalf("accepted %q", body)
		}
		if !bytes.Contains(body, []byte(`\`)) && !bytes.Contains(body, []byte(base64.StdEncoding.EncodeToString(got.Ciphertext))) {
			t.Fatalf("ciphertext %x is not spelled its one way in %q", got.Ciphertext, body)
		}
		if req, err := got.Request(chat.ThreadID{}, "k"); err != nil {
			wantCoded(t, err)
		} else if req.TTL < 0 || req.TTL > chat.MaxTTL {
			t.Fatalf("ttl %v", req.TTL)
		}
	})
}

func FuzzDecodeCreateThread(f *testing.F) {
	f.Add([]byte(`{"type":"GROUP","participants":["a","b"],"title":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := DecodeCreateThread(body); err != nil {
			wantCoded(t, err)
		}
	})
}

func FuzzDecodeChanges(f *testing.F) {
	f.Add([]byte(`{"ciphertext":"AA==","content_type":"text"}`))
	f.Add([]byte(`{"emoji":"👍"}`))
	f.Add([]byte(`{"message_id":"01HX9G3M2J8K4N5P7Q8R0S1TAB"}`))
	f.Add([]byte(`{"reason":"spam","note":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, edit := DecodeEdit(body)
		_, reaction := DecodeReaction(body)
		_, pin := DecodePin(body)
		_, _, report := DecodeReport(body)
		accepted := 0
		for _, err := range []error{edit, reaction, pin, report} {
			if err == nil {
				accepted++
				continue
			}
			wantCoded(t, err)
		}
		if accepted > 1 || accepted == 1 && !jsontext.Value(body).IsValid() {
			t.Fatalf("%d decoders accept %q", accepted, body)
		}
	})
}

// wantInvalid checks that err is an invalid_request whose first field is that one, or which
// names no field if field is "".
func wantInvalid(t *testing.T, err error, field string) {
	t.Helper()
	refusal, ok := errors.AsType[*chat.Error](err)
	if !ok || refusal.Code != chat.CodeInvalidRequest {
		t.Fatalf("got %v, want an invalid_request", err)
	}
	var got string
	if len(refusal.Fields) > 0 {
		got = refusal.Fields[0].Field
	}
	if got != field {
		t.Errorf("blames %.80q, want %q: %.200v", got, field, err)
	}
}

func wantCoded(t *testing.T, err error) {
	t.Helper()
	if chat.CodeOf(err) != chat.CodeInvalidRequest {
		t.Fatalf("got %v, want an invalid_request", err)
	}
}

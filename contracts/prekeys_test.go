package contracts

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/parleyhq/parley/chat"
)

const (
	onePrekey    = `{"key_id":1,"public_key":"AQ=="}`
	signedPrekey = `{"key_id":4294967295,"public_key":"Ag==","signature":"Aw=="}`
)

// upload is the body of an upload in which one member is changed or left out.
func upload(member, value string) string {
	members := []struct{ name, value string }{
		{"identity_key", `"BA=="`},
		{"signed_prekey", signedPrekey},
		{"one_time_prekeys", "[" + onePrekey + "]"},
		{"last_resort_prekey", signedPrekey},
	}
	var parts []string
	for _, m := range members {
		if m.name == member {
			m.value = value
		}
		if m.value != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", m.name, m.value))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func TestDecodePrekeyUpload(t *testing.T) {
	u, err := DecodePrekeyUpload([]byte(upload("", "")))
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case !bytes.Equal(u.Identity, []byte{4}),
		u.Signed.ID != 1<<32-1, !bytes.Equal(u.Signed.Public, []byte{2}), !bytes.Equal(u.Signed.Signature, []byte{3}),
		len(u.OneTime) != 1, u.OneTime[0].ID != 1, !bytes.Equal(u.OneTime[0].Public, []byte{1}),
		u.LastResort == nil, u.LastResort.ID != 1<<32-1, !bytes.Equal(u.LastResort.Signature, []byte{3}):
		t.Errorf("got %+v", u)
	}
	for _, absent := range []string{"", "null"} {
		u, err := DecodePrekeyUpload([]byte(upload("last_resort_prekey", absent)))
		if err != nil || u.LastResort != nil {
			t.Errorf("last resort %q: got %+v, %v", absent, u.LastResort, err)
		}
	}
	if u, err := DecodePrekeyUpload([]byte(upload("one_time_prekeys", "[]"))); err != nil || len(u.OneTime) != 0 {
		t.Errorf("no one-time keys: got %+v, %v", u.OneTime, err)
	}
}

func TestDecodePrekeyUploadRefuses(t *testing.T) {
	with := func(members string) string { return "{" + members + "}" }
	for _, tc := range []struct{ member, value, field string }{
		{"identity_key", ``, "identity_key"},
		{"identity_key", `null`, "identity_key"},
		{"identity_key", `"AQ"`, "identity_key"},
		{"identity_key", `"_w=="`, "identity_key"},
		{"identity_key", `7`, "identity_key"},
		{"signed_prekey", ``, "signed_prekey"},
		{"signed_prekey", `null`, "signed_prekey"},
		{"signed_prekey", `[]`, "signed_prekey"},
		{"signed_prekey", `{}`, "signed_prekey/key_id"},
		{"signed_prekey", onePrekey, "signed_prekey/signature"},
		{"signed_prekey", with(`"key_id":1,"signature":"AQ=="`), "signed_prekey/public_key"},
		{"signed_prekey", with(`"key_id":1,"public_key":"A","signature":"AQ=="`), "signed_prekey/public_key"},
		{"signed_prekey", with(`"key_id":1,"key_id":1`), "signed_prekey/key_id"},
		{"signed_prekey", with(`"Key_id":1`), "signed_prekey/Key_id"},
		{"last_resort_prekey", onePrekey, "last_resort_prekey/signature"},
		{"last_resort_prekey", `"AQ=="`, "last_resort_prekey"},
		{"one_time_prekeys", ``, "one_time_prekeys"},
		{"one_time_prekeys", `null`, "one_time_prekeys"},
		{"one_time_prekeys", `{}`, "one_time_prekeys"},
		{"one_time_prekeys", `[null]`, "one_time_prekeys/0/key_id"},
		{"one_time_prekeys", `[` + onePrekey + `,7]`, "one_time_prekeys/1"},
		{"one_time_prekeys", `[` + onePrekey + `,{"key_id":2}]`, "one_time_prekeys/1/public_key"},
		{"one_time_prekeys", `[` + signedPrekey + `]`, "one_time_prekeys/0/signature"},
		{"one_time_prekeys", `[{"key_id":-1,"public_key":"AQ=="}]`, "one_time_prekeys/0/key_id"},
		{"one_time_prekeys", `[{"key_id":4294967296,"public_key":"AQ=="}]`, "one_time_prekeys/0/key_id"},
		{"one_time_prekeys", `[{"key_id":1.5,"public_key":"AQ=="}]`, "one_time_prekeys/0/key_id"},
		{"one_time_prekeys", `[{"key_id":1e0,"public_key":"AQ=="}]`, "one_time_prekeys/0/key_id"},
		{"one_time_prekeys", `[{"key_id":"1","public_key":"AQ=="}]`, "one_time_prekeys/0/key_id"},
		{"one_time_prekeys", strings.Repeat("[", 100_000), "one_time_prekeys/0"},
	} {
		t.Run(tc.member+tc.value[:min(len(tc.value), 60)], func(t *testing.T) {
			_, err := DecodePrekeyUpload([]byte(upload(tc.member, tc.value)))
			wantInvalid(t, err, tc.field)
		})
	}
	_, err := DecodePrekeyUpload([]byte(strings.Replace(upload("", ""), "{", `{"device_id":"phone",`, 1)))
	wantInvalid(t, err, "device_id")
}

// A body can hold thousands of empty keys, and the answer must not list them all.
func TestDecodePrekeyUploadBlamesOneKeyOnly(t *testing.T) {
	_, err := DecodePrekeyUpload([]byte(upload("one_time_prekeys", "["+strings.Repeat("{},", 80_000)+"{}]")))
	wantInvalid(t, err, "one_time_prekeys/0/key_id")
	if p := ProblemOf(err); len(p.Errors) != 2 {
		t.Errorf("%d errors, want the two members of the first key", len(p.Errors))
	}
}

func FuzzDecodePrekeyUpload(f *testing.F) {
	f.Add([]byte(upload("", "")))
	f.Add([]byte(upload("last_resort_prekey", "")))
	f.Fuzz(func(t *testing.T, body []byte) {
		u, err := DecodePrekeyUpload(body)
		if err != nil {
			wantCoded(t, err)
			return
		}
		if !jsontext.Value(body).IsValid() || u.Identity == nil || u.Signed.Public == nil || u.Signed.Signature == nil {
			t.Fatalf("accepted %q as %+v", body, u)
		}
	})
}

func TestPrekeyJSON(t *testing.T) {
	phone := chat.PrekeyDevice{Device: "phone", Identity: []byte("i"), Left: chat.PrekeyCounts{7, 5}, UpdatedAt: sentAt}
	const status = `{"device_id":"phone","one_time_prekeys":7,"pq_one_time_prekeys":5,"updated_at":"2026-05-30T17:42:11.234Z"`
	wantJSON(t, NewPrekeyStatuses([]chat.PrekeyDevice{phone}), `{"devices":[`+status+`}]}`)
	wantJSON(t, NewPrekeysStored(chat.StoredPrekeys{PrekeyDevice: phone}), status+`,"ignored":[],"pq_ignored":[],"reset":false}`)
	wantJSON(t, NewPrekeysStored(chat.StoredPrekeys{PrekeyDevice: phone, Ignored: []uint32{1, 1<<32 - 1}, PQIgnored: []uint32{0}, Change: chat.IdentityChanged}),
		status+`,"ignored":[1,4294967295],"pq_ignored":[0],"reset":true}`)
	wantJSON(t, NewPrekeyStatuses(nil), `{"devices":[]}`)

	signed := chat.SignedPrekey{Prekey: chat.Prekey{ID: 0, Public: []byte{2}}, Signature: []byte{3}}
	wantJSON(t, NewPrekeyBundle(chat.PrekeyBundle{
		User: "bob",
		Devices: []chat.DeviceBundle{
			{Device: "phone", Identity: []byte{4}, Signed: signed, OneTime: &chat.Prekey{ID: 1<<32 - 1, Public: []byte{1}}},
			{Device: "web", Identity: []byte{5}, Signed: signed, LastResort: &signed},
			{Device: "new", Identity: []byte{6}, Signed: signed, LastResort: &signed, PQOneTime: &signed},
			{Device: "pq", Identity: []byte{7}, Signed: signed, LastResort: &signed, PQLastResort: &signed},
		},
		Unavailable: []chat.DeviceID{"old"},
	}), `{"user_id":"bob","devices":[`+
		`{"device_id":"phone","identity_key":"BA==","signed_prekey":{"key_id":0,"public_key":"Ag==","signature":"Aw=="},`+
		`"one_time_prekey":{"key_id":4294967295,"public_key":"AQ=="}},`+
		`{"device_id":"web","identity_key":"BQ==","signed_prekey":{"key_id":0,"public_key":"Ag==","signature":"Aw=="},`+
		`"one_time_prekey":{"key_id":0,"public_key":"Ag==","signature":"Aw==","last_resort":true}},`+
		`{"device_id":"new","identity_key":"Bg==","signed_prekey":{"key_id":0,"public_key":"Ag==","signature":"Aw=="},`+
		`"one_time_prekey":{"key_id":0,"public_key":"Ag==","signature":"Aw==","last_resort":true},"pq_prekey":{"key_id":0,"public_key":"Ag==","signature":"Aw=="}},`+
		`{"device_id":"pq","identity_key":"Bw==","signed_prekey":{"key_id":0,"public_key":"Ag==","signature":"Aw=="},`+
		`"one_time_prekey":{"key_id":0,"public_key":"Ag==","signature":"Aw==","last_resort":true},`+
		`"pq_prekey":{"key_id":0,"public_key":"Ag==","signature":"Aw==","last_resort":true}}],"unavailable_devices":["old"]}`)
	wantJSON(t, NewPrekeyBundle(chat.PrekeyBundle{User: "bob"}), `{"user_id":"bob","devices":[],"unavailable_devices":[]}`)
}

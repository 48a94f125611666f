package rest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

const prekeys = "/v1/users/me/prekeys"

// keys makes one-time keys with the ids from..to, each with bytes of its own.
func keys(from, to int) string {
	var list []string
	for i := from; i <= to; i++ {
		list = append(list, fmt.Sprintf(`{"key_id":%d,"public_key":"%s"}`, i, ciphertext(i%7+1)))
	}
	return strings.Join(list, ",")
}

// upload is the body of an upload with those one-time keys and more members.
func upload(oneTime, members string) string {
	return `{"identity_key":"AQ==","signed_prekey":{"key_id":7,"public_key":"Ag==","signature":"Aw=="},"one_time_prekeys":[` +
		oneTime + `]` + members + `}`
}

const lastResort = `,"last_resort_prekey":{"key_id":9,"public_key":"BA==","signature":"BQ=="}`

// put uploads the keys of a user's device.
func (w *world) put(user, device, body string) answer {
	w.t.Helper()
	return w.do(request{user: user, method: "PUT", path: prekeys, body: body, header: map[string]string{"X-Device-Id": device}})
}

func (w *world) bundle(caller, user string) contracts.PrekeyBundle {
	w.t.Helper()
	return decoded[contracts.PrekeyBundle](w.as(caller, "GET", "/v1/users/"+user+"/prekeys", "").want(200))
}

func TestPrekeysAreGivenOnce(t *testing.T) {
	w := newWorld(t)
	if got := string(w.as("bob", "GET", prekeys, "").want(200).body); got != `{"devices":[]}` {
		t.Errorf("got %s", got)
	}
	status := decoded[contracts.PrekeysStored](w.put("bob", "phone", upload(keys(1, 2), lastResort)).want(200))
	if status.DeviceID != "phone" || status.OneTime != 2 || status.UpdatedAt == "" {
		t.Errorf("got %+v", status)
	}
	w.put("bob", "web", upload(keys(1, 1), "")).want(200)

	first := w.bundle("alice", "bob")
	if first.UserID != "bob" || len(first.Devices) != 2 || len(first.Unavailable) != 0 {
		t.Fatalf("got %+v", first)
	}
	phone := first.Devices[0]
	if phone.DeviceID != "phone" || string(phone.IdentityKey) != "\x01" || phone.Signed.KeyID != 7 || string(phone.Signed.Signature) != "\x03" ||
		phone.OneTime.KeyID != 1 || phone.OneTime.LastResort || phone.OneTime.Signature != nil {
		t.Errorf("got %+v", phone)
	}
	second := w.bundle("carol", "bob")
	if len(second.Devices) != 1 || second.Devices[0].OneTime.KeyID != 2 || !slices.Equal(second.Unavailable, []string{"web"}) {
		t.Errorf("the second bundle is %+v", second)
	}
	for range 2 { // the last resort is given again and again
		last := w.bundle("alice", "bob").Devices[0].OneTime
		if last.KeyID != 9 || !last.LastResort || string(last.Signature) != "\x05" || string(last.PublicKey) != "\x04" {
			t.Errorf("the last resort is %+v", last)
		}
	}
	w.put("bob", "phone", upload(keys(2, 3), "")).want(200) // 2 was given: it is ignored; and no last resort any more
	own := decoded[contracts.PrekeyStatuses](w.as("bob", "GET", prekeys, "").want(200)).Devices
	if len(own) != 2 || own[0].OneTime != 1 || own[1].OneTime != 0 {
		t.Errorf("bob has %+v", own)
	}
	if got := w.bundle("alice", "bob").Devices[0].OneTime.KeyID; got != 3 {
		t.Errorf("key %d, want the new one", got)
	}
	w.as("alice", "GET", "/v1/users/bob/prekeys", "").refused(503, chat.CodePrekeysExhausted)
}

func TestOnlyAGetFetchesPrekeys(t *testing.T) {
	w := newWorld(t)
	w.put("bob", "phone", upload(keys(1, 1), "")).want(200)
	for _, method := range []string{"HEAD", "OPTIONS", "PUT", "POST"} {
		a := w.as("alice", method, "/v1/users/bob/prekeys", "").want(405)
		if a.header.Get("Allow") != "GET" {
			t.Errorf("%s: Allow is %q", method, a.header.Get("Allow"))
		}
	}
	w.as("bob", "HEAD", prekeys, "").want(200)
	if own := decoded[contracts.PrekeyStatuses](w.as("bob", "GET", prekeys, "").want(200)).Devices; len(own) != 1 || own[0].OneTime != 1 {
		t.Errorf("bob has %+v", own)
	}
	if got := w.bundle("bob", "bob"); len(got.Devices) != 1 { // one's own name is a user like any other
		t.Errorf("got %+v", got)
	}
	for _, nobody := range []string{"nobody", "%6De", "a%2Fb", "-x", "%00", "%zz", strings.Repeat("x", 65), "b%C3%B6b"} {
		a := w.raw("GET /v1/users/" + nobody + "/prekeys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + w.token("alice") + "\r\nConnection: close\r\n\r\n")
		a.refused(404, chat.CodeNoPrekeys)
	}
	w.do(request{token: w.scoped("bob", chat.ScopeRead), method: "PUT", path: prekeys, body: upload("", "")}).refused(403, chat.CodeMissingScope)
	w.do(request{token: w.scoped("bob", chat.ScopeWrite), method: "GET", path: prekeys}).refused(403, chat.CodeMissingScope)
	w.do(request{token: w.scoped("bob", chat.ScopeWrite), method: "GET", path: "/v1/users/bob/prekeys"}).refused(403, chat.CodeMissingScope)
}

func TestPrekeyBounds(t *testing.T) {
	w := newWorld(t)
	put := func(body string) answer { return w.put("bob", "phone", body) }
	put(upload("", "")).want(200)
	put(upload(`{"key_id":0,"public_key":"`+ciphertext(4096)+`"},{"key_id":4294967295,"public_key":"AQ=="}`, "")).want(200)
	for _, tc := range []struct{ oneTime, members, field string }{
		{`{"key_id":1,"public_key":"` + ciphertext(4097) + `"}`, "", "one_time_prekeys/0/public_key"},
		{`{"key_id":1,"public_key":""}`, "", "one_time_prekeys/0/public_key"},
		{`{"key_id":4294967296,"public_key":"AQ=="}`, "", "one_time_prekeys/0/key_id"},
		{`{"key_id":-1,"public_key":"AQ=="}`, "", "one_time_prekeys/0/key_id"},
		{keys(1, 3) + "," + keys(3, 3), "", "one_time_prekeys/3/key_id"},
		{keys(1, 101), "", "one_time_prekeys"},
		{"", `,"last_resort_prekey":{"key_id":1,"public_key":"AQ=="}`, "last_resort_prekey/signature"},
		{"", `,"last_resort_prekey":{"key_id":1,"public_key":"AQ==","signature":""}`, "last_resort_prekey/signature"},
		{"", `,"device_id":"web"`, "device_id"},
	} {
		put(upload(tc.oneTime, tc.members)).invalid(tc.field)
	}
	put(strings.Replace(upload("", ""), `"AQ=="`, `"`+ciphertext(4097)+`"`, 1)).invalid("identity_key")
	put(strings.Replace(upload("", ""), `"Ag=="`, `""`, 1)).invalid("signed_prekey/public_key")
	put(strings.Replace(upload("", ""), `"Aw=="`, `"`+ciphertext(4097)+`"`, 1)).invalid("signed_prekey/signature")
	put(strings.Replace(upload("", ""), `"AQ=="`, `"`+ciphertext(4096)+`"`, 1)).want(200)
}

func TestADeviceStoresAThousandKeys(t *testing.T) {
	w := newWorld(t)
	for i := range 10 {
		w.put("bob", "phone", upload(keys(100*i+1, 100*i+100), "")).want(200)
	}
	w.put("bob", "phone", upload(keys(1001, 1001), "")).invalid("one_time_prekeys")
	if got := decoded[contracts.PrekeysStored](w.put("bob", "phone", upload(keys(1000, 1000), "")).want(200)); got.OneTime != 1000 {
		t.Errorf("replacing one made %d", got.OneTime)
	}
	w.bundle("alice", "bob")
	w.put("bob", "phone", upload(keys(1001, 1001), "")).want(200)
}

func TestAUserHasKeysOfSixteenDevices(t *testing.T) {
	w := newWorld(t)
	for i := range 16 {
		w.put("bob", fmt.Sprint("d", i), upload(keys(1, 1), "")).want(200)
	}
	w.put("bob", "one-more", upload(keys(1, 1), "")).refused(409, chat.CodeTooManyDevices)
	w.put("bob", "d0", upload(keys(2, 2), "")).want(200)
	w.put("alice", "one-more", upload(keys(1, 1), "")).want(200)
	if got := w.bundle("alice", "bob"); len(got.Devices) != 16 {
		t.Errorf("%d devices", len(got.Devices))
	}
}

func TestPrekeysCannotBeDrained(t *testing.T) {
	w := newWorldWithin(t, chat.Limits{PrekeyFetches: 8, PrekeyFetchesOf: 6})
	w.advance(0)
	w.put("bob", "phone", upload(keys(1, 100), "")).want(200)
	w.put("carol", "phone", upload(keys(1, 100), "")).want(200)
	fetch := func(caller, user string) answer { return w.as(caller, "GET", "/v1/users/"+user+"/prekeys", "") }
	for range 6 {
		fetch("mallory", "bob").want(200)
	}
	fetch("mallory", "bob").refused(429, chat.CodeRateLimited)
	fetch("mallory", "carol").want(200)
	fetch("mallory", "carol").refused(429, chat.CodeRateLimited) // by its own sum
	fetch("alice", "bob").want(200)
	if own := decoded[contracts.PrekeyStatuses](w.as("bob", "GET", prekeys, "").want(200)).Devices; own[0].OneTime != 93 {
		t.Errorf("bob has %d keys, want 93", own[0].OneTime)
	}
	w.advance(time.Minute) // all eight of a minute, none of the six in ten
	fetch("mallory", "carol").want(200)
	fetch("mallory", "bob").refused(429, chat.CodeRateLimited)
	w.advance(9 * time.Minute)
	fetch("mallory", "bob").want(200)
}

// scoped makes a token of a user with only these scopes.
func (w *world) scoped(user string, scopes ...chat.Scope) string {
	w.t.Helper()
	return mint(w.t, auth.Claims{User: chat.UserID(user), Scopes: scopes})
}

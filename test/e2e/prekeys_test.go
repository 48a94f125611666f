package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"
)

func TestPrekeyBundles(t *testing.T) {
	s := startServer(t)
	phone, laptop := s.device(t, "bob", "phone"), s.device(t, "bob", "laptop")
	ann := s.device(t, "ann", "a")
	ann.refused(t, 404, "no_prekeys", http.MethodGet, "/v1/users/bob/prekeys", nil)
	if left := phone.counts(t); len(left) != 0 {
		t.Errorf("before any upload: %v", left)
	}
	if c := phone.upload(t, phone.keysFrom(10, 2)); c.OneTimePrekeys != 2 {
		t.Errorf("after 2 keys: %+v", c)
	}
	laptop.upload(t, laptop.keysFrom(10, 1))
	if left := laptop.counts(t); left["phone"] != 2 || left["laptop"] != 1 || len(left) != 2 {
		t.Errorf("the counts are %v", left)
	}

	// The first fetch has a key of each device, the second one only the phone's other key.
	b := ann.fetch(t, "bob")
	if len(b.Devices) != 2 || len(b.UnavailableDevices) != 0 {
		t.Fatalf("the bundle is %+v", b)
	}
	given := map[uint32]bool{}
	for _, d := range b.Devices {
		of := map[string]*device{"phone": phone, "laptop": laptop}[d.DeviceID]
		want := of.keysFrom(d.OneTimePrekey.KeyID, 1)
		if asJSON(t, d.OneTimePrekey) != asJSON(t, want.OneTimePrekeys[0]) || !bytes.Equal(d.IdentityKey, want.IdentityKey) || asJSON(t, d.SignedPrekey) != asJSON(t, want.SignedPrekey) {
			t.Errorf("%s gives %+v, want %+v", d.DeviceID, d, want)
		}
		if d.DeviceID == "phone" {
			given[d.OneTimePrekey.KeyID] = true
		}
	}
	b = ann.fetch(t, "bob")
	if len(b.Devices) != 1 || b.Devices[0].DeviceID != "phone" || !slices.Equal(b.UnavailableDevices, []string{"laptop"}) {
		t.Fatalf("with the laptop out of keys the bundle is %+v", b)
	}
	if id := b.Devices[0].OneTimePrekey.KeyID; given[id] || id < 10 || id > 11 {
		t.Errorf("the phone's second key is %d, given were %v", id, given)
	}
	ann.refused(t, 503, "prekeys_exhausted", http.MethodGet, "/v1/users/bob/prekeys", nil)

	// The last-resort key may be given more than once.
	laptop.upload(t, laptop.keysFrom(0, 0).withLastResort(77))
	for range 2 {
		b = ann.fetch(t, "bob")
		if len(b.Devices) != 1 || !slices.Equal(b.UnavailableDevices, []string{"phone"}) {
			t.Fatalf("with a last resort the bundle is %+v", b)
		}
		if k := b.Devices[0].OneTimePrekey; !k.LastResort || k.KeyID != 77 || string(k.PublicKey) != "last resort" || len(k.Signature) == 0 {
			t.Errorf("the last resort is %+v", k)
		}
	}
}

// An upload adds its one-time keys. One whose id is stored already replaces that, and one
// whose id was handed out is ignored. All other keys replace those of the last upload.
func TestPrekeyUploads(t *testing.T) {
	s := startServer(t)
	bob, ann := s.device(t, "bob", "b"), s.device(t, "ann", "a")
	bob.upload(t, bob.keysFrom(1, 3).withLastResort(9))
	first := ann.fetch(t, "bob").Devices[0].OneTimePrekey
	if c := bob.upload(t, bob.keysFrom(1, 4)); c.OneTimePrekeys != 3 {
		t.Errorf("3 keys, one given, then the 3 again and a fourth: %+v", c)
	}
	// The other keys are replaced: that upload had no last-resort key, so there is none now.
	next := bob.keysFrom(2, 0)
	next.SignedPrekey.KeyID = 1<<32 - 1
	again := prekey{KeyID: 4, PublicKey: []byte("another fourth")}
	if first.KeyID == 4 {
		again.KeyID = 3
	}
	next.OneTimePrekeys = []prekey{again}
	if c := bob.upload(t, next); c.OneTimePrekeys != 3 {
		t.Errorf("after a key was replaced: %+v", c)
	}
	seen := map[uint32]bool{first.KeyID: true}
	for range 3 {
		d := ann.fetch(t, "bob").Devices[0]
		k := d.OneTimePrekey
		if seen[k.KeyID] || d.SignedPrekey.KeyID != 1<<32-1 {
			t.Errorf("given is %+v, before were %v", d, seen)
		}
		if k.KeyID == again.KeyID && string(k.PublicKey) != "another fourth" {
			t.Errorf("the replaced key is given as %q", k.PublicKey)
		}
		seen[k.KeyID] = true
	}
	ann.refused(t, 503, "prekeys_exhausted", http.MethodGet, "/v1/users/bob/prekeys", nil)
	if c := bob.upload(t, bob.keysFrom(1, 4)); c.OneTimePrekeys != 0 {
		t.Errorf("all four were handed out, and after their upload there are %+v", c)
	}
	s.stop(t)
	s.start(t) // the server still knows which keys were handed out
	if c := bob.upload(t, bob.keysFrom(1, 5)); c.OneTimePrekeys != 1 {
		t.Errorf("after a restart the handed out ones count again: %+v", c)
	}
}

// A device that was installed anew uploads another identity: nobody is given a key of the
// installation before, nor is an id ignored that only that one has used.
func TestANewInstallationDropsTheKeysBefore(t *testing.T) {
	s := startServer(t)
	bob, ann := s.device(t, "bob", "b"), s.device(t, "ann", "a")
	old := bob.keysFrom(1, 3).withLastResort(9)
	old.PQOneTimePrekeys = []prekey{{KeyID: 1, PublicKey: []byte("pq"), Signature: []byte("s")}}
	old.PQLastResortPrekey = &prekey{KeyID: 2, PublicKey: []byte("pq last"), Signature: []byte("s")}
	if c := bob.upload(t, old); c.Reset || c.PQOneTimePrekeys != 1 || len(c.Ignored)+len(c.PQIgnored) != 0 {
		t.Errorf("the first upload: %+v", c)
	}
	if d := ann.fetch(t, "bob").Devices[0]; d.PQPrekey == nil || d.PQPrekey.KeyID != 1 || d.PQPrekey.LastResort || len(d.PQPrekey.Signature) == 0 {
		t.Errorf("the first bundle has the PQ key %+v", d.PQPrekey)
	}
	if c := bob.upload(t, old); c.Reset || !slices.Equal(c.Ignored, []uint32{1}) || !slices.Equal(c.PQIgnored, []uint32{1}) || c.OneTimePrekeys != 2 || c.PQOneTimePrekeys != 0 {
		t.Errorf("the same again: %+v", c)
	}
	if d := ann.fetch(t, "bob").Devices[0]; d.PQPrekey == nil || d.PQPrekey.KeyID != 2 || !d.PQPrekey.LastResort {
		t.Errorf("the second bundle has the PQ key %+v", d.PQPrekey)
	}
	next := bob.keysFrom(1, 1)
	next.IdentityKey = []byte("another identity")
	if c := bob.upload(t, next); !c.Reset || len(c.Ignored) != 0 || c.OneTimePrekeys != 1 || c.PQOneTimePrekeys != 0 {
		t.Errorf("the new installation: %+v", c)
	}
	d := ann.fetch(t, "bob").Devices[0]
	if string(d.IdentityKey) != "another identity" || d.OneTimePrekey.KeyID != 1 || d.PQPrekey != nil {
		t.Errorf("then given is %+v", d)
	}
	ann.refused(t, 503, "prekeys_exhausted", http.MethodGet, "/v1/users/bob/prekeys", nil) // the last resort is gone, too
	next.PQOneTimePrekeys = old.PQOneTimePrekeys
	bob.refused(t, 400, "invalid_request", http.MethodPut, "/v1/users/me/prekeys", next)
}

func TestRefusedPrekeyUploads(t *testing.T) {
	s := startServer(t)
	bob := s.device(t, "bob", "b")
	const path = "/v1/users/me/prekeys"
	change := func(f func(k *keys)) keys {
		k := bob.keysFrom(1, 2)
		f(&k)
		return k
	}
	large := make([]byte, 4<<10+1)
	for what, body := range map[string]any{
		"no identity key":      change(func(k *keys) { k.IdentityKey = nil }),
		"empty signed prekey":  change(func(k *keys) { k.SignedPrekey.PublicKey = []byte{} }),
		"no signature":         change(func(k *keys) { k.SignedPrekey.Signature = nil }),
		"a key over 4 KiB":     change(func(k *keys) { k.OneTimePrekeys[1].PublicKey = large }),
		"an identity over it":  change(func(k *keys) { k.IdentityKey = large }),
		"a key id twice":       change(func(k *keys) { k.OneTimePrekeys[1].KeyID = 1 }),
		"101 one-time keys":    bob.keysFrom(1, 101),
		"a key id over 32 bit": verbatim(`{"identity_key":"eA==","signed_prekey":{"key_id":4294967296,"public_key":"eA==","signature":"eA=="},"one_time_prekeys":[]}`),
		"a negative key id":    verbatim(`{"identity_key":"eA==","signed_prekey":{"key_id":1,"public_key":"eA==","signature":"eA=="},"one_time_prekeys":[{"key_id":-1,"public_key":"eA=="}]}`),
		"no base64":            verbatim(`{"identity_key":"?","signed_prekey":{"key_id":1,"public_key":"eA==","signature":"eA=="},"one_time_prekeys":[]}`),
		"no one-time keys":     verbatim(`{"identity_key":"eA==","signed_prekey":{"key_id":1,"public_key":"eA==","signature":"eA=="}}`),
		"an unknown field":     verbatim(`{"identity_key":"eA==","signed_prekey":{"key_id":1,"public_key":"eA==","signature":"eA=="},"one_time_prekeys":[],"x":1}`),
	} {
		t.Log(what)
		bob.refused(t, 400, "invalid_request", http.MethodPut, path, body)
	}
	if left := bob.counts(t); len(left) != 0 {
		t.Errorf("refused uploads left %v", left)
	}

	// At most 1,000 keys are stored. An upload beyond that stores none of its keys.
	for i := range 10 {
		bob.upload(t, bob.keysFrom(uint32(1+100*i), 100))
	}
	bob.refused(t, 400, "invalid_request", http.MethodPut, path, bob.keysFrom(1000, 2))
	if c := bob.upload(t, bob.keysFrom(901, 100)); c.OneTimePrekeys != 1000 {
		t.Errorf("replacing 100 of 1,000 keys: %+v", c)
	}

	// A user may have keys of 16 devices.
	for i := range 16 {
		d := s.device(t, "cid", fmt.Sprint("device-", i))
		d.upload(t, d.keysFrom(1, 1))
	}
	extra := s.device(t, "cid", "one-more")
	extra.refused(t, 409, "too_many_devices", http.MethodPut, path, extra.keysFrom(1, 1))
	first := s.device(t, "cid", "device-0")
	if c := first.upload(t, first.keysFrom(2, 1)); c.OneTimePrekeys != 2 {
		t.Errorf("a device that has keys uploads more: %+v", c)
	}
}

// Fetches are limited for each caller, and for each caller and user. A refused fetch uses
// no key up.
func TestPrekeyRates(t *testing.T) {
	s := startServer(t)
	const targets = 14
	var bob *device
	for i := range targets {
		bob = s.device(t, fmt.Sprint("target-", i), "d")
		bob.upload(t, bob.keysFrom(1, 20))
	}
	ann, cid := s.device(t, "ann", "a"), s.device(t, "cid", "c")
	for range 6 {
		ann.fetch(t, bob.user)
	}
	ann.refused(t, 429, "rate_limited", http.MethodGet, "/v1/users/"+bob.user+"/prekeys", nil)
	s.device(t, "ann", "another").refused(t, 429, "rate_limited", http.MethodGet, "/v1/users/"+bob.user+"/prekeys", nil)
	if left := bob.counts(t)["d"]; left != 14 {
		t.Errorf("after 6 fetches and 2 refusals %d of 20 keys are left", left)
	}
	cid.fetch(t, bob.user) // other callers are not limited by that

	// 60 in any minute.
	started, fetched := time.Now(), 0
	dora := s.device(t, "dora", "d")
	for i := range 6 * targets {
		a, err := dora.call(t.Context(), http.MethodGet, fmt.Sprintf("/v1/users/target-%d/prekeys", i/6), nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.status == http.StatusTooManyRequests {
			if a.header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
			break
		}
		fetched++
	}
	if took := time.Since(started); took < time.Minute && fetched != 60 {
		t.Errorf("one caller could fetch %d times in %v, want 60", fetched, time.Since(started))
	}
}

// Only GET uses a key up.
func TestHEADOfPrekeysIsNoFetch(t *testing.T) {
	s := startServer(t)
	bob, ann := s.device(t, "bob", "b"), s.device(t, "ann", "a")
	bob.upload(t, bob.keysFrom(1, 5))
	ann.bulk = true // no document describes it
	for range 10 {
		a := ann.must(t, http.StatusMethodNotAllowed, http.MethodHead, "/v1/users/bob/prekeys", nil)
		if a.header.Get("Allow") != "GET" {
			t.Errorf("405 with Allow %q", a.header.Get("Allow"))
		}
	}
	if left := bob.counts(t)["b"]; left != 5 {
		t.Errorf("after 10 HEADs %d of 5 keys are left", left)
	}
	ann.fetch(t, "bob") // and they did not count as fetches
}

// A device that has fewer than ten keys left is told, and no other device.
func TestPrekeysLow(t *testing.T) {
	s := startServer(t)
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			ann, bob, namesake := s.device(t, "ann-"+p.name, "a"), s.device(t, "bob-"+p.name, "phone"), s.device(t, "cid-"+p.name, "phone")
			laptop := s.device(t, bob.user, "laptop")
			bob.upload(t, bob.keysFrom(1, 11))
			laptop.upload(t, laptop.keysFrom(1, 50))
			group := ann.createGroup(t, bob.user, namesake.user)
			low := p.live(t, bob, options{})
			others := []*client{p.live(t, laptop, options{}), p.live(t, namesake, options{}), p.live(t, ann, options{})}
			ann.fetch(t, bob.user) // ten are left
			ann.fetch(t, bob.user)
			if f := low.untilType(t, "prekeys_low"); f.OneTimePrekeys != 9 {
				t.Errorf("the first warning is %s, want it at 9", f.raw)
			}
			marker := s.device(t, bob.user, "tablet").send(t, group.ID, "marker")
			for _, line := range others {
				line.untilMessage(t, marker.ID)
				if line.has(func(f frame) bool { return f.T == "prekeys_low" }) {
					t.Errorf("somebody else is told: %v", line.all())
				}
			}
		})
	}
}

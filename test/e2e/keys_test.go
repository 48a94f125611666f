package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
)

// prekey is a public key, signed or for one use.
type prekey struct {
	KeyID      uint32 `json:"key_id"`
	PublicKey  []byte `json:"public_key"`
	Signature  []byte `json:"signature,omitempty"`
	LastResort bool   `json:"last_resort,omitempty"`
}

// keys are what a device uploads.
type keys struct {
	IdentityKey      []byte   `json:"identity_key"`
	SignedPrekey     prekey   `json:"signed_prekey"`
	OneTimePrekeys   []prekey `json:"one_time_prekeys"`
	LastResortPrekey *prekey  `json:"last_resort_prekey,omitempty"`

	PQOneTimePrekeys   []prekey `json:"pq_one_time_prekeys,omitempty"`
	PQLastResortPrekey *prekey  `json:"pq_last_resort_prekey,omitempty"`
}

// bundle is what a fetch of a user's keys gives.
type bundle struct {
	UserID  string `json:"user_id"`
	Devices []struct {
		DeviceID      string `json:"device_id"`
		IdentityKey   []byte `json:"identity_key"`
		SignedPrekey  prekey `json:"signed_prekey"`
		OneTimePrekey prekey `json:"one_time_prekey"`

		PQPrekey *prekey `json:"pq_prekey"`
	} `json:"devices"`
	UnavailableDevices []string `json:"unavailable_devices"`
}

// prekeyCount is how many one-time keys a device has left.
type prekeyCount struct {
	DeviceID       string `json:"device_id"`
	OneTimePrekeys int    `json:"one_time_prekeys"`
	UpdatedAt      string `json:"updated_at"`

	PQOneTimePrekeys int      `json:"pq_one_time_prekeys"`
	Ignored          []uint32 `json:"ignored"` // this and the rest only as the answer to an upload
	PQIgnored        []uint32 `json:"pq_ignored"`
	Reset            bool     `json:"reset"`
}

// keysFrom makes keys of a device, with n one-time keys whose ids begin with first. The
// content of each names its device.
func (d *device) keysFrom(first uint32, n int) keys {
	content := func(kind string, id uint32) []byte { return fmt.Appendf(nil, "%s/%s/%s/%d", d.user, d.id, kind, id) }
	k := keys{
		IdentityKey:    content("identity", 0),
		SignedPrekey:   prekey{KeyID: 1, PublicKey: content("signed", 1), Signature: []byte("signature")},
		OneTimePrekeys: []prekey{},
	}
	for id := first; id < first+uint32(n); id++ {
		k.OneTimePrekeys = append(k.OneTimePrekeys, prekey{KeyID: id, PublicKey: content("once", id)})
	}
	return k
}

// withLastResort adds the key that is given when no one-time key is left.
func (k keys) withLastResort(id uint32) keys {
	k.LastResortPrekey = &prekey{KeyID: id, PublicKey: []byte("last resort"), Signature: []byte("signature")}
	return k
}

func (d *device) upload(t testing.TB, k keys) prekeyCount {
	t.Helper()
	var c prekeyCount
	d.must(t, http.StatusOK, http.MethodPut, "/v1/users/me/prekeys", k).into(t, &c)
	if c.DeviceID != d.id {
		t.Errorf("the upload of %s is answered for %s", d.id, c.DeviceID)
	}
	return c
}

// counts are the one-time keys left by device.
func (d *device) counts(t testing.TB) map[string]int {
	t.Helper()
	var page struct {
		Devices []prekeyCount `json:"devices"`
	}
	d.must(t, http.StatusOK, http.MethodGet, "/v1/users/me/prekeys", nil).into(t, &page)
	left := map[string]int{}
	for _, c := range page.Devices {
		instant(t, c.UpdatedAt)
		left[c.DeviceID] = c.OneTimePrekeys
	}
	return left
}

// fetch fetches a user's bundle, which has to be there.
func (d *device) fetch(t testing.TB, user string) bundle {
	t.Helper()
	var b bundle
	d.must(t, http.StatusOK, http.MethodGet, "/v1/users/"+user+"/prekeys", nil).into(t, &b)
	if b.UserID != user {
		t.Errorf("the bundle of %s is of %s", user, b.UserID)
	}
	return b
}

// tryFetch is fetch of a user with one device; given is nil if none was left.
func (d *device) tryFetch(ctx context.Context, user string) (given *prekey, err error) {
	a, err := d.call(ctx, http.MethodGet, "/v1/users/"+user+"/prekeys", nil)
	if err != nil {
		return nil, err
	}
	switch a.status {
	case http.StatusOK:
		var b bundle
		if err := json.Unmarshal(a.body, &b); err != nil {
			return nil, err
		}
		if len(b.Devices) != 1 {
			return nil, fmt.Errorf("%w: the bundle has %d devices: %s", errRefused, len(b.Devices), a.body)
		}
		return &b.Devices[0].OneTimePrekey, nil
	case http.StatusServiceUnavailable:
		var problem struct{ Code string }
		if err := json.Unmarshal(a.body, &problem); err != nil {
			return nil, err
		}
		if problem.Code == "prekeys_exhausted" && a.header.Get("Retry-After") != "" {
			return nil, nil
		}
	}
	return nil, fmt.Errorf("%w: %d %s (Retry-After %q)", errRefused, a.status, a.body, a.header.Get("Retry-After"))
}

package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// ownDevice is one of the caller's devices.
type ownDevice struct {
	DeviceID    string `json:"device_id"`
	FirstSeenAt string `json:"first_seen_at"`
	LastSeenAt  string `json:"last_seen_at"`
	Connected   bool   `json:"connected"`
	IdentityKey []byte `json:"identity_key"`
	OneTime     *int   `json:"one_time_prekeys"`
}

// devices are the caller's, by id.
func (d *device) devices(t testing.TB) map[string]ownDevice {
	t.Helper()
	var page struct {
		Devices []ownDevice `json:"devices"`
	}
	d.must(t, http.StatusOK, http.MethodGet, "/v1/users/me/devices", nil).into(t, &page)
	devices := make(map[string]ownDevice)
	for _, o := range page.Devices {
		instant(t, o.FirstSeenAt)
		instant(t, o.LastSeenAt)
		devices[o.DeviceID] = o
	}
	return devices
}

// A device that its user removes loses its connections, at whichever node, and tokens that
// were issued before are refused everywhere. A newer one brings it back as a new device.
func TestRemovedDevices(t *testing.T) {
	s := startServer(t)
	checkRemovedDevices(t, s, s)
}

func TestRemovedDevicesAtAnotherNode(t *testing.T) {
	one, two := twoNodes(t)
	checkRemovedDevices(t, one, two)
}

func checkRemovedDevices(t *testing.T, here, there *server) {
	ends := map[string]int{jsonProtocol.name: 4403, mqtt5TCP.name: 0x98, mqtt311TCP.name: 0}
	refusals := map[string]int{jsonProtocol.name: 401, mqtt5TCP.name: 0x86, mqtt311TCP.name: 5}
	ann, bob := here.device(t, "ann", "a"), here.device(t, "bob", "main")
	th := ann.createGroup(t, "bob")
	bob.accept(t, th.ID)
	watcher := jsonProtocol.live(t, ann, options{})
	own := mqtt5TCP.live(t, bob, options{})
	for i, p := range oneOfEach {
		id := fmt.Sprintf("device-%d", i)
		d := there.device(t, "bob", id)
		c := p.live(t, d, options{keep: true})
		d.upload(t, d.keysFrom(1, 3))
		isOf := func(change string) func(frame) bool {
			return func(f frame) bool {
				return f.T == "devices" && f.UserID == "bob" && f.DeviceID == id && f.Change == change && f.At != ""
			}
		}
		watcher.until(t, "a device was added", isOf("added"))
		own.until(t, "a device was added", isOf("added"))
		eventually(t, "the device is listed as connected", func() bool { return bob.devices(t)[id].Connected })
		if o := bob.devices(t)[id]; o.OneTime == nil || *o.OneTime != 3 || len(o.IdentityKey) == 0 {
			t.Errorf("%s is listed as %+v", id, o)
		}
		bob.must(t, http.StatusNoContent, http.MethodDelete, "/v1/users/me/devices/"+id, nil)
		c.awaitEnd(t, ends[p.name])
		watcher.until(t, "a device was removed", isOf("removed"))
		own.until(t, "a device was removed", isOf("removed"))
		if _, listed := bob.devices(t)[id]; listed {
			t.Errorf("%s is still listed", id)
		}
		bob.refused(t, 404, "device_not_found", http.MethodDelete, "/v1/users/me/devices/"+id, nil)

		older := d.withClaims(t, func(c jwt.MapClaims) { c["iat"] = time.Now().Add(-time.Minute).Unix() })
		for _, old := range []*device{d, older} {
			eventually(t, "REST refuses an older token", func() bool {
				a, err := old.call(t.Context(), http.MethodGet, "/v1/threads", nil)
				return err == nil && a.status == 401
			})
			old.refused(t, 401, "device_removed", http.MethodGet, "/v1/threads", nil)
			if _, err := p.connect(old, options{}); refusedWith(err) != refusals[p.name] {
				t.Errorf("%s with an older token: %v, want %#x", p.name, err, refusals[p.name])
			}
		}
		newer := d.withClaims(t, func(c jwt.MapClaims) { c["iat"] = time.Now().Add(5 * time.Second).Unix() })
		p.live(t, newer, options{}).close()
		if o := newer.devices(t)[id]; o.DeviceID != id || o.OneTime != nil {
			t.Errorf("it comes back as %+v", o)
		}
	}
	var v thread
	ann.must(t, http.StatusOK, http.MethodGet, "/v1/threads/"+th.ID, nil).into(t, &v)
	for _, p := range v.Participants {
		if (p.DevicesAt != nil) != (p.UserID == "bob") {
			t.Errorf("%s's devices changed at %v", p.UserID, p.DevicesAt)
		}
	}
	bob.must(t, http.StatusNoContent, http.MethodDelete, "/v1/users/me/devices/main", nil) // the caller's own
	own.awaitEnd(t, 0x98)
}

// Keys of a group at once: of everybody who has some, and limited.
func TestKeysForAGroup(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	th := ann.createGroup(t, "bob", "cyd", "dan")
	for _, d := range []*device{ann, s.device(t, "ann", "web"), s.device(t, "bob", "b"), s.device(t, "bob", "c"), s.device(t, "cyd", "c")} {
		d.upload(t, d.keysFrom(1, 9))
	}
	path := "/v1/threads/" + th.ID + "/prekeys"
	type group struct {
		Bundles     []bundle `json:"bundles"`
		Unavailable []string `json:"unavailable"`
		Remaining   []string `json:"remaining"`
	}
	for call := range 6 {
		var g group
		ann.must(t, http.StatusOK, http.MethodPost, path, map[string]any{}).into(t, &g)
		var given []string
		for _, b := range g.Bundles {
			for _, d := range b.Devices {
				given = append(given, b.UserID+"/"+d.DeviceID)
				if d.OneTimePrekey.KeyID != uint32(call+1) {
					t.Errorf("call %d gives key %d of %s", call, d.OneTimePrekey.KeyID, d.DeviceID)
				}
			}
		}
		if got := fmt.Sprint(given, g.Unavailable, g.Remaining); got != "[ann/web bob/b bob/c cyd/c] [dan] []" {
			t.Errorf("call %d gives %s", call, got)
		}
	}
	ann.refused(t, 429, "rate_limited", http.MethodPost, path, map[string]any{"user_ids": []string{"bob"}})
	ann.refused(t, 400, "invalid_request", http.MethodPost, path, map[string]any{"user_ids": []string{"b ob"}})
	s.device(t, "eve", "e").refused(t, 403, "not_a_participant", http.MethodPost, path, map[string]any{})
	var g group
	s.device(t, "cyd", "c").must(t, http.StatusOK, http.MethodPost, path, map[string]any{"user_ids": []string{"bob", "eve", "dan"}}).into(t, &g)
	if len(g.Bundles) != 1 || len(g.Bundles[0].Devices) != 2 || fmt.Sprint(g.Unavailable) != "[eve dan]" {
		t.Errorf("of some: %+v", g)
	}

	var listed struct {
		Devices []struct {
			DeviceID   string `json:"device_id"`
			IdentityAt string `json:"identity_at"`
		} `json:"devices"`
	}
	ann.must(t, http.StatusOK, http.MethodGet, "/v1/users/bob/devices", nil).into(t, &listed)
	if len(listed.Devices) != 2 || listed.Devices[0].DeviceID != "b" {
		t.Errorf("bob's devices are %+v", listed)
	}
	instant(t, listed.Devices[0].IdentityAt)
	ann.refused(t, 404, "no_prekeys", http.MethodGet, "/v1/users/dan/devices", nil)
	ann.refused(t, 403, "no_shared_thread", http.MethodGet, "/v1/users/eve/devices", nil)
}

package model

import (
	"fmt"
	"maps"
	"slices"

	"github.com/parleyhq/parley/chat"
)

// upload stores some one-time keys, with ids that come again.
func (p *player) upload(w wish) {
	c := p.caller(w)
	u := chat.PrekeyUpload{Identity: fmt.Appendf(nil, "identity %d", p.played)}
	u.Signed = chat.SignedPrekey{Prekey: chat.Prekey{ID: 1, Public: []byte("signed")}, Signature: []byte("signature")}
	if w.b%3 == 0 {
		u.LastResort = &u.Signed
	}
	for i := range w.a % 15 {
		id := uint32(w.message%20 + i)
		u.OneTime = append(u.OneTime, chat.Prekey{ID: id, Public: fmt.Appendf(nil, "key %d of %d", id, p.played)})
	}
	code := chat.Code("")
	if w.a%40 == 39 {
		u.OneTime = append(u.OneTime, u.OneTime[0])
		code = chat.CodeInvalidRequest
	}
	p.say("%s on %s uploads %d prekeys from %d on, a last resort: %v: %q", c.User, c.Device, len(u.OneTime), w.message%20, u.LastResort != nil, code)
	got, err := p.node(w).UploadPrekeys(p.ctx(), c, u)
	if !p.answered(err, code) {
		return
	}
	devices := p.devices[c.User]
	if devices == nil {
		devices = make(map[chat.DeviceID]*specDevice)
		p.devices[c.User] = devices
	}
	d := devices[c.Device]
	if d == nil {
		d = &specDevice{oneTime: make(map[uint32]string), taken: make(map[uint32]bool)}
		devices[c.Device] = d
	}
	d.upload, d.upload.At = u, p.now()
	for _, k := range u.OneTime {
		if !d.taken[k.ID] {
			d.oneTime[k.ID] = string(k.Public)
		}
	}
	p.sameDevice("the device after its upload", got, c.Device, d)
	p.samePrekeys(c.User)
}

func (p *player) fetch(w wish) {
	c, user := p.caller(w), actors[w.other]
	devices := p.devices[user]
	var given []string
	var unavailable []chat.DeviceID
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		d := devices[name]
		keys := slices.Sorted(maps.Keys(d.oneTime))
		switch {
		case len(keys) > 0:
			given = append(given, fmt.Sprintf("%s %s %s", name, d.upload.Identity, d.oneTime[keys[0]]))
			delete(d.oneTime, keys[0])
			d.taken[keys[0]] = true
		case d.upload.LastResort != nil:
			given = append(given, fmt.Sprintf("%s %s last resort", name, d.upload.Identity))
		default:
			unavailable = append(unavailable, name)
		}
		if len(d.oneTime) < 10 {
			p.expectLow(user, name, len(d.oneTime))
		}
	}
	code := firstOf(when(len(devices) == 0, chat.CodeNoPrekeys), when(len(given) == 0, chat.CodePrekeysExhausted))
	p.say("%s fetches the prekeys of %s: %q", c.User, user, code)
	got, err := p.node(w).FetchPrekeys(p.ctx(), c, user)
	if p.answered(err, code) {
		specSame(p, "the answer", "keys given", fmt.Sprint(givenKeys(got)), fmt.Sprint(given))
		specSame(p, "the answer", "unavailable", fmt.Sprint(got.Unavailable), fmt.Sprint(unavailable))
	}
	p.settle()
	p.samePrekeys(user)
}

func givenKeys(b chat.PrekeyBundle) (given []string) {
	for _, d := range b.Devices {
		key := "last resort"
		if d.OneTime != nil {
			key = string(d.OneTime.Public)
		}
		if (d.OneTime == nil) == (d.LastResort == nil) {
			key = "both or neither"
		}
		given = append(given, fmt.Sprintf("%s %s %s", d.Device, d.Identity, key))
	}
	return given
}

func (p *player) sameDevice(what string, got chat.PrekeyDevice, name chat.DeviceID, d *specDevice) {
	specSame(p, what, "name", got.Device, name)
	specSame(p, what, "identity", string(got.Identity), string(d.upload.Identity))
	specSame(p, what, "one-time keys", got.OneTime, len(d.oneTime))
	specSame(p, what, "last resort", got.LastResort != nil, d.upload.LastResort != nil)
	specSame(p, what, "updated at", got.UpdatedAt.UnixMilli(), d.upload.At.UnixMilli())
}

func (p *player) samePrekeys(u chat.UserID) {
	got, err := p.nodes[0].OwnPrekeys(p.ctx(), reader(u))
	p.answered(err, "")
	names := slices.Sorted(maps.Keys(p.devices[u]))
	specSame(p, "the answer", "devices with prekeys", len(got), len(names))
	for i, name := range names {
		p.sameDevice("a device with prekeys", got[i], name, p.devices[u][name])
	}
}

package model

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
)

// upload uploads prekeys of a device. Ids of one-time keys repeat.
func (r *runner) upload(op operation) {
	if op.a%13 == 12 {
		r.removeDevice(op)
		return
	}
	c := r.caller(op)
	u := chat.PrekeyUpload{Identity: fmt.Appendf(nil, "identity %d", op.message/20%8/7)} // seldom another
	u.Signed = chat.SignedPrekey{Prekey: chat.Prekey{ID: 1, Public: []byte("signed")}, Signature: []byte("signature")}
	if op.b%3 == 0 {
		u.LastResort = &u.Signed
	}
	for i := range op.a % 15 {
		id := uint32(op.message%20 + i)
		u.OneTime = append(u.OneTime, chat.Prekey{ID: id, Public: fmt.Appendf(nil, "key %d of %d", id, r.done)})
	}
	code := chat.Code("")
	if op.a%40 == 39 {
		u.OneTime = append(u.OneTime, u.OneTime[0])
		code = chat.CodeInvalidRequest
	}
	r.tracef("%s on %s uploads %d prekeys from %d on, a last resort: %v: %q", c.User, c.Device, len(u.OneTime), op.message%20, u.LastResort != nil, code)
	got, err := r.node(op).UploadPrekeys(r.ctx(), c, u)
	if !r.checkError(err, code) {
		return
	}
	devices := r.devices[c.User]
	if devices == nil {
		devices = make(map[chat.DeviceID]*device)
		r.devices[c.User] = devices
	}
	d := devices[c.Device]
	if d == nil {
		d = &device{oneTime: make(map[uint32]string), taken: make(map[uint32]bool)}
		devices[c.Device] = d
	}
	switch {
	case d.upload.Identity == nil:
		r.expectNews(op, c.User, c.Device, chat.DeviceAdded)
	case !bytes.Equal(u.Identity, d.upload.Identity):
		r.expectNews(op, c.User, c.Device, chat.IdentityChanged)
	}
	reset := d.upload.Identity != nil && !bytes.Equal(u.Identity, d.upload.Identity)
	if reset {
		d.oneTime, d.taken = make(map[uint32]string), make(map[uint32]bool)
	}
	var ignored []uint32
	d.upload, d.upload.At = u, r.now()
	for _, k := range u.OneTime {
		if d.taken[k.ID] {
			ignored = append(ignored, k.ID)
			continue
		}
		d.oneTime[k.ID] = string(k.Public)
	}
	r.compareDevice("the device after its upload", got.PrekeyDevice, c.Device, d)
	equal(r, "the answer", "a new installation", got.Reset(), reset)
	equal(r, "the answer", "ignored", fmt.Sprint(got.Ignored), fmt.Sprint(ignored))
	r.comparePrekeys(c.User)
}

// removeDevice removes the caller's device, with its keys. No device connects here, so those
// that are known have keys.
func (r *runner) removeDevice(op operation) {
	c := r.caller(op)
	code := refuseIf(r.devices[c.User][c.Device] == nil, chat.CodeDeviceNotFound)
	r.tracef("%s removes its device %s: %q", c.User, c.Device, code)
	if r.checkError(r.node(op).RemoveDevice(r.ctx(), c, c.Device), code) {
		delete(r.devices[c.User], c.Device)
		r.expected = append(r.expected, describeRemoved(c.User, c.Device))
		r.expectNews(op, c.User, c.Device, chat.DeviceRemoved)
	}
	r.compareNotices()
	r.comparePrekeys(c.User)
}

// expectNews expects what is told of a device, up to 6 times in a minute by each node for each user.
func (r *runner) expectNews(op operation, user chat.UserID, device chat.DeviceID, change chat.KeyChange) {
	key := fmt.Sprintf("%s at %d", user, op.node)
	told := slices.DeleteFunc(r.news[key], func(at time.Time) bool { return r.now().Sub(at) >= time.Minute })
	if len(told) < 6 {
		told = append(told, r.now())
		r.expected = append(r.expected, describeNews(user, device, change))
	}
	r.news[key] = told
}

// fetch takes prekeys of every device of a user.
func (r *runner) fetch(op operation) {
	c, user := r.caller(op), people[op.other]
	devices := r.devices[user]
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
			r.expectLow(user, name, len(d.oneTime))
		}
	}
	code := firstRefusal(refuseIf(len(devices) == 0, chat.CodeNoPrekeys), refuseIf(len(given) == 0, chat.CodePrekeysExhausted))
	r.tracef("%s fetches the prekeys of %s: %q", c.User, user, code)
	got, err := r.node(op).FetchPrekeys(r.ctx(), c, user)
	if r.checkError(err, code) {
		equal(r, "the answer", "keys given", fmt.Sprint(givenKeys(got)), fmt.Sprint(given))
		equal(r, "the answer", "unavailable", fmt.Sprint(got.Unavailable), fmt.Sprint(unavailable))
	}
	r.compareNotices()
	r.comparePrekeys(user)
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

func (r *runner) compareDevice(what string, got chat.PrekeyDevice, name chat.DeviceID, d *device) {
	equal(r, what, "name", got.Device, name)
	equal(r, what, "identity", string(got.Identity), string(d.upload.Identity))
	equal(r, what, "one-time keys", got.Left[chat.PlainPrekeys], len(d.oneTime))
	equal(r, what, "last resort", got.LastResort != nil, d.upload.LastResort != nil)
	equal(r, what, "updated at", got.UpdatedAt.UnixMilli(), d.upload.At.UnixMilli())
}

func (r *runner) comparePrekeys(u chat.UserID) {
	got, err := r.nodes[0].OwnPrekeys(r.ctx(), reader(u))
	r.checkError(err, "")
	names := slices.Sorted(maps.Keys(r.devices[u]))
	equal(r, "the answer", "devices with prekeys", len(got), len(names))
	for i, name := range names {
		r.compareDevice("a device with prekeys", got[i], name, r.devices[u][name])
	}
}

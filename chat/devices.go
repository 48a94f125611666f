package chat

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
)

// Bounds of docs/contract.md#devices that are no settings.
const (
	MaxKeylessDevices = 64   // of a user; of more, those unseen for longest are forgotten
	MaxRemovals       = 1024 // of a user's; of more, the oldest are forgotten
	maxDeviceNews     = 6    // of a user in a minute
)

// SeenDevice says when a device of a user was seen: connected, or uploading keys.
type SeenDevice struct {
	User      UserID
	Device    DeviceID
	FirstSeen time.Time
	LastSeen  time.Time
}

// Removal says that a user has removed one of its devices. Connections of the device with a
// number below Conn are to end, and tokens that name it and were issued before At are refused.
type Removal struct {
	User   UserID
	Device DeviceID
	At     time.Time
	Conn   Conn
}

// Refuses reports whether the removal refuses a token that names the device. The zero time is
// a token that does not say when it was issued.
func (r Removal) Refuses(issued time.Time) bool {
	return !r.At.IsZero() && (issued.IsZero() || issued.Before(r.At))
}

// DeviceNews tells the people who talk to a user that one of its devices with keys has changed
// (docs/contract.md#frames, frame `devices`).
type DeviceNews struct {
	User   UserID
	Device DeviceID
	Change KeyChange
	At     time.Time
}

// Device is one device of a user, as its owner sees it.
type Device struct {
	SeenDevice

	Connected bool          // at any node
	Keys      *PrekeyDevice // nil: it has none
}

// Devices lists the caller's devices, in order of their ids.
func (s *Service) Devices(ctx context.Context, c Caller) ([]Device, error) {
	if err := c.need(ScopeRead); err != nil {
		return nil, err
	}
	if err := s.spendRead(c); err != nil {
		return nil, err
	}
	seen, err := s.store.Devices(ctx, c.User)
	if err != nil {
		return nil, Unavailable("list the devices", err)
	}
	keys, err := s.countedPrekeys(ctx, c.User)
	if err != nil {
		return nil, err
	}
	connected, now := s.connected(c.User), s.markTime()
	devices := make([]Device, 0, len(seen))
	for _, d := range seen {
		devices = append(devices, Device{SeenDevice: d})
	}
	for i, k := range keys {
		at := slices.IndexFunc(devices, func(d Device) bool { return d.Device == k.Device })
		if at < 0 { // a store of an earlier format did not keep when it was seen
			at = len(devices)
			devices = append(devices, Device{SeenDevice: SeenDevice{User: c.User, Device: k.Device, FirstSeen: k.UpdatedAt, LastSeen: k.UpdatedAt}})
		}
		devices[at].Keys = &keys[i]
	}
	for i := range devices {
		d := &devices[i]
		if d.Connected = slices.Contains(connected, d.Device); d.Connected && d.LastSeen.Before(now) {
			d.LastSeen = now
		}
	}
	slices.SortFunc(devices, func(a, b Device) int { return cmp.Compare(a.Device, b.Device) })
	return devices, nil
}

// DevicesOf lists the devices of a user that have keys, in order of their ids. The two must
// share a thread. No key is used up.
func (s *Service) DevicesOf(ctx context.Context, c Caller, user UserID) ([]PrekeyDevice, error) {
	if err := c.need(ScopeRead); err != nil {
		return nil, err
	}
	if err := s.spendRead(c); err != nil {
		return nil, err
	}
	if err := s.deviceLists.spend(ctx, string(c.User), s.now()); err != nil {
		return nil, err
	}
	shared, err := s.ShareThread(ctx, c.User, user)
	if err != nil {
		return nil, err
	}
	if !shared {
		return nil, Refuse(CodeNoSharedThread, "you share no thread with this user")
	}
	devices, err := s.store.PrekeyDevices(ctx, []UserID{user})
	if err != nil {
		return nil, Unavailable("look up the prekeys", err)
	}
	if len(devices) == 0 {
		return nil, Refuse(CodeNoPrekeys, "this user has uploaded no prekeys")
	}
	return devices, nil
}

// RemoveDevice forgets a device of the caller's, with its keys, its position and what it
// subscribed, and ends its connections at all nodes. Tokens that name it and were issued before
// are refused from then on.
func (s *Service) RemoveDevice(ctx context.Context, c Caller, device DeviceID) error {
	if err := c.need(ScopeWrite); err != nil {
		return err
	}
	return s.writing(c, costWrite, func() (wrote bool, err error) {
		return true, s.removeDevice(ctx, c.User, device)
	})
}

func (s *Service) removeDevice(ctx context.Context, user UserID, device DeviceID) error {
	removal, hadKeys, err := s.store.RemoveDevice(ctx, user, device, s.markTime())
	switch {
	case errors.Is(err, ErrNotFound):
		return Refuse(CodeDeviceNotFound, "you have no such device")
	case err != nil:
		return Unavailable("remove the device", err)
	}
	s.bus.Publish(Notice{Audience: []UserID{user}, Removed: &removal})
	if hadKeys {
		s.tellDeviceNews(ctx, DeviceNews{User: user, Device: device, Change: DeviceRemoved, At: removal.At})
	}
	return nil
}

// CheckDevice refuses a token that names a device and was issued, if it says when, before that
// device was removed.
func (s *Service) CheckDevice(ctx context.Context, user UserID, device DeviceID, issued time.Time) error {
	at, err := s.store.RemovedAt(ctx, user, device)
	if err != nil {
		return Unavailable("look up whether the device was removed", err)
	}
	if (Removal{At: at}).Refuses(issued) {
		return Refuse(CodeDeviceRemoved, "this device was removed")
	}
	return nil
}

// ForgetOverflow forgets those of a user's devices that have no keys and were unseen for
// longest, of more than MaxKeylessDevices. It is called when a device has connected for the
// first time.
func (s *Service) ForgetOverflow(ctx context.Context, user UserID) error {
	seen, err := s.store.Devices(ctx, user)
	if err != nil {
		return Unavailable("list the devices", err)
	}
	if len(seen) <= MaxKeylessDevices {
		return nil
	}
	keys, err := s.store.PrekeyDevices(ctx, []UserID{user})
	if err != nil {
		return Unavailable("look up the prekeys", err)
	}
	seen = slices.DeleteFunc(seen, func(d SeenDevice) bool {
		return slices.ContainsFunc(keys, func(k PrekeyDevice) bool { return k.Device == d.Device })
	})
	slices.SortFunc(seen, func(a, b SeenDevice) int { return a.LastSeen.Compare(b.LastSeen) })
	over, connected := len(seen)-MaxKeylessDevices, s.connected(user)
	for _, d := range seen {
		if over <= 0 {
			break
		}
		if slices.Contains(connected, d.Device) {
			continue
		}
		forgotten, err := s.forgetDevice(ctx, d)
		if err != nil {
			return err
		}
		if forgotten {
			over--
		}
	}
	return nil
}

// forgetDevice forgets a device unless it was seen meanwhile.
func (s *Service) forgetDevice(ctx context.Context, d SeenDevice) (forgotten bool, err error) {
	at := s.markTime()
	forgotten, hadKeys, err := s.store.ForgetDevice(ctx, d, at)
	if err != nil {
		return false, Unavailable("forget a device", err)
	}
	if hadKeys {
		s.tellDeviceNews(ctx, DeviceNews{User: d.User, Device: d.Device, Change: DeviceRemoved, At: at})
	}
	return forgotten, nil
}

// tellDeviceNews tells those to whom the user's presence is told, and its own other devices,
// that a device has changed: as often as is allowed, and never is it an error.
func (s *Service) tellDeviceNews(ctx context.Context, n DeviceNews) {
	if err := s.deviceNews.spend(ctx, string(n.User), s.now()); err != nil {
		return
	}
	audience, err := s.presenceAudience(ctx, n.User)
	if err != nil {
		s.log.Warn("the change of a device is told to nobody else", "user", n.User, "device", n.Device, "error", err)
	}
	s.bus.Publish(Notice{Audience: append(audience, n.User), Devices: &n})
}

// countedPrekeys lists a user's devices that have keys, with how many are left.
func (s *Service) countedPrekeys(ctx context.Context, user UserID) ([]PrekeyDevice, error) {
	devices, err := s.store.PrekeyDevices(ctx, []UserID{user})
	if err != nil {
		return nil, Unavailable("look up the prekeys", err)
	}
	left, err := s.store.CountPrekeys(ctx, devices)
	if err != nil {
		return nil, Unavailable("count the prekeys", err)
	}
	for i := range devices {
		devices[i].Left = left[i]
	}
	return devices, nil
}

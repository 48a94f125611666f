package contracts

import "github.com/parleyhq/parley/chat"

// Device is one of the caller's own devices (docs/contract.md#devices).
type Device struct {
	DeviceID    string `json:"device_id"`
	FirstSeenAt string `json:"first_seen_at"`
	LastSeenAt  string `json:"last_seen_at"`
	Connected   bool   `json:"connected"`
	IdentityKey []byte `json:"identity_key,omitempty"` // this and the next only of a device with keys
	OneTime     *int   `json:"one_time_prekeys,omitempty"`
}

// Devices lists the caller's devices (docs/contract.md#devices).
type Devices struct {
	Devices []Device `json:"devices"`
}

// DeviceIdentity is a device of somebody that has keys (docs/contract.md#devices).
type DeviceIdentity struct {
	DeviceID    string `json:"device_id"`
	IdentityKey []byte `json:"identity_key"`
	IdentityAt  string `json:"identity_at"` // since when it has that identity
}

// DeviceIdentities lists the devices of a user that have keys (docs/contract.md#devices).
type DeviceIdentities struct {
	Devices []DeviceIdentity `json:"devices"`
}

// NewDevices converts the caller's devices.
func NewDevices(devices []chat.Device) Devices {
	return Devices{convertAll(devices, func(d chat.Device) Device {
		wire := Device{
			DeviceID: string(d.Device), FirstSeenAt: FormatTime(d.FirstSeen), LastSeenAt: FormatTime(d.LastSeen), Connected: d.Connected,
		}
		if d.Keys != nil {
			wire.IdentityKey, wire.OneTime = d.Keys.Identity, new(d.Keys.Left[chat.PlainPrekeys])
		}
		return wire
	})}
}

// NewDeviceIdentities converts the devices of a user.
func NewDeviceIdentities(devices []chat.PrekeyDevice) DeviceIdentities {
	return DeviceIdentities{convertAll(devices, func(d chat.PrekeyDevice) DeviceIdentity {
		return DeviceIdentity{DeviceID: string(d.Device), IdentityKey: d.Identity, IdentityAt: FormatTime(d.IdentityAt)}
	})}
}

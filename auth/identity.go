package auth

import (
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// DefaultDevice is the device of a caller that names none (contract 2).
const DefaultDevice chat.DeviceID = "default"

// Identity is what a token proves. It is shared between requests: nobody writes
// into Scopes.
type Identity struct {
	User    chat.UserID
	Device  chat.DeviceID // the token's device_id; "" if it has none
	Scopes  []chat.Scope
	Expires time.Time // a live connection ends then
}

// Caller settles on which device the identity acts (contract 2): the token's,
// else the first of those offered that is not empty (the header X-Device-Id, the
// query device_id, the MQTT client id), else DefaultDevice. One offered that is
// malformed is refused as invalid_request, one that disagrees with the token as
// device_mismatch.
func (id Identity) Caller(offered ...string) (chat.Caller, error) {
	device := id.Device
	for _, o := range offered {
		if o == "" {
			continue
		}
		d, err := chat.ParseDeviceID(o)
		if err != nil {
			return chat.Caller{}, err
		}
		if id.Device != "" && d != id.Device {
			return chat.Caller{}, chat.Refuse(contracts.CodeDeviceMismatch, "the token is for another device")
		}
		if device == "" {
			device = d
		}
	}
	if device == "" {
		device = DefaultDevice
	}
	return chat.Caller{User: id.User, Device: device, Scopes: id.Scopes}, nil
}

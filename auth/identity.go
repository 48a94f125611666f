package auth

import (
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// DefaultDevice is the device of a caller if neither the token nor the request names
// one (docs/contract.md#authentication).
const DefaultDevice chat.DeviceID = "default"

// Identity is what a token proves. Requests with the same token share it, so Scopes must
// not be written to.
type Identity struct {
	User    chat.UserID
	Device  chat.DeviceID // the token's device_id; "" if it has none
	Scopes  []chat.Scope
	Issued  time.Time // zero: the token does not say
	Expires time.Time // the server ends a realtime connection at this time
	// Key is the fingerprint of the key of a set that verifies the token; "" if the secret
	// does.
	Key string
}

// Has reports whether the token grants a scope.
func (id Identity) Has(s chat.Scope) bool { return slices.Contains(id.Scopes, s) }

// Caller decides which device the identity acts on
// (docs/contract.md#authentication): the token's, else the first device that
// the request offers and that is not empty (the header X-Device-Id, the query
// device_id, the MQTT client id), else [DefaultDevice]. An offered device that is
// not the token's is refused as device_mismatch, whatever its form; where the
// token names none, one that is malformed is refused as invalid_request.
func (id Identity) Caller(offered ...string) (chat.Caller, error) {
	device := id.Device
	for _, o := range offered {
		if o == "" {
			continue
		}
		if id.Device != "" && o != string(id.Device) {
			return chat.Caller{}, chat.Refuse(contracts.CodeDeviceMismatch, "the token is for another device")
		}
		d, err := chat.ParseDeviceID(o)
		if err != nil {
			return chat.Caller{}, err
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

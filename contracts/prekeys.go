package contracts

import (
	"fmt"

	"github.com/parleyhq/parley/chat"
)

// prekeyUploadBody is the body of PUT /v1/users/me/prekeys
// (docs/contract.md#prekeys).
type prekeyUploadBody struct {
	Identity   Bytes             `json:"identity_key"`
	Signed     *signedPrekeyBody `json:"signed_prekey"`
	OneTime    []prekeyBody      `json:"one_time_prekeys"`
	LastResort *signedPrekeyBody `json:"last_resort_prekey"`

	PQOneTime    []signedPrekeyBody `json:"pq_one_time_prekeys"`
	PQLastResort *signedPrekeyBody  `json:"pq_last_resort_prekey"`
}

type prekeyBody struct {
	KeyID  *uint32 `json:"key_id"`
	Public Bytes   `json:"public_key"`
}

type signedPrekeyBody struct {
	KeyID     *uint32 `json:"key_id"`
	Public    Bytes   `json:"public_key"`
	Signature Bytes   `json:"signature"`
}

// DecodePrekeyUpload reads the body of PUT /v1/users/me/prekeys
// (docs/contract.md#prekeys). It leaves At to the use case.
func DecodePrekeyUpload(body []byte) (chat.PrekeyUpload, error) {
	var b prekeyUploadBody
	err := decode(body, &b,
		member{"identity_key", &b.Identity}, member{"signed_prekey", &b.Signed}, member{"one_time_prekeys", &b.OneTime})
	if err != nil {
		return chat.PrekeyUpload{}, err
	}
	u := chat.PrekeyUpload{Identity: b.Identity, OneTime: make([]chat.Prekey, len(b.OneTime))}
	if u.Signed, err = b.Signed.convert("signed_prekey"); err != nil {
		return chat.PrekeyUpload{}, err
	}
	if u.LastResort, err = b.LastResort.optional("last_resort_prekey"); err != nil {
		return chat.PrekeyUpload{}, err
	}
	if u.PQLastResort, err = b.PQLastResort.optional("pq_last_resort_prekey"); err != nil {
		return chat.PrekeyUpload{}, err
	}
	for i, k := range b.OneTime {
		// Only the first incomplete key is reported, since a body can hold thousands.
		if u.OneTime[i], err = k.convert(fmt.Sprintf("one_time_prekeys/%d", i)); err != nil {
			return chat.PrekeyUpload{}, err
		}
	}
	for i, k := range b.PQOneTime {
		key, err := k.convert(fmt.Sprintf("pq_one_time_prekeys/%d", i))
		if err != nil {
			return chat.PrekeyUpload{}, err
		}
		u.PQOneTime = append(u.PQOneTime, key)
	}
	return u, nil
}

// optional converts a key that need not be there.
func (b *signedPrekeyBody) optional(at string) (*chat.SignedPrekey, error) {
	if b == nil {
		return nil, nil
	}
	key, err := b.convert(at)
	if err != nil {
		return nil, err
	}
	return &key, nil
}

func (b prekeyBody) convert(at string) (chat.Prekey, error) {
	if err := required(member{at + "/key_id", &b.KeyID}, member{at + "/public_key", &b.Public}); err != nil {
		return chat.Prekey{}, err
	}
	return chat.Prekey{ID: *b.KeyID, Public: b.Public}, nil
}

func (b signedPrekeyBody) convert(at string) (chat.SignedPrekey, error) {
	key, err := prekeyBody{b.KeyID, b.Public}.convert(at)
	if err != nil {
		return chat.SignedPrekey{}, err
	}
	if err := required(member{at + "/signature", &b.Signature}); err != nil {
		return chat.SignedPrekey{}, err
	}
	return chat.SignedPrekey{Prekey: key, Signature: b.Signature}, nil
}

// PrekeyStatus tells a user about one of its own devices: counts and times, no
// keys (docs/contract.md#prekeys).
type PrekeyStatus struct {
	DeviceID  string `json:"device_id"`
	OneTime   int    `json:"one_time_prekeys"`
	PQOneTime int    `json:"pq_one_time_prekeys"`
	UpdatedAt string `json:"updated_at"`
}

// PrekeysStored answers an upload (docs/contract.md#prekeys).
type PrekeysStored struct {
	DeviceID  string   `json:"device_id"`
	OneTime   int      `json:"one_time_prekeys"`
	PQOneTime int      `json:"pq_one_time_prekeys"`
	UpdatedAt string   `json:"updated_at"`
	Ignored   []uint32 `json:"ignored"`
	PQIgnored []uint32 `json:"pq_ignored"`
	Reset     bool     `json:"reset"`
}

// PrekeyStatuses lists all the user's devices that have keys
// (docs/contract.md#prekeys).
type PrekeyStatuses struct {
	Devices []PrekeyStatus `json:"devices"`
}

// NewPrekeyStatus converts the stored record of one device.
func NewPrekeyStatus(d chat.PrekeyDevice) PrekeyStatus {
	return PrekeyStatus{DeviceID: string(d.Device), OneTime: d.Left[chat.PlainPrekeys], PQOneTime: d.Left[chat.PQPrekeys], UpdatedAt: FormatTime(d.UpdatedAt)}
}

// NewPrekeysStored converts what became of an upload.
func NewPrekeysStored(p chat.StoredPrekeys) PrekeysStored {
	ids := func(ids []uint32) []uint32 { return append([]uint32{}, ids...) } // an empty list, not null
	status := NewPrekeyStatus(p.PrekeyDevice)
	return PrekeysStored{
		DeviceID: status.DeviceID, OneTime: status.OneTime, PQOneTime: status.PQOneTime, UpdatedAt: status.UpdatedAt,
		Ignored: ids(p.Ignored), PQIgnored: ids(p.PQIgnored), Reset: p.Reset(),
	}
}

// NewPrekeyStatuses converts the stored records of a user's devices.
func NewPrekeyStatuses(devices []chat.PrekeyDevice) PrekeyStatuses {
	return PrekeyStatuses{convertAll(devices, NewPrekeyStatus)}
}

// PrekeyBundle holds the keys with which a caller begins an encrypted conversation with
// every device of a user (docs/contract.md#prekeys).
type PrekeyBundle struct {
	UserID      string         `json:"user_id"`
	Devices     []DeviceBundle `json:"devices"`
	Unavailable []string       `json:"unavailable_devices"`
}

// DeviceBundle is one device's part of a PrekeyBundle (docs/contract.md#prekeys).
type DeviceBundle struct {
	DeviceID    string        `json:"device_id"`
	IdentityKey []byte        `json:"identity_key"`
	Signed      SignedPrekey  `json:"signed_prekey"`
	OneTime     OneTimePrekey `json:"one_time_prekey"`

	PQ *OneTimePrekey `json:"pq_prekey,omitempty"`
}

// SignedPrekey is a prekey with the signature of its device's identity key.
type SignedPrekey struct {
	KeyID     uint32 `json:"key_id"`
	PublicKey []byte `json:"public_key"`
	Signature []byte `json:"signature"`
}

// OneTimePrekey is a key that is given to one caller only or, if the device has none left,
// its last resort key, which is marked (docs/contract.md#prekeys). All but plain one-time keys
// are signed.
type OneTimePrekey struct {
	KeyID      uint32 `json:"key_id"`
	PublicKey  []byte `json:"public_key"`
	Signature  []byte `json:"signature,omitempty"`
	LastResort bool   `json:"last_resort,omitzero"`
}

// NewPrekeyBundle converts a bundle. The result shares the keys.
func NewPrekeyBundle(b chat.PrekeyBundle) PrekeyBundle {
	return PrekeyBundle{
		UserID:      string(b.User),
		Devices:     convertAll(b.Devices, newDeviceBundle),
		Unavailable: convertAll(b.Unavailable, func(d chat.DeviceID) string { return string(d) }),
	}
}

func newDeviceBundle(d chat.DeviceBundle) DeviceBundle {
	b := DeviceBundle{
		DeviceID: string(d.Device), IdentityKey: d.Identity,
		Signed: SignedPrekey{KeyID: d.Signed.ID, PublicKey: d.Signed.Public, Signature: d.Signed.Signature},
	}
	if k := d.OneTime; k != nil {
		b.OneTime = OneTimePrekey{KeyID: k.ID, PublicKey: k.Public}
	} else if k := d.LastResort; k != nil {
		b.OneTime = OneTimePrekey{KeyID: k.ID, PublicKey: k.Public, Signature: k.Signature, LastResort: true}
	}
	if k := d.PQOneTime; k != nil {
		b.PQ = &OneTimePrekey{KeyID: k.ID, PublicKey: k.Public, Signature: k.Signature}
	} else if k := d.PQLastResort; k != nil {
		b.PQ = &OneTimePrekey{KeyID: k.ID, PublicKey: k.Public, Signature: k.Signature, LastResort: true}
	}
	return b
}

// groupPrekeysBody is the body of POST /v1/threads/{id}/prekeys (docs/contract.md#prekeys).
type groupPrekeysBody struct {
	UserIDs []string `json:"user_ids"`
}

// DecodeGroupPrekeys reads the body of POST /v1/threads/{id}/prekeys: of whom keys are asked
// for; nil is of everybody (docs/contract.md#prekeys).
func DecodeGroupPrekeys(body []byte) ([]chat.UserID, error) {
	var b groupPrekeysBody
	if err := decode(body, &b); err != nil || b.UserIDs == nil {
		return nil, err
	}
	users := make([]chat.UserID, len(b.UserIDs))
	for i, id := range b.UserIDs {
		user, err := chat.ParseUserID(id)
		if err != nil {
			return nil, chat.Invalid(fmt.Sprintf("user_ids/%d", i), "is no user id")
		}
		users[i] = user
	}
	return users, nil
}

// GroupPrekeys holds the keys of many participants of a thread (docs/contract.md#prekeys).
type GroupPrekeys struct {
	Bundles     []PrekeyBundle `json:"bundles"`
	Unavailable []string       `json:"unavailable"`
	Remaining   []string       `json:"remaining"` // ask for these again
}

// NewGroupPrekeys converts the keys of many participants. The result shares the keys.
func NewGroupPrekeys(g chat.GroupPrekeys) GroupPrekeys {
	name := func(u chat.UserID) string { return string(u) }
	return GroupPrekeys{
		Bundles: convertAll(g.Bundles, NewPrekeyBundle), Unavailable: convertAll(g.Unavailable, name), Remaining: convertAll(g.Remaining, name),
	}
}

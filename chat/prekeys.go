package chat

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Bounds of docs/contract.md#prekeys that are no settings.
const (
	MaxPrekeyDevices   = 16
	MaxOneTimePrekeys  = 1000 // stored per device
	MaxPrekeysUploaded = 100  // per call
	MaxPrekeyBytes     = 4 << 10
	LowPrekeys         = 10 // below it the device is told
)

// Prekey is a public key with the id its device gave it. The server does not
// look into keys.
type Prekey struct {
	ID     uint32
	Public []byte
}

// SignedPrekey is a prekey with the signature of the device's identity key.
type SignedPrekey struct {
	Prekey
	Signature []byte
}

// PrekeyUpload is what a device uploads (docs/contract.md#prekeys).
type PrekeyUpload struct {
	Identity   []byte
	Signed     SignedPrekey
	LastResort *SignedPrekey // nil is none
	OneTime    []Prekey      // no two of the same id
	At         time.Time
}

// Stored is the device as it is kept after the upload, which replaces all that was
// there but the one-time keys: of those it has left so many then.
func (u PrekeyUpload) Stored(device DeviceID, left int) PrekeyDevice {
	return PrekeyDevice{Device: device, Identity: u.Identity, Signed: u.Signed, LastResort: u.LastResort, OneTime: left, UpdatedAt: u.At}
}

// PrekeyState is what a store knows of a one-time key's id.
type PrekeyState int

// The states of an id of one device. One that was taken stays taken for ever.
const (
	PrekeyUnknown PrekeyState = iota
	PrekeyStored
	PrekeyTaken
)

// Admit decides which one-time keys of an upload a store puts, given how many the
// device has left and the states of their ids: those of unknown ids are added, others
// replace a stored one of the same id, and those whose id was ever taken are ignored.
// If the device would have more than MaxOneTimePrekeys, it is ErrTooManyPrekeys.
func (u PrekeyUpload) Admit(left int, ids map[uint32]PrekeyState) (added, replaced []Prekey, err error) {
	for _, k := range u.OneTime {
		switch ids[k.ID] {
		case PrekeyUnknown:
			added = append(added, k)
		case PrekeyStored:
			replaced = append(replaced, k)
		case PrekeyTaken:
		}
	}
	if left+len(added) > MaxOneTimePrekeys {
		return nil, nil, ErrTooManyPrekeys
	}
	return added, replaced, nil
}

// PrekeyDevice is one device's keys as they are stored. Its one-time keys are only
// counted.
type PrekeyDevice struct {
	Device     DeviceID
	Identity   []byte
	Signed     SignedPrekey
	LastResort *SignedPrekey // nil is none
	OneTime    int
	UpdatedAt  time.Time // of the last upload
}

// PrekeyBundle is what a caller needs to begin an encrypted conversation with every
// device of a user.
type PrekeyBundle struct {
	User        UserID
	Devices     []DeviceBundle
	Unavailable []DeviceID // those with no key left, or whose key could not be taken
}

// DeviceBundle is one device's part: exactly one of OneTime and LastResort is set.
type DeviceBundle struct {
	Device     DeviceID
	Identity   []byte
	Signed     SignedPrekey
	OneTime    *Prekey
	LastResort *SignedPrekey
}

// UploadPrekeys stores keys for the caller's device (docs/contract.md#prekeys).
func (s *Service) UploadPrekeys(ctx context.Context, c Caller, u PrekeyUpload) (PrekeyDevice, error) {
	if err := c.need(ScopeWrite); err != nil {
		return PrekeyDevice{}, err
	}
	if err := u.validate(); err != nil {
		return PrekeyDevice{}, err
	}
	u.At = s.markTime()
	var stored PrekeyDevice
	err := s.writing(c, costKeys, func() (wrote bool, err error) {
		stored, err = s.putPrekeys(ctx, c, u)
		return true, err
	})
	return stored, err
}

func (s *Service) putPrekeys(ctx context.Context, c Caller, u PrekeyUpload) (PrekeyDevice, error) {
	stored, err := s.store.PutPrekeys(ctx, c.User, c.Device, u)
	switch {
	case errors.Is(err, ErrTooManyDevices):
		return PrekeyDevice{}, Refuse(CodeTooManyDevices, "you have keys of as many devices as a user may")
	case errors.Is(err, ErrTooManyPrekeys):
		return PrekeyDevice{}, Invalid("one_time_prekeys", "would make more than 1000 stored ones")
	case err != nil:
		return PrekeyDevice{}, Unavailable("store the prekeys", err)
	}
	return stored, nil
}

func (u PrekeyUpload) validate() error {
	var bad []FieldError
	check := func(field string, key []byte) {
		if len(key) == 0 || len(key) > MaxPrekeyBytes {
			bad = append(bad, FieldError{field, "must be 1 byte to 4 KiB"})
		}
	}
	check("identity_key", u.Identity)
	check("signed_prekey/public_key", u.Signed.Public)
	check("signed_prekey/signature", u.Signed.Signature)
	if u.LastResort != nil {
		check("last_resort_prekey/public_key", u.LastResort.Public)
		check("last_resort_prekey/signature", u.LastResort.Signature)
	}
	if len(u.OneTime) > MaxPrekeysUploaded {
		bad = append(bad, FieldError{"one_time_prekeys", "are more than 100"})
		return &Error{Code: CodeInvalidRequest, Fields: bad}
	}
	seen := make(map[uint32]bool, len(u.OneTime))
	for i, k := range u.OneTime {
		check(fmt.Sprintf("one_time_prekeys/%d/public_key", i), k.Public)
		if seen[k.ID] {
			bad = append(bad, FieldError{fmt.Sprintf("one_time_prekeys/%d/key_id", i), "is given twice"})
		}
		seen[k.ID] = true
	}
	if len(bad) > 0 {
		return &Error{Code: CodeInvalidRequest, Fields: bad}
	}
	return nil
}

// OwnPrekeys tells the caller how many keys its devices have left.
func (s *Service) OwnPrekeys(ctx context.Context, c Caller) ([]PrekeyDevice, error) {
	if err := c.need(ScopeRead); err != nil {
		return nil, err
	}
	if err := s.spendRead(c); err != nil {
		return nil, err
	}
	devices, err := s.store.PrekeyDevices(ctx, c.User)
	if err != nil {
		return nil, Unavailable("count the prekeys", err)
	}
	return devices, nil
}

// FetchPrekeys gives the caller what it needs to write to a user's devices. A one-time
// key is given once, whoever asks (docs/contract.md#prekeys).
func (s *Service) FetchPrekeys(ctx context.Context, c Caller, user UserID) (PrekeyBundle, error) {
	if err := c.need(ScopeRead); err != nil {
		return PrekeyBundle{}, err
	}
	if err := s.spendRead(c); err != nil {
		return PrekeyBundle{}, err
	}
	if err := s.prekeyFetches.spend(ctx, string(c.User), s.now()); err != nil {
		return PrekeyBundle{}, err
	}
	devices, err := s.store.PrekeyDevices(ctx, user)
	if err != nil {
		return PrekeyBundle{}, Unavailable("look up the prekeys", err)
	}
	if len(devices) == 0 {
		return PrekeyBundle{}, Refuse(CodeNoPrekeys, "this user has uploaded no prekeys")
	}
	if err := s.prekeyFetchesOf.spend(ctx, string(c.User)+"/"+string(user), s.now()); err != nil {
		return PrekeyBundle{}, err
	}
	bundle := PrekeyBundle{User: user}
	var failed error
	for _, d := range devices {
		b, err := s.takePrekey(ctx, user, d)
		switch {
		case err != nil: // the keys taken so far are gone from the store: they must be given
			failed = err
			bundle.Unavailable = append(bundle.Unavailable, d.Device)
		case b.OneTime == nil && b.LastResort == nil:
			bundle.Unavailable = append(bundle.Unavailable, d.Device)
		default:
			bundle.Devices = append(bundle.Devices, b)
		}
	}
	switch {
	case len(bundle.Devices) > 0:
		if failed != nil {
			s.log.Warn("a prekey could not be taken", "user", user, "error", failed)
		}
	case failed != nil:
		return PrekeyBundle{}, failed
	default:
		return PrekeyBundle{}, &Error{
			Code: CodePrekeysExhausted, Detail: "no device of this user has a prekey left", RetryAfter: prekeysRetry,
		}
	}
	return bundle, nil
}

// prekeysRetry is what a caller is told to wait when no device has a key left.
const prekeysRetry = time.Minute

// takePrekey takes a one-time key of a device, or else gives its last-resort key. It
// tells the device if few one-time keys are left.
func (s *Service) takePrekey(ctx context.Context, user UserID, d PrekeyDevice) (DeviceBundle, error) {
	b := DeviceBundle{Device: d.Device, Identity: d.Identity, Signed: d.Signed}
	key, left, err := s.store.TakeOneTimePrekey(ctx, user, d.Device)
	switch {
	case errors.Is(err, ErrNotFound):
		b.LastResort, left = d.LastResort, 0
	case err != nil:
		return DeviceBundle{}, Unavailable("take a prekey", err)
	default:
		b.OneTime = &key
	}
	if left >= 0 && left < LowPrekeys {
		s.bus.Publish(Notice{Audience: []UserID{user}, PrekeysLow: &PrekeysLow{Device: d.Device, Left: left}})
	}
	return b, nil
}

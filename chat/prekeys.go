package chat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
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

// PrekeyKind is one of the two kinds of keys that a device has of, each with ids of its own.
type PrekeyKind int

// The kinds of keys.
const (
	PlainPrekeys PrekeyKind = iota
	PQPrekeys               // post-quantum ones, for PQXDH
)

// PrekeyKinds lists the kinds.
var PrekeyKinds = [...]PrekeyKind{PlainPrekeys, PQPrekeys}

// PrekeyUpload is what a device uploads (docs/contract.md#prekeys).
type PrekeyUpload struct {
	Identity     []byte
	Signed       SignedPrekey
	LastResort   *SignedPrekey // nil is none
	OneTime      []Prekey      // no two of the same id
	PQOneTime    []SignedPrekey
	PQLastResort *SignedPrekey
	At           time.Time
}

// OneTimeOf gives the one-time keys of a kind. Plain ones have no signature.
func (u PrekeyUpload) OneTimeOf(kind PrekeyKind) []SignedPrekey {
	if kind == PQPrekeys {
		return u.PQOneTime
	}
	keys := make([]SignedPrekey, len(u.OneTime))
	for i, k := range u.OneTime {
		keys[i] = SignedPrekey{Prekey: k}
	}
	return keys
}

// Resets reports whether the upload is of another installation than the one whose keys the
// device has, which is nil for a device without keys. Then the one-time keys that are stored,
// and the ids of those that were taken, are forgotten.
func (u PrekeyUpload) Resets(before *PrekeyDevice) bool {
	return before != nil && !bytes.Equal(before.Identity, u.Identity)
}

// Stored is the device as it is kept after the upload, which replaces all that was there
// before but the one-time keys: of those it has left so many then.
func (u PrekeyUpload) Stored(user UserID, device DeviceID, before *PrekeyDevice, left PrekeyCounts) PrekeyDevice {
	d := PrekeyDevice{
		User: user, Device: device, Identity: u.Identity, IdentityAt: u.At, Signed: u.Signed,
		LastResort: u.LastResort, PQLastResort: u.PQLastResort, Left: left, UpdatedAt: u.At,
	}
	if before != nil && !u.Resets(before) {
		d.IdentityAt, d.Installation = before.IdentityAt, before.Installation
	}
	return d
}

// PrekeyState is what a store knows of a one-time key's id.
type PrekeyState int

// The states of an id of one installation of a device. One that was taken stays taken.
const (
	PrekeyUnknown PrekeyState = iota
	PrekeyStored
	PrekeyTaken
)

// AdmittedPrekeys are the one-time keys of one kind in an upload, by what becomes of them.
type AdmittedPrekeys struct {
	Added    []SignedPrekey // their ids are unknown
	Replaced []SignedPrekey // they take the place of stored ones of the same ids
	Ignored  []uint32       // the ids of those whose id was ever taken
}

// Admit decides which one-time keys of a kind a store puts, given how many of them the
// device has left and the states of their ids. If the device would have more than
// MaxOneTimePrekeys, it is ErrTooManyPrekeys or ErrTooManyPQPrekeys.
func (u PrekeyUpload) Admit(kind PrekeyKind, left int, ids map[uint32]PrekeyState) (a AdmittedPrekeys, err error) {
	for _, k := range u.OneTimeOf(kind) {
		switch ids[k.ID] {
		case PrekeyUnknown:
			a.Added = append(a.Added, k)
		case PrekeyStored:
			a.Replaced = append(a.Replaced, k)
		case PrekeyTaken:
			a.Ignored = append(a.Ignored, k.ID)
		}
	}
	switch {
	case left+len(a.Added) <= MaxOneTimePrekeys:
		return a, nil
	case kind == PQPrekeys:
		return AdmittedPrekeys{}, ErrTooManyPQPrekeys
	}
	return AdmittedPrekeys{}, ErrTooManyPrekeys
}

// PrekeyCounts says how many one-time keys of each kind a device has.
type PrekeyCounts [len(PrekeyKinds)]int

// PrekeyDevice is one device's keys as they are stored, without the one-time ones.
type PrekeyDevice struct {
	User         UserID
	Device       DeviceID
	Identity     []byte
	IdentityAt   time.Time // since when it has that identity
	Signed       SignedPrekey
	LastResort   *SignedPrekey // nil is none
	PQLastResort *SignedPrekey // nil is none
	Left         PrekeyCounts  // set where a method says so
	UpdatedAt    time.Time     // of the last upload
	// Installation is what a store tells installations of the device apart by, for that store
	// alone; zero where it needs nothing.
	Installation int64
}

// StoredPrekeys says what became of an upload.
type StoredPrekeys struct {
	PrekeyDevice           // as it is stored then, with what is left
	Ignored      []uint32  // ids of keys that were not stored, as they were taken before; in the upload's order
	PQIgnored    []uint32  // those of PQ keys
	Change       KeyChange // what the people who talk to the user are to be told of; "" is nothing
}

// Reset reports whether the upload was of another installation than before.
func (p StoredPrekeys) Reset() bool { return p.Change == IdentityChanged }

// KeyChange is what has happened to a device with keys (docs/contract.md#devices).
type KeyChange string

// The changes that people are told of.
const (
	DeviceAdded     KeyChange = "added"
	DeviceRemoved   KeyChange = "removed"
	IdentityChanged KeyChange = "identity_changed"
)

// PrekeyBundle is what a caller needs to begin an encrypted conversation with every
// device of a user.
type PrekeyBundle struct {
	User        UserID
	Devices     []DeviceBundle
	Unavailable []DeviceID // those with no key left, or whose key could not be taken
}

// DeviceBundle is one device's part, all of it of one installation: exactly one of OneTime
// and LastResort is set, and at most one of PQOneTime and PQLastResort.
type DeviceBundle struct {
	Device       DeviceID
	Identity     []byte
	Signed       SignedPrekey
	OneTime      *Prekey
	LastResort   *SignedPrekey
	PQOneTime    *SignedPrekey
	PQLastResort *SignedPrekey
}

// Gives reports whether one-time keys of a kind are given of the device: PQ ones only while it
// has one of last resort.
func (d PrekeyDevice) Gives(kind PrekeyKind) bool {
	return kind == PlainPrekeys || d.PQLastResort != nil
}

// Bundle is a device's part with the one-time keys that were taken; nil is none. It is
// ErrNotFound if there is no key to give.
func (d PrekeyDevice) Bundle(oneTime, pqOneTime *SignedPrekey) (DeviceBundle, error) {
	b := DeviceBundle{Device: d.Device, Identity: d.Identity, Signed: d.Signed, PQOneTime: pqOneTime}
	switch {
	case oneTime != nil:
		b.OneTime = &oneTime.Prekey
	case d.LastResort != nil:
		b.LastResort = d.LastResort
	default:
		return DeviceBundle{}, fmt.Errorf("a prekey of %s/%s: %w", d.User, d.Device, ErrNotFound)
	}
	if pqOneTime == nil {
		b.PQLastResort = d.PQLastResort
	}
	return b, nil
}

// UploadPrekeys stores keys for the caller's device (docs/contract.md#prekeys).
func (s *Service) UploadPrekeys(ctx context.Context, c Caller, u PrekeyUpload) (StoredPrekeys, error) {
	if err := c.need(ScopeWrite); err != nil {
		return StoredPrekeys{}, err
	}
	if err := u.validate(); err != nil {
		return StoredPrekeys{}, err
	}
	u.At = s.markTime()
	var stored StoredPrekeys
	err := s.writing(c, costKeys, func() (wrote bool, err error) {
		stored, err = s.putPrekeys(ctx, c, u)
		return true, err
	})
	return stored, err
}

func (s *Service) putPrekeys(ctx context.Context, c Caller, u PrekeyUpload) (StoredPrekeys, error) {
	stored, err := s.store.PutPrekeys(ctx, c.User, c.Device, u)
	switch {
	case errors.Is(err, ErrTooManyDevices):
		return StoredPrekeys{}, Refuse(CodeTooManyDevices, "you have keys of as many devices as a user may")
	case errors.Is(err, ErrTooManyPrekeys):
		return StoredPrekeys{}, Invalid("one_time_prekeys", "would make more than 1000 stored ones")
	case errors.Is(err, ErrTooManyPQPrekeys):
		return StoredPrekeys{}, Invalid("pq_one_time_prekeys", "would make more than 1000 stored ones")
	case err != nil:
		return StoredPrekeys{}, Unavailable("store the prekeys", err)
	}
	if stored.Change != "" {
		s.tellDeviceNews(ctx, DeviceNews{User: c.User, Device: c.Device, Change: stored.Change, At: u.At})
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
	for _, last := range []struct {
		field string
		key   *SignedPrekey
	}{{"last_resort_prekey", u.LastResort}, {"pq_last_resort_prekey", u.PQLastResort}} {
		if last.key != nil {
			check(last.field+"/public_key", last.key.Public)
			check(last.field+"/signature", last.key.Signature)
		}
	}
	bad = append(bad, u.validateOneTime(PlainPrekeys, "one_time_prekeys")...)
	bad = append(bad, u.validateOneTime(PQPrekeys, "pq_one_time_prekeys")...)
	if len(u.PQOneTime) > 0 && u.PQLastResort == nil {
		bad = append(bad, FieldError{"pq_last_resort_prekey", "is required with pq_one_time_prekeys"})
	}
	if len(bad) > 0 {
		return &Error{Code: CodeInvalidRequest, Fields: bad}
	}
	return nil
}

// validateOneTime checks the one-time keys of a kind. Plain ones have no signature.
func (u PrekeyUpload) validateOneTime(kind PrekeyKind, field string) (bad []FieldError) {
	keys := u.OneTimeOf(kind)
	if len(keys) > MaxPrekeysUploaded {
		return []FieldError{{field, "are more than 100"}}
	}
	check := func(i int, member string, key []byte) {
		if len(key) == 0 || len(key) > MaxPrekeyBytes {
			bad = append(bad, FieldError{fmt.Sprintf("%s/%d/%s", field, i, member), "must be 1 byte to 4 KiB"})
		}
	}
	seen := make(map[uint32]bool, len(keys))
	for i, k := range keys {
		check(i, "public_key", k.Public)
		if kind == PQPrekeys {
			check(i, "signature", k.Signature)
		}
		if seen[k.ID] {
			bad = append(bad, FieldError{fmt.Sprintf("%s/%d/key_id", field, i), "is given twice"})
		}
		seen[k.ID] = true
	}
	return bad
}

// OwnPrekeys tells the caller how many keys its devices have left.
func (s *Service) OwnPrekeys(ctx context.Context, c Caller) ([]PrekeyDevice, error) {
	if err := c.need(ScopeRead); err != nil {
		return nil, err
	}
	if err := s.spendRead(c); err != nil {
		return nil, err
	}
	return s.countedPrekeys(ctx, c.User)
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
	devices, err := s.store.PrekeyDevices(ctx, []UserID{user})
	if err != nil {
		return PrekeyBundle{}, Unavailable("look up the prekeys", err)
	}
	if len(devices) == 0 {
		return PrekeyBundle{}, Refuse(CodeNoPrekeys, "this user has uploaded no prekeys")
	}
	if err := s.prekeyFetchesOf.spend(ctx, string(c.User)+"/"+string(user), s.now()); err != nil {
		return PrekeyBundle{}, err
	}
	taken, failed := s.takePrekeys(ctx, devices)
	bundle := PrekeyBundle{User: user}
	for i, b := range taken {
		bundle.add(devices[i].Device, b)
	}
	switch {
	case len(bundle.Devices) > 0: // the keys taken are gone from the store: they must be given
		return bundle, nil
	case failed != nil:
		return PrekeyBundle{}, failed
	default:
		return PrekeyBundle{}, &Error{
			Code: CodePrekeysExhausted, Detail: "no device of this user has a prekey left", RetryAfter: prekeysRetry,
		}
	}
}

// prekeysRetry is what a caller is told to wait when no device has a key left.
const prekeysRetry = time.Minute

// add adds a device's part; nil is none.
func (b *PrekeyBundle) add(device DeviceID, part *DeviceBundle) {
	if part == nil {
		b.Unavailable = append(b.Unavailable, device)
		return
	}
	b.Devices = append(b.Devices, *part)
}

// takesAtOnce is how many keys one call takes at the same time.
const takesAtOnce = 32

// takePrekeys takes a key of each of the devices, in their order; nil is one that has none, or
// of which none could be taken. failed is why, if that is so of any. The devices that have few
// keys left are told.
func (s *Service) takePrekeys(ctx context.Context, devices []PrekeyDevice) (taken []*DeviceBundle, failed error) {
	taken = make([]*DeviceBundle, len(devices))
	failures := make([]error, len(devices))
	next := make(chan int)
	var takers sync.WaitGroup
	for range min(takesAtOnce, len(devices)) {
		takers.Go(func() {
			for i := range next {
				b, err := s.store.TakePrekey(ctx, devices[i])
				switch {
				case err == nil:
					taken[i] = &b
				case !errors.Is(err, ErrNotFound):
					failures[i] = err
				}
			}
		})
	}
	for i := range devices {
		next <- i
	}
	close(next)
	takers.Wait()
	if err := errors.Join(failures...); err != nil {
		s.log.Warn("some prekeys could not be taken", "error", err)
		failed = Unavailable("take a prekey", err)
	}
	s.tellLow(ctx, devices)
	return taken, failed
}

// tellLow tells those of the devices that have few one-time keys left. It counts them after
// all takes, so that of several callers the last one finds what is left.
func (s *Service) tellLow(ctx context.Context, devices []PrekeyDevice) {
	left, err := s.store.CountPrekeys(ctx, devices)
	if err != nil { // the keys are taken, and would be lost with an error
		s.log.Warn("the one-time prekeys that are left could not be counted", "error", err)
		return
	}
	for i, d := range devices {
		low := PrekeysLow{Device: d.Device, Left: left[i][PlainPrekeys]}
		if d.Gives(PQPrekeys) {
			low.PQLeft = new(left[i][PQPrekeys])
		}
		if low.Left < LowPrekeys || low.PQLeft != nil && *low.PQLeft < LowPrekeys {
			s.bus.Publish(Notice{Audience: []UserID{d.User}, PrekeysLow: &low})
		}
	}
}

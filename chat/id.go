package chat

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// ParseUserID checks a user id's form (docs/contract.md#names).
func ParseUserID(s string) (UserID, error) {
	if !validName(s) {
		return "", Invalid("user_id", nameRule)
	}
	if UserID(s) == ReservedUser {
		return "", Invalid("user_id", "is reserved")
	}
	return UserID(s), nil
}

// ParseDeviceID checks a device id's form (docs/contract.md#names).
func ParseDeviceID(s string) (DeviceID, error) {
	if !validName(s) {
		return "", Invalid("device_id", nameRule)
	}
	if s == string(ReservedUser) {
		return "", Invalid("device_id", "is reserved")
	}
	return DeviceID(s), nil
}

// StoreID names a store and, through that, what clients hold of it (docs/contract.md#names).
type StoreID [16]byte

// NewStoreID draws an id that no other store has.
func NewStoreID() StoreID { return StoreID(uuid.New()) }

// String spells the id as a UUID in lower case.
func (id StoreID) String() string { return uuid.UUID(id).String() }

// ParseStoreID reads what [StoreID.String] spells.
func ParseStoreID(s string) (StoreID, error) {
	id, err := uuid.Parse(s)
	if err != nil || id.String() != s {
		return StoreID{}, Invalid("store_id", "must be a UUID in lower case")
	}
	return StoreID(id), nil
}

const nameRule = "must be 1 to 64 of A-Z a-z 0-9 _ . - and start with a letter or digit"

func validName(s string) bool {
	if len(s) == 0 || len(s) > MaxNameChars {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '_' && c != '.' && c != '-') {
			return false
		}
	}
	return true
}

// ParseThreadID reads a UUID in its canonical lower-case form
// (docs/contract.md#names).
func ParseThreadID(s string) (ThreadID, error) {
	id, err := uuid.Parse(s)
	if err != nil || id.String() != s {
		return ThreadID{}, Invalid("thread_id", "must be a UUID in lower case")
	}
	return ThreadID(id), nil
}

// ParseMessageID reads a ULID in its canonical upper-case form
// (docs/contract.md#names).
func ParseMessageID(s string) (MessageID, error) {
	id, err := ulid.ParseStrict(s)
	if err != nil || id.String() != s {
		return MessageID{}, Invalid("id", "must be a ULID of 26 characters")
	}
	return id, nil
}

// newThreadID mints a UUIDv7 of the given instant, so that the id's time is the
// thread's creation.
func newThreadID(at time.Time) (ThreadID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return ThreadID{}, err
	}
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(at.UnixMilli()))
	copy(id[:6], ms[2:])
	return ThreadID(id), nil
}

// createdAt is the creation time inside a thread id.
func (id ThreadID) createdAt() time.Time {
	var ms [8]byte
	copy(ms[2:], id[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:]))).UTC()
}

// nextEventID mints the id that follows prev in one log: at the present
// millisecond, or at prev's if the clock is behind it, and always above prev.
func nextEventID(prev EventID, now time.Time) EventID {
	var id EventID
	ms := uint64(max(now.UnixMilli(), 0))
	if ms > prev.Time() {
		binary.BigEndian.PutUint16(id[6:], uint16(rand.Uint32())&0x7FFF) // room to count up within the millisecond
		binary.BigEndian.PutUint64(id[8:], rand.Uint64())
		_ = id.SetTime(ms)
		return id
	}
	low := binary.BigEndian.Uint64(prev[8:]) + 1 + uint64(rand.Uint32())
	high := binary.BigEndian.Uint64(prev[:8])
	if low <= binary.BigEndian.Uint64(prev[8:]) {
		high++ // the carry runs into the time once the entropy is used up: still above prev
	}
	binary.BigEndian.PutUint64(id[:8], high)
	binary.BigEndian.PutUint64(id[8:], low)
	return id
}

// NextInOrder is the lowest id above the given one; the highest of all stays itself.
func NextInOrder(id EventID) EventID {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]++; id[i] != 0 {
			return id
		}
	}
	for i := range id {
		id[i] = 0xFF
	}
	return id
}

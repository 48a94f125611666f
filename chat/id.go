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

// newThreadID mints a UUIDv7 that has the time of the event that creates the thread.
func newThreadID(created EventID) (ThreadID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return ThreadID{}, err
	}
	copy(id[:6], created[:6])
	binary.BigEndian.PutUint16(id[6:], 0x7000|binary.BigEndian.Uint16(created[6:])>>4)
	return ThreadID(id), nil
}

// creation is the lowest id of an event of the time at which the thread was created.
func (id ThreadID) creation() EventID {
	var e EventID
	copy(e[:6], id[:6])
	binary.BigEndian.PutUint16(e[6:], binary.BigEndian.Uint16(id[6:])<<4)
	return e
}

// nextEventID mints the id that follows prev in one log: of the present time, or of prev's
// if the clock is behind it, and always above prev. The first 12 bits behind the millisecond
// are the part of it that has passed, in units of 256 ns, so that the ids of different logs
// rise with the time too.
func nextEventID(prev EventID, now time.Time) EventID {
	id := EventIDAt(now)
	passed := uint16(now.Nanosecond() % int(time.Millisecond) >> 8) // up to 3,906: there is room to count up
	binary.BigEndian.PutUint16(id[6:], passed<<4|uint16(rand.Uint32())&0xF)
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	if id.Compare(prev) > 0 {
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

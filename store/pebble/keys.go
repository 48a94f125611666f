package pebble

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/parleyhq/parley/chat"
)

// The key space. Integers are big-endian, so that keys sort as their numbers do;
// thread ids and ULIDs are their 16 bytes. A user or device id is followed by a
// zero byte, which neither can hold, so that no id is a prefix of another. A
// place is a thread id and a seq.
//
//	v                                        format version of the store
//	N                                        a time above those of all ids
//	I                                        id of the store
//	e <thread> <seq8>                        the log: one event
//	t <thread> <ulid>                        seq of the event with that id
//	m <ulid>                                 place of the message with that id
//	c <thread> <user>0 <device>0 <n8>        seq of the message with client_seq n
//	i <day4> <user>0 <thread> <key>          place of the message sent with that idempotency key
//	y <thread> <seq8> n <emoji>              emoji of a message: seq it first came with, how many gave it
//	y <thread> <seq8> o <emoji>0 <seq8>      who gave the emoji with that event: user, time
//	y <thread> <seq8> u <user>0 <emoji>      that a user gave it: seq, time
//	x <expires8> <thread> <seq8>             a message that expires then and is not deleted
//	h <thread>                               head of the log
//	T <thread>                               thread: type, title, participants, pins
//	p <user>0 <user>                         1:1 thread of that pair, ids in order
//	s <thread> <user>0 <joined8>             stint: seq it ended at, or 0
//	u <user>0 <thread>                       a user's last stint: joined, left
//	r <thread> <kind1> <user>0 <seq8>        mark: message, time
//	d <user>0 <device>                       that a device has a position
//	D <user>0 <device>0 <thread>             position of a device in a thread: seq
//	l <user>                                 when the user was last connected
//	f <user>0 <device>                       kept subscriptions of a device
//	V <user>0 <device>                       when a device was first and last seen
//	W <user>0 <device>                       when its user removed a device, and the number of its last connection then
//	E <user>                                 when a device with prekeys last came, went or had another identity
//	k <user>0 <device>                       prekeys of a device but for the one-time ones
//	n <user>0 <device>                       numbers of the device's one-time prekeys, plain and PQ
//	o <user>0 <device>0 <id4>                one-time prekey
//	g <user>0 <device>0 <id4>                id of a one-time prekey that was taken
//	O <user>0 <device>0 <id4>                PQ one-time prekey: key, signature
//	G <user>0 <device>0 <id4>                id of a PQ one-time prekey that was taken
//	b <user>0 <blocked>                      block: time
//	q <day4> <user>0 <stranger>              when the user put a stranger into a thread
//	R <ulid>                                 report
//	f <message> <user>                       id of the report of that message by that user
//	a <sha256>                               denied attachment
//
// The day of an idempotency key is the UTC day on which its request was made: the old keys
// of many days are dropped by one range deletion, and so are old strangers. A time of expiry is unsigned: one before the
// epoch is stored as the epoch.
const (
	prefixFormat      = 'v'
	prefixCeiling     = 'N'
	prefixStoreID     = 'I'
	prefixEvent       = 'e'
	prefixEventID     = 't'
	prefixMessage     = 'm'
	prefixClientSeq   = 'c'
	prefixIdempotency = 'i'
	prefixReaction    = 'y'
	prefixExpiry      = 'x'
	prefixHead        = 'h'
	prefixThread      = 'T'
	prefixPair        = 'p'
	prefixStint       = 's'
	prefixUserThread  = 'u'
	prefixMark        = 'r'
	prefixPosition    = 'd'
	prefixThrough     = 'D'
	prefixLastSeen    = 'l'
	prefixFilters     = 'f'
	prefixSeen        = 'V'
	prefixRemoved     = 'W'
	prefixKeysChanged = 'E'
	prefixPrekeys     = 'k'
	prefixOneTimeLeft = 'n'
	prefixOneTime     = 'o'
	prefixTaken       = 'g'
	prefixPQOneTime   = 'O'
	prefixPQTaken     = 'G'
	prefixBlock       = 'b'
	prefixStranger    = 'q'
	prefixReport      = 'R'
	prefixReported    = 'f'
	prefixDenied      = 'a'
)

// seqLen is the length of a seq at a key's end.
const seqLen = 8

// lastSeq is above every seq of a log.
const lastSeq = chat.Seq(math.MaxUint64)

// keyRange is the keys with lower ≤ key < upper.
type keyRange struct{ lower, upper []byte }

// within is the range of all keys that begin with prefix.
func within(prefix []byte) keyRange {
	upper := append([]byte(nil), prefix...)
	for i := len(upper) - 1; i >= 0; i-- {
		if upper[i]++; upper[i] != 0 {
			return keyRange{prefix, upper[:i+1]}
		}
	}
	return keyRange{lower: prefix} // a prefix of 0xff alone, which no key has: to the end
}

func formatKey() []byte { return []byte{prefixFormat} }

func ceilingKey() []byte { return []byte{prefixCeiling} }

func storeIDKey() []byte { return []byte{prefixStoreID} }

func threadPrefix(prefix byte, t chat.ThreadID) []byte {
	return append(append(make([]byte, 0, 64), prefix), t[:]...)
}

func appendName[T ~string](key []byte, name T) []byte { return append(append(key, name...), 0) }

func appendSeq(key []byte, s chat.Seq) []byte { return binary.BigEndian.AppendUint64(key, uint64(s)) }

func eventKey(t chat.ThreadID, s chat.Seq) []byte { return appendSeq(threadPrefix(prefixEvent, t), s) }

// eventsBetween is the range of the events with after < seq < before.
func eventsBetween(t chat.ThreadID, after, before chat.Seq) keyRange {
	if after == lastSeq || before <= after {
		return keyRange{eventKey(t, after), eventKey(t, after)} // nothing
	}
	return keyRange{eventKey(t, after+1), eventKey(t, before)}
}

// seqOf is the seq at the end of a key.
func seqOf(key []byte) chat.Seq { return chat.Seq(binary.BigEndian.Uint64(key[len(key)-seqLen:])) }

func eventIDKey(t chat.ThreadID, id chat.EventID) []byte {
	return append(threadPrefix(prefixEventID, t), id[:]...)
}

// reactionsPrefix begins all keys of the reactions to a message.
func reactionsPrefix(at place) []byte {
	return appendSeq(threadPrefix(prefixReaction, at.thread), at.seq)
}

func emojisPrefix(at place) []byte { return append(reactionsPrefix(at), 'n') }

func giversPrefix(at place, emoji string) []byte {
	return appendName(append(reactionsPrefix(at), 'o'), emoji)
}

func reactorPrefix(at place, u chat.UserID) []byte {
	return appendName(append(reactionsPrefix(at), 'u'), u)
}

func messageKey(id chat.MessageID) []byte { return append([]byte{prefixMessage}, id[:]...) }

func clientSeqsPrefix(t chat.ThreadID, u chat.UserID, d chat.DeviceID) []byte {
	return appendName(appendName(threadPrefix(prefixClientSeq, t), u), d)
}

func clientSeqKey(t chat.ThreadID, u chat.UserID, d chat.DeviceID, n int64) []byte {
	return binary.BigEndian.AppendUint64(clientSeqsPrefix(t, u, d), uint64(n))
}

func headKey(t chat.ThreadID) []byte   { return threadPrefix(prefixHead, t) }
func threadKey(t chat.ThreadID) []byte { return threadPrefix(prefixThread, t) }

func pairKey(a, b chat.UserID) []byte {
	if b < a {
		a, b = b, a
	}
	return append(appendName([]byte{prefixPair}, a), b...)
}

func stintsPrefix(t chat.ThreadID) []byte { return threadPrefix(prefixStint, t) }

func stintKey(t chat.ThreadID, u chat.UserID, joined chat.Seq) []byte {
	return appendSeq(appendName(stintsPrefix(t), u), joined)
}

func parseStintKey(key []byte) (u chat.UserID, joined chat.Seq, err error) {
	const prefixLen = 1 + len(chat.ThreadID{})
	if len(key) < prefixLen+1+seqLen {
		return "", 0, fmt.Errorf("stint key %x is too short", key)
	}
	return chat.UserID(key[prefixLen : len(key)-seqLen-1]), seqOf(key), nil
}

func userThreadsPrefix(u chat.UserID) []byte { return appendName([]byte{prefixUserThread}, u) }

func userThreadKey(u chat.UserID, t chat.ThreadID) []byte {
	return append(userThreadsPrefix(u), t[:]...)
}

// threadAtEnd is the thread id at the end of a key.
func threadAtEnd(key []byte) chat.ThreadID {
	return chat.ThreadID(key[len(key)-len(chat.ThreadID{}):])
}

// markKinds are the kinds of marks and their bytes in keys.
var markKinds = map[chat.MarkKind]byte{chat.Delivered: 'd', chat.Read: 'r'}

func marksPrefix(t chat.ThreadID, kind chat.MarkKind, u chat.UserID) []byte {
	return appendName(append(threadPrefix(prefixMark, t), markKinds[kind]), u)
}

func markKey(m chat.Mark) []byte { return appendSeq(marksPrefix(m.Thread, m.Kind, m.User), m.Seq) }

func positionKey(u chat.UserID, d chat.DeviceID) []byte { return deviceKey(prefixPosition, u, d) }

func throughPrefix(u chat.UserID, d chat.DeviceID) []byte {
	return append(deviceKey(prefixThrough, u, d), 0)
}

func throughKey(u chat.UserID, d chat.DeviceID, t chat.ThreadID) []byte {
	return append(throughPrefix(u, d), t[:]...)
}

func keysChangedKey(u chat.UserID) []byte { return append([]byte{prefixKeysChanged}, u...) }

func lastSeenKey(u chat.UserID) []byte { return append([]byte{prefixLastSeen}, u...) }

func expiryKey(at time.Time, message place) []byte {
	key := binary.BigEndian.AppendUint64([]byte{prefixExpiry}, uint64(max(at.UnixMilli(), 0)))
	return appendSeq(append(key, message.thread[:]...), message.seq)
}

// expiredAt is the range of what expires up to a moment.
func expiredAt(now time.Time) keyRange {
	after := uint64(max(now.UnixMilli()+1, 0))
	return keyRange{[]byte{prefixExpiry}, binary.BigEndian.AppendUint64([]byte{prefixExpiry}, after)}
}

// placeAtEnd is the place at the end of a key.
func placeAtEnd(key []byte) place {
	return place{threadAtEnd(key[:len(key)-seqLen]), seqOf(key)}
}

// devicesPrefix begins the keys of one kind that a user's devices have.
func devicesPrefix(prefix byte, u chat.UserID) []byte { return appendName([]byte{prefix}, u) }

func deviceKey(prefix byte, u chat.UserID, d chat.DeviceID) []byte {
	return append(devicesPrefix(prefix, u), d...)
}

// oneTimePrefix begins the keys of a device's one-time prekeys, or of the ids of those
// that were taken.
func oneTimePrefix(prefix byte, u chat.UserID, d chat.DeviceID) []byte {
	return append(deviceKey(prefix, u, d), 0)
}

func oneTimeKey(prefix byte, u chat.UserID, d chat.DeviceID, id uint32) []byte {
	return binary.BigEndian.AppendUint32(oneTimePrefix(prefix, u, d), id)
}

// oneTimeID is the id at the end of a one-time prekey's key.
func oneTimeID(key []byte) uint32 { return binary.BigEndian.Uint32(key[len(key)-4:]) }

func blocksPrefix(u chat.UserID) []byte { return appendName([]byte{prefixBlock}, u) }

func blockKey(u, blocked chat.UserID) []byte { return append(blocksPrefix(u), blocked...) }

func reportKey(id chat.ReportID) []byte { return append([]byte{prefixReport}, id[:]...) }

func reportedKey(m chat.MessageID, by chat.UserID) []byte {
	return append(append([]byte{prefixReported}, m[:]...), by...)
}

func deniedKey(sha256 string) []byte { return append([]byte{prefixDenied}, sha256...) }

// day is a UTC day, counted from 1970.
type day uint32

func dayOf(t time.Time) day {
	return day(min(max(t.Unix()/(24*60*60), 0), math.MaxUint32-1))
}

// idempotencyKey is of a key that a user has used in a thread; of the zero thread for one
// that has created a thread.
func idempotencyKey(d day, u chat.UserID, t chat.ThreadID, key string) []byte {
	k := binary.BigEndian.AppendUint32([]byte{prefixIdempotency}, uint32(d))
	return append(append(appendName(k, u), t[:]...), key...)
}

// idempotencyName names an event's idempotency key whatever its day, or "".
func idempotencyName(e chat.Event) string {
	key, _ := e.Retry()
	if key == "" {
		return ""
	}
	return string(idempotencyKey(0, e.By, e.RetryIn(), key))
}

// idempotencyDaysBefore is the range of all idempotency keys of days before d.
func idempotencyDaysBefore(d day) keyRange {
	return keyRange{
		lower: []byte{prefixIdempotency},
		upper: binary.BigEndian.AppendUint32([]byte{prefixIdempotency}, uint32(d)),
	}
}

// checkName refuses an id that would make a key ambiguous. The domain lets no such id
// through, and the store checks again: one would mix up the data of two users.
func checkName[T ~string](name T) error {
	if strings.IndexByte(string(name), 0) >= 0 {
		return fmt.Errorf("the id %q holds a zero byte", name)
	}
	return nil
}

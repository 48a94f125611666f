package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/base"
)

// This file packs all values but events (eventcodec.go) and messages (messagecodec.go).
// How numbers, names and times are packed, codec.go says.

// place is where in which log an event stands.
type place struct {
	thread chat.ThreadID
	seq    chat.Seq
}

func encodePlace(p place) []byte { return binary.AppendUvarint(p.thread[:], uint64(p.seq)) }

func decodePlace(value []byte) (place, error) {
	d := decode(value)
	p := place{thread: d.id(), seq: d.seq()}
	return p, d.end()
}

func encodeSeq(s chat.Seq) []byte { return binary.AppendUvarint(nil, uint64(s)) }

func decodeSeq(value []byte) (chat.Seq, error) {
	d := decode(value)
	s := d.seq()
	return s, d.end()
}

func encodeCount(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func decodeCount(value []byte) (int, error) {
	d := decode(value)
	n := d.uvarint()
	if n > math.MaxInt32 && d.err == nil {
		d.err = fmt.Errorf("a count of %d", n)
	}
	return int(n), d.end()
}

func encodeThreadID(t chat.ThreadID) []byte { return t[:] }

func decodeThreadID(value []byte) (chat.ThreadID, error) {
	d := decode(value)
	t := chat.ThreadID(d.id())
	return t, d.end()
}

// headRecord is a head as it is stored, and whether the thread has pins: a deletion
// need not load a thread without pins.
type headRecord struct {
	chat.Head
	pinned bool
}

func encodeHead(h headRecord) []byte {
	b := make([]byte, 0, 64)
	b = append(binary.AppendUvarint(b, uint64(h.Seq)), h.ID[:]...)
	b = append(binary.AppendUvarint(b, uint64(h.LastMessageSeq)), h.LastMessage[:]...)
	b = appendStr(b, h.LastHiddenFrom)
	b = append(binary.AppendUvarint(b, uint64(h.LastShown.Seq)), h.LastShown.ID[:]...)
	b = appendBool(b, h.pinned)
	if h.LastMessageSeq > 0 {
		b = appendDrift(b, h.LastMessage, h.LastMessageAt)
	}
	if h.LastShown.Seq > 0 {
		b = appendDrift(b, h.LastShown.ID, h.LastShownAt)
	}
	if h.Epoch > 0 {
		b = append(binary.AppendUvarint(b, uint64(h.Epoch)), h.EpochMessage[:]...)
	}
	return b
}

func decodeHead(value []byte) (headRecord, error) {
	d := decode(value)
	h := headRecord{Head: chat.Head{
		Seq: d.seq(), ID: d.id(), LastMessageSeq: d.seq(), LastMessage: d.id(), LastHiddenFrom: chat.UserID(d.str()),
	}}
	h.LastShown.Seq, h.LastShown.ID = d.seq(), d.id()
	h.pinned = d.bool()
	drifts := d.rest != "" // format 3 had none
	at := func(id chat.MessageID, seq chat.Seq) time.Time {
		switch {
		case seq == 0:
			return time.Time{}
		case drifts:
			return d.drifted(id)
		}
		return chat.IDTime(id)
	}
	h.LastMessageAt = at(h.LastMessage, h.LastMessageSeq)
	h.LastShownAt = at(h.LastShown.ID, h.LastShown.Seq)
	if d.err == nil && d.rest != "" { // most threads have no epoch
		h.Epoch, h.EpochMessage = chat.Epoch(d.uvarint()), d.id()
		if h.Epoch == 0 && d.err == nil {
			d.err = errors.New("an epoch of 0 is never written")
		}
	}
	return h, d.end()
}

// membership is a user's last stint in a thread, and what the user keeps of the thread; left
// is 0 while the stint lasts.
type membership struct {
	joined, left chat.Seq
	own          chat.OwnState
}

// The flags of what a user keeps of a thread.
const (
	ownAccepted = 1 << iota
	ownPinned
	ownMarkedUnread
	ownMuted
	ownCustom
	ownFlags = 1<<iota - 1
)

// encodeMembership packs a stint. What nobody has changed, in a thread that was accepted from
// the start, takes nothing.
func encodeMembership(m membership) []byte {
	b := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(m.joined)), uint64(m.left))
	own := m.own
	if own.Revision == 0 && own.Accepted {
		return b
	}
	flags := byte(0)
	for flag, set := range map[byte]bool{
		ownAccepted: own.Accepted, ownPinned: own.Pinned, ownMarkedUnread: own.MarkedUnread,
		ownMuted: !own.MutedUntil.IsZero(), ownCustom: own.Custom.Set,
	} {
		if set {
			flags |= flag
		}
	}
	b = binary.AppendUvarint(binary.AppendUvarint(append(b, flags), own.Revision), uint64(own.ArchivedAt))
	if flags&ownMuted != 0 {
		b = appendTime(b, own.MutedUntil)
	}
	if flags&ownCustom != 0 {
		b = appendStr(b, own.Custom.Bytes)
	}
	return b
}

func decodeMembership(value []byte) (membership, error) {
	d := decode(value)
	m := membership{joined: d.seq(), left: d.seq()}
	if m.own = chat.FreshState(m.joined, false, 0); d.err != nil || d.rest == "" {
		return m, d.end()
	}
	flags := d.byte()
	if flags&^ownFlags != 0 && d.err == nil {
		d.err = fmt.Errorf("unknown flags %#x of what a user keeps", flags)
	}
	m.own.Accepted, m.own.Pinned, m.own.MarkedUnread = flags&ownAccepted != 0, flags&ownPinned != 0, flags&ownMarkedUnread != 0
	m.own.Revision, m.own.ArchivedAt = d.uvarint(), d.seq()
	if flags&ownMuted != 0 {
		m.own.MutedUntil = d.time()
	}
	if flags&ownCustom != 0 {
		m.own.Custom = chat.Custom{Set: true, Bytes: d.str()}
	}
	if m.own.Revision == 0 && m.own.Accepted && d.err == nil {
		d.err = errors.New("what nobody has changed is never written")
	}
	return m, d.end()
}

// encodeMark packs the fields of a mark that are not in its key.
func encodeMark(m chat.Mark) []byte {
	b := appendTime(m.Message[:], m.At)
	if m.Beside > 0 {
		b = binary.AppendUvarint(b, uint64(m.Beside))
	}
	return b
}

func decodeMark(m chat.Mark, value []byte) (chat.Mark, error) {
	d := decode(value)
	m.Message, m.At = d.id(), d.time()
	if d.rest != "" { // format 5 had no more
		m.Beside = d.seq()
	}
	return m, d.end()
}

const (
	threadVersion       = 5
	hiddenPinsVersion   = 5 // the first that says from whom pins are hidden
	pendingVersion      = 4 // the first that says who has to accept the thread
	oldestThreadVersion = 2 // without the ids of the events that people joined with
)

// encodeThread packs a thread without its id, which is in the key, and without its
// head, which has a key of its own because it moves with every message.
func encodeThread(t chat.Thread) []byte {
	b := append(make([]byte, 0, 64+32*len(t.Participants)), threadVersion)
	b = appendStr(appendStr(b, t.Type), t.Title)
	b = appendStr(appendTime(b, t.CreatedAt), t.CreatedBy)
	b = binary.AppendUvarint(b, uint64(len(t.Participants)))
	for _, p := range t.Participants {
		b = appendStr(appendStr(b, p.User), p.Role)
		b = append(binary.AppendUvarint(b, uint64(p.JoinedSeq)), p.JoinedID[:]...)
		b = appendBool(appendTime(b, p.JoinedAt), p.Pending)
	}
	b = binary.AppendUvarint(b, uint64(len(t.Pins)))
	for _, p := range t.Pins {
		b = appendTarget(b, chat.Target{ID: p.Message, Seq: p.Seq})
		b = appendStr(appendTime(appendStr(b, p.By), p.At), p.HiddenFrom)
	}
	return b
}

func decodeThread(id chat.ThreadID, value []byte) (chat.Thread, error) {
	d := decode(value)
	version := d.version(oldestThreadVersion, threadVersion)
	t := chat.Thread{
		ID: id, Type: chat.ThreadType(d.str()), Title: d.str(),
		CreatedAt: d.time(), CreatedBy: chat.UserID(d.str()),
	}
	n := d.count()
	t.Participants = make([]chat.Participant, 0, n)
	for range n {
		p := chat.Participant{User: chat.UserID(d.str()), Role: chat.Role(d.str()), JoinedSeq: d.seq()}
		if version > oldestThreadVersion {
			p.JoinedID = d.id()
		}
		p.JoinedAt = d.time()
		if version == oldestThreadVersion {
			p.JoinedID = base.JoinedIDAt(p.JoinedAt)
		}
		if version >= pendingVersion {
			p.Pending = d.bool()
		}
		t.Participants = append(t.Participants, p)
	}
	for range d.count() {
		p := chat.Pin{Message: d.id(), Seq: d.seq(), By: chat.UserID(d.str()), At: d.time()}
		if version >= hiddenPinsVersion {
			p.HiddenFrom = chat.UserID(d.str())
		}
		t.Pins = append(t.Pins, p)
	}
	return t, d.end()
}

// positionRecord says that a device has a position. How far that is in each thread
// stands under keys of its own, so that an acknowledgement writes only what it changes.
type positionRecord struct {
	acknowledged bool
	used         time.Time // when the position was last begun or raised
	old          *base.OldPosition
}

const (
	positionVersion       = 2
	oldestPositionVersion = 1 // the whole position in one value: see base.OldPosition
)

func encodePosition(p positionRecord) []byte {
	return appendTime(appendBool([]byte{positionVersion}, p.acknowledged), p.used)
}

func decodePosition(value []byte) (positionRecord, error) {
	d := decode(value)
	if d.version(oldestPositionVersion, positionVersion) == oldestPositionVersion {
		old := d.oldPosition()
		return positionRecord{old: &old}, d.end()
	}
	p := positionRecord{acknowledged: d.bool(), used: d.time()}
	return p, d.end()
}

func (d *decoder) oldPosition() base.OldPosition {
	p := base.OldPosition{Time: d.id(), Cursors: make(map[chat.ThreadID]chat.Seq)}
	for range d.count() {
		thread := chat.ThreadID(d.id())
		p.Cursors[thread] = d.seq()
	}
	return p
}

const seenVersion = 1

// encodeSeen packs when a device was seen. The device is in the key.
func encodeSeen(d chat.SeenDevice) []byte {
	return appendTime(appendTime([]byte{seenVersion}, d.FirstSeen), d.LastSeen)
}

func decodeSeen(value []byte) (chat.SeenDevice, error) {
	d := decode(value)
	d.version(seenVersion, seenVersion)
	seen := chat.SeenDevice{FirstSeen: d.time(), LastSeen: d.time()}
	return seen, d.end()
}

const removedVersion = 1

// encodeRemoved packs a removal. The device is in the key.
func encodeRemoved(r chat.Removal) []byte {
	return binary.AppendUvarint(appendTime([]byte{removedVersion}, r.At), uint64(r.Conn))
}

func decodeRemoved(value []byte) (chat.Removal, error) {
	d := decode(value)
	d.version(removedVersion, removedVersion)
	r := chat.Removal{At: d.time(), Conn: chat.Conn(d.uvarint())}
	return r, d.end()
}

const (
	prekeysVersion       = 2
	oldestPrekeysVersion = 1 // without the time of the identity, and without PQ keys
)

// encodePrekeys packs a device's prekeys without the one-time ones and their numbers,
// which have keys of their own: the numbers change whenever one is taken.
func encodePrekeys(p chat.PrekeyDevice) []byte {
	b := appendTime([]byte{prekeysVersion}, p.UpdatedAt)
	b = appendSignedPrekey(appendStr(b, p.Identity), p.Signed)
	b = appendLastResort(b, p.LastResort)
	return appendLastResort(appendTime(b, p.IdentityAt), p.PQLastResort)
}

func decodePrekeys(user chat.UserID, device chat.DeviceID, value []byte) (chat.PrekeyDevice, error) {
	d := decode(value)
	version := d.version(oldestPrekeysVersion, prekeysVersion)
	p := chat.PrekeyDevice{User: user, Device: device, UpdatedAt: d.time(), Identity: d.bytes(), Signed: d.signedPrekey()}
	p.LastResort, p.IdentityAt = d.lastResort(), p.UpdatedAt
	if version > oldestPrekeysVersion {
		p.IdentityAt, p.PQLastResort = d.time(), d.lastResort()
	}
	return p, d.end()
}

func appendLastResort(b []byte, key *chat.SignedPrekey) []byte {
	b = appendBool(b, key != nil)
	if key != nil {
		b = appendSignedPrekey(b, *key)
	}
	return b
}

func (d *decoder) lastResort() *chat.SignedPrekey {
	if !d.bool() {
		return nil
	}
	last := d.signedPrekey()
	return &last
}

// encodePrekeyCounts packs the numbers of a device's one-time keys. Those of a device that
// has no PQ keys look as they did when there was one number.
func encodePrekeyCounts(n chat.PrekeyCounts) []byte {
	b := encodeCount(n[chat.PlainPrekeys])
	if pq := n[chat.PQPrekeys]; pq > 0 {
		b = binary.AppendUvarint(b, uint64(pq))
	}
	return b
}

func decodePrekeyCounts(value []byte) (n chat.PrekeyCounts, err error) {
	d := decode(value)
	for kind := range n {
		if kind > 0 && d.rest == "" {
			break
		}
		count := d.uvarint()
		if count > math.MaxInt32 && d.err == nil {
			d.err = fmt.Errorf("a count of %d", count)
		}
		n[kind] = int(count)
	}
	return n, d.end()
}

func appendSignedPrekey(b []byte, p chat.SignedPrekey) []byte {
	return appendStr(appendStr(binary.AppendUvarint(b, uint64(p.ID)), p.Public), p.Signature)
}

func (d *decoder) signedPrekey() chat.SignedPrekey {
	id := d.uvarint()
	if id > math.MaxUint32 && d.err == nil {
		d.err = errors.New("a key id exceeds 32 bits")
	}
	return chat.SignedPrekey{Prekey: chat.Prekey{ID: uint32(id), Public: d.bytes()}, Signature: d.bytes()}
}

func encodeTime(t time.Time) []byte { return appendTime(nil, t) }

func decodeTime(value []byte) (time.Time, error) {
	d := decode(value)
	t := d.time()
	return t, d.end()
}

// The first version of a report had no time: its id told it.
const (
	reportVersion       = 2
	oldestReportVersion = 1
)

// encodeReport packs a report without its id, which is in the key.
func encodeReport(r chat.Report) []byte {
	b := append(append([]byte{reportVersion}, r.Thread[:]...), r.Message[:]...)
	return appendTime(appendStr(appendStr(appendStr(appendStr(b, r.Sender), r.By), r.Reason), r.Note), r.At)
}

func decodeReport(id chat.ReportID, value []byte) (chat.Report, error) {
	d := decode(value)
	version := d.version(oldestReportVersion, reportVersion)
	r := chat.Report{
		ID: id, Thread: d.id(), Message: d.id(), Sender: chat.UserID(d.str()), By: chat.UserID(d.str()),
		Reason: chat.ReportReason(d.str()), Note: d.str(), At: chat.IDTime(id),
	}
	if version > 1 {
		r.At = d.time()
	}
	return r, d.end()
}

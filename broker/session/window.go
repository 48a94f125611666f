package session

import (
	"slices"
	"sync"

	"github.com/parleyhq/parley/chat"
)

// window holds what was sent and not yet acknowledged, in the order of sending.
// No clock, no lock, no I/O.
//
// Invariants: entries are in rising frameSeq; at most limit of them, and at most
// receiveMax that carry a packet id. Only a run of acknowledged entries from the
// front is ever released, so the client holds everything that was released. An
// acknowledged event counts as received once no message of its own thread before it
// is unacknowledged; messages of other threads do not matter.
// Packet ids in it are distinct: they count up, and the window spans far fewer
// than there are. Only what an earlier connection was sent has a smaller one (addAgain).
type window struct {
	limit      int
	receiveMax int
	entries    []sent
	withPacket int
	lastPacket uint16
	// refused has the frame of each thread that the client was sent first and refused (a
	// PUBACK of 0x80 or above). Neither that frame nor what follows it in its thread counts
	// as received, or moves the device's position.
	refused map[chat.ThreadID]uint64

	array []sent // what entries lies in
	free  int    // places in front of entries, of released ones
}

// sent is one frame in flight.
type sent struct {
	frameSeq uint64
	packet   uint16 // 0: acknowledged by frameSeq only
	acked    bool
	counted  bool // as received

	durable bool // the rest is set
	thread  chat.ThreadID
	joined  chat.Seq // the event with which the user joined the stint it was sent in
	after   chat.Seq // the event of the thread sent before it
	seq     chat.Seq
	through chat.Seq       // seq, or the last of the events behind it that were not for the device
	message chat.MessageID // the message that is received with it; zero: none
	by      chat.UserID
	removal bool // of the user: it says nothing of what came before
}

// full reports whether a frame of that QoS must wait.
func (w *window) full(qos byte) bool {
	return len(w.entries) >= w.limit || qos > 0 && w.receiveMax > 0 && w.withPacket >= w.receiveMax
}

// add puts a frame in flight; it gives the packet id for QoS 1. The caller has
// asked full.
func (w *window) add(e sent, qos byte, packets bool) uint16 {
	if packets && qos > 0 {
		w.lastPacket++
		if w.lastPacket == 0 {
			w.lastPacket = 1
		}
		e.packet = w.lastPacket
		w.withPacket++
	}
	w.push(e)
	return e.packet
}

// addAgain puts a frame in flight that was in flight over an earlier connection. It has the
// packet id that it had there, unless that is taken.
func (w *window) addAgain(e sent, packet uint16) uint16 {
	if slices.ContainsFunc(w.entries, func(o sent) bool { return o.packet == packet }) {
		return w.add(e, 1, true)
	}
	e.packet = packet
	w.withPacket++
	w.push(e)
	return packet
}

// extend has the last entry of a thread stand for the events behind it, up to seq, which
// were not for the device. It reports false if no event of the thread is in flight, and
// true for a thread of which the client has refused a frame: its position stays.
func (w *window) extend(thread chat.ThreadID, seq chat.Seq) bool {
	if _, refused := w.refused[thread]; refused {
		return true
	}
	for i := len(w.entries) - 1; i >= 0; i-- {
		if e := &w.entries[i]; e.durable && e.thread == thread {
			e.through = seq
			return true
		}
	}
	return false
}

// push adds an entry. With as many free places as entries it takes these, so that a
// window in use keeps its array. One that grows past a few takes a spare.
func (w *window) push(e sent) {
	n := len(w.entries)
	switch {
	case n < cap(w.entries):
		w.entries = append(w.entries, e)
	case w.free >= max(n, 1):
		copy(w.array, w.entries)
		w.array[n] = e
		w.entries, w.free = w.array[:n+1], 0
	case n >= fewEntries && n < spareEntries && len(w.array) < spareEntries:
		w.move(spareArrays.Get().(*[spareEntries]sent)[:0], e)
	default:
		w.move(nil, e)
	}
}

// move has the entries, and one more, lie in another array.
func (w *window) move(to []sent, e sent) {
	before := w.array
	if to == nil {
		to = make([]sent, 0, max(1, 2*len(w.entries)))
	}
	w.entries = append(append(to, w.entries...), e)
	w.array, w.free = w.entries[:cap(w.entries)], 0
	spare(before)
}

// Arrays of windows with more than a few entries are recycled: bursts come again,
// and a window between them holds none.
const (
	fewEntries   = 64 // a spare is 28 KB
	spareEntries = 256
)

var spareArrays = sync.Pool{New: func() any { return new([spareEntries]sent) }}

// spare recycles an array that nothing refers to any more.
func spare(array []sent) {
	if len(array) == spareEntries {
		clear(array) // it points to names
		spareArrays.Put((*[spareEntries]sent)(array))
	}
}

// tidy gives up the array of an empty window, and with it what was released.
func (w *window) tidy() {
	if len(w.entries) == 0 {
		array := w.array
		w.entries, w.array, w.free = nil, nil, 0
		spare(array)
	}
}

// ackPackets acknowledges packet ids. It calls received with each event that counts as
// received by that, which is lent for the call, and gives the entries it releases,
// which are lent until the next add or tidy. An id that is not in flight is ignored,
// as MQTT asks.
func (w *window) ackPackets(ids []uint16, received func(*sent)) (released []sent) {
	before := w.entries
	for _, id := range ids {
		for i := range w.entries {
			e := &w.entries[i]
			if e.packet != id || id == 0 {
				continue
			}
			if !e.acked { // and not the same once more
				e.acked = true
				w.receive(e.thread, received)
				w.release()
			}
			break
		}
	}
	return before[:len(before)-len(w.entries)]
}

// refusePacket takes a frame that the client refused out of flight, as if it had been
// acknowledged, but it and what follows it in its thread never count as received.
func (w *window) refusePacket(id uint16) (released []sent) {
	before := w.entries
	for i := range w.entries {
		e := &w.entries[i]
		if e.packet != id || id == 0 {
			continue
		}
		if !e.acked {
			e.acked = true
			if e.durable && w.follows(e) {
				if w.refused == nil {
					w.refused = make(map[chat.ThreadID]uint64)
				}
				w.refused[e.thread] = e.frameSeq
			}
			w.release()
		}
		break
	}
	return before[:len(before)-len(w.entries)]
}

// follows reports whether the event follows no refused one in its thread, and is none.
func (w *window) follows(e *sent) bool {
	first, refused := w.refused[e.thread]
	return !refused || e.frameSeq < first
}

// receive counts the acknowledged events of a thread up to its first message that
// is not.
func (w *window) receive(thread chat.ThreadID, received func(*sent)) {
	for i := range w.entries {
		e := &w.entries[i]
		if !e.durable || e.thread != thread || e.counted {
			continue
		}
		if !w.follows(e) {
			break
		}
		if e.acked {
			e.counted = true
			received(e)
		} else if !e.message.IsZero() {
			break
		}
	}
}

// ackThrough acknowledges everything up to a frame number; see ackPackets.
func (w *window) ackThrough(frameSeq uint64, received func(*sent)) (released []sent) {
	var waiting map[chat.ThreadID]bool // for a message that is now acknowledged
	for i := range w.entries {
		e := &w.entries[i]
		if e.frameSeq > frameSeq {
			break
		}
		e.acked = true
		if !e.durable || e.counted || !w.follows(e) {
			continue
		}
		e.counted = true
		received(e)
		if w.withPacket > 0 { // acknowledged out of order, perhaps
			if waiting == nil {
				waiting = make(map[chat.ThreadID]bool)
			}
			waiting[e.thread] = true
		}
	}
	for thread := range waiting {
		w.receive(thread, received)
	}
	before := w.entries
	w.release()
	return before[:len(before)-len(w.entries)]
}

// release takes the acknowledged run at the front out.
func (w *window) release() {
	n := 0
	for n < len(w.entries) && w.entries[n].acked {
		if w.entries[n].packet != 0 {
			w.withPacket--
		}
		n++
	}
	w.entries, w.free = w.entries[n:], w.free+n
}

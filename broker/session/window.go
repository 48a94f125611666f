package session

import "github.com/parleyhq/parley/chat"

// window holds what was sent and not yet acknowledged, in the order of sending.
// It is pure: no clock, no lock, no I/O.
//
// Invariants: entries are in rising frameSeq; at most limit of them, and at most
// receiveMax that carry a packet id; only a run of acknowledged entries from the
// front is ever released, so what was released is exactly what a client holds. An
// acknowledged event counts as received once no message of its own thread before
// it is missing, whatever is of others.
// Packet ids in it are distinct: they count up, and the window spans far fewer
// than there are.
type window struct {
	limit      int
	receiveMax int
	entries    []sent
	withPacket int
	lastPacket uint16

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
	joined  chat.Seq // the event with which the user joined the stay it was sent in
	after   chat.Seq // the event of the thread sent before it
	seq     chat.Seq
	id      chat.EventID
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

// push adds an entry. With as many free places as entries it takes these, so that a
// window in use keeps its array.
func (w *window) push(e sent) {
	n := len(w.entries)
	switch {
	case n < cap(w.entries):
		w.entries = append(w.entries, e)
	case w.free >= max(n, 1):
		copy(w.array, w.entries)
		w.array[n] = e
		w.entries, w.free = w.array[:n+1], 0
	default:
		w.entries = append(w.entries, e)
		w.array, w.free = w.entries[:cap(w.entries)], 0
	}
}

// ackPacket acknowledges one packet id. It gives the events that count as received
// by that, and the entries it releases, which are lent until the next add. An id that
// is not in flight is ignored, as MQTT asks.
func (w *window) ackPacket(id uint16) (received, released []sent) {
	for i := range w.entries {
		if e := &w.entries[i]; e.packet == id && id != 0 {
			e.acked = true
			received = w.receive(e.thread)
			break
		}
	}
	return received, w.release()
}

// receive counts the acknowledged events of a thread up to its first message that
// is not.
func (w *window) receive(thread chat.ThreadID) (received []sent) {
	for i := range w.entries {
		e := &w.entries[i]
		if !e.durable || e.thread != thread || e.counted {
			continue
		}
		if e.acked {
			e.counted = true
			received = append(received, *e)
		} else if !e.message.IsZero() {
			break
		}
	}
	return received
}

// ackThrough acknowledges everything up to a frame number; see ackPacket.
func (w *window) ackThrough(frameSeq uint64) (received, released []sent) {
	waiting := make(map[chat.ThreadID]bool) // for a message that is now acknowledged
	for i := range w.entries {
		e := &w.entries[i]
		if e.frameSeq > frameSeq {
			break
		}
		e.acked = true
		if e.durable && !e.counted {
			e.counted = true
			received = append(received, *e)
			waiting[e.thread] = true
		}
	}
	if w.withPacket > 0 { // acknowledged out of order, perhaps
		for thread := range waiting {
			received = append(received, w.receive(thread)...)
		}
	}
	return received, w.release()
}

func (w *window) release() []sent {
	n := 0
	for n < len(w.entries) && w.entries[n].acked {
		if w.entries[n].packet != 0 {
			w.withPacket--
		}
		n++
	}
	released := w.entries[:n:n]
	w.entries, w.free = w.entries[n:], w.free+n
	if len(w.entries) == 0 {
		w.entries, w.array, w.free = nil, nil, 0 // an idle window holds no memory
	}
	return released
}

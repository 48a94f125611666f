package session

import (
	"math"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/parleyhq/parley/chat"
)

// inFlight is what a connection was sent with a packet id and has not acknowledged. If its
// MQTT session goes on over another connection, these frames are sent again as what they
// are: with the DUP flag, and with their packet ids where these are free (MQTT 5, 4.4). Which
// frames a device gets again does not depend on it: the device's position says that.
type inFlight struct {
	packets map[place]uint16
	last    uint16 // the last packet id given
}

// place is where an event stands in the logs.
type place struct {
	thread chat.ThreadID
	seq    chat.Seq
}

// left is what the session leaves in flight, together with what it took on from an earlier
// connection and has not sent again.
func (s *Session) left() inFlight {
	f := inFlight{last: s.window.lastPacket}
	add := func(at place, packet uint16) {
		if len(f.packets) < s.window.limit {
			if f.packets == nil {
				f.packets = make(map[place]uint16)
			}
			f.packets[at] = packet
		}
	}
	for i := range s.window.entries {
		if e := &s.window.entries[i]; e.durable && e.packet != 0 && !e.acked {
			add(place{e.thread, e.seq}, e.packet)
		}
	}
	for at, packet := range s.again {
		add(at, packet)
	}
	return f
}

// sentBefore gives the packet id with which an event is in flight from an earlier connection,
// once; zero if it is not.
func (s *Session) sentBefore(e *sent) uint16 {
	if len(s.again) == 0 || !e.durable {
		return 0
	}
	at := place{e.thread, e.seq}
	packet := s.again[at]
	delete(s.again, at)
	return packet
}

// inFlights holds what is in flight to devices that are away. It is in memory only, and
// bounded: of what it does not know, frames come again as new ones.
type inFlights struct {
	mu      sync.Mutex
	devices *simplelru.LRU[keptKey, inFlight] // bounded by their frames, not by its own size
	frames  int
}

// maxInFlight is how many frames are remembered of all devices that are away: 16 MB at most.
const maxInFlight = 1 << 18

// put remembers what a device's connection left. What it put before was popped.
func (f *inFlights) put(key keptKey, left inFlight) {
	if len(left.packets) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.devices == nil {
		f.devices, _ = simplelru.NewLRU(math.MaxInt, func(_ keptKey, gone inFlight) { f.frames -= len(gone.packets) }) // fails for a size of 0 only
	}
	f.devices.Remove(key)
	f.devices.Add(key, left)
	for f.frames += len(left.packets); f.frames > maxInFlight; {
		f.devices.RemoveOldest()
	}
}

// pop gives what a device's last connection left, and forgets it.
func (f *inFlights) pop(key keptKey) (left inFlight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.devices != nil {
		left, _ = f.devices.Peek(key)
		f.devices.Remove(key)
	}
	return left
}

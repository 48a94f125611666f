package session

import (
	"slices"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// interest is what a session has subscribed, each filter with its QoS. What a filter
// matches, contracts.Filter says (contracts/topics.go). The zero value is nothing. Only one
// interest of a session is changed. Others get it as it is by share, and a change leaves what
// they got: it copies the filters first, once for all changes until the next share.
type interest struct {
	everything bool // a JSON connection
	filters    []subscription
	places     map[string]int // of the filters, by name; only of the one that is changed
	bytes      int            // of the names
	own        bool           // nobody else has the filters
}

type subscription struct {
	name   string // the filter as it was sent
	filter contracts.Filter
	qos    byte
}

// grant tells whether a topic is wanted, and with which QoS.
type grant struct {
	ok  bool
	qos byte
}

// Bounds of the subscriptions of one session.
const (
	maxFilters      = 1024
	maxFilterBytes  = 256
	maxFiltersBytes = 96 << 10 // of all names together: as many filters as allowed, of usual length
	// maxUserFiltersBytes bounds those of all connections of a user together. Connections that
	// subscribe at the same time may exceed it by a filter each, and those that find kept
	// subscriptions again by what is kept, which has the same bound.
	maxUserFiltersBytes = chat.MaxKeptBytes
)

// add sets a filter. fresh is false if it only replaced the same one, and changed is false if
// that had the same QoS.
func (i *interest) add(name string, f contracts.Filter, qos byte) (ok, fresh, changed bool) {
	sub := subscription{name, f, qos}
	if at := i.place(name); at >= 0 {
		if changed = i.filters[at].qos != qos; changed {
			i.makeOwn()
			i.filters[at] = sub
		}
		return true, false, changed
	}
	if len(i.filters) >= maxFilters || i.bytes+len(name) > maxFiltersBytes {
		return false, false, false
	}
	// Whoever shares the memory has an end before it.
	i.filters = append(i.filters, sub)
	i.places[name] = len(i.filters) - 1
	i.bytes += len(name)
	return true, true, true
}

// remove takes a filter away. The last one gets its place.
func (i *interest) remove(name string) bool {
	at := i.place(name)
	if at < 0 {
		return false
	}
	i.makeOwn()
	end := len(i.filters) - 1
	i.filters[at] = i.filters[end]
	i.places[i.filters[at].name] = at
	i.filters[end] = subscription{} // holds nothing any more
	i.filters = i.filters[:end]
	delete(i.places, name)
	i.bytes -= len(name)
	return true
}

// share gives the interest as it is now, which later changes leave alone.
func (i *interest) share() interest {
	i.own = false
	return interest{everything: i.everything, filters: i.filters}
}

// makeOwn makes the filters nobody else's, to be changed in place.
func (i *interest) makeOwn() {
	if !i.own {
		i.filters, i.own = slices.Clone(i.filters), true
	}
}

// size is how long the names are together.
func (i *interest) size() int {
	if i.places != nil {
		return i.bytes
	}
	n := 0
	for _, sub := range i.filters {
		n += len(sub.name)
	}
	return n
}

// place is where a filter is, or -1.
func (i *interest) place(name string) int {
	if i.places == nil {
		i.places, i.bytes = make(map[string]int, len(i.filters)), 0
		for at, sub := range i.filters {
			i.places[sub.name] = at
			i.bytes += len(sub.name)
		}
		i.filters = slices.Clip(i.filters) // they may be shared with another session
	}
	if at, there := i.places[name]; there {
		return at
	}
	return -1
}

// frames tells whether a thread's frames are wanted; of overlapping filters the
// highest QoS counts.
func (i *interest) frames(thread chat.ThreadID) grant {
	return i.match(func(f contracts.Filter) bool { return f.CoversThread(thread) })
}

// typing tells whether a thread's typing is wanted, presence whether a user's
// presence is; neither is ever sent with more than QoS 0.
func (i *interest) typing(thread chat.ThreadID) bool {
	return i.match(func(f contracts.Filter) bool { return f.CoversTyping(thread) }).ok
}

func (i *interest) signal(thread chat.ThreadID, name string) bool {
	return i.match(func(f contracts.Filter) bool { return f.CoversSignal(thread, name) }).ok
}

func (i *interest) presence(user chat.UserID) bool {
	return i.match(func(f contracts.Filter) bool { return f.CoversPresence(user) }).ok
}

// anyPresence tells whether somebody's presence is wanted.
func (i *interest) anyPresence() bool {
	return i.match(func(f contracts.Filter) bool { return f.Presence }).ok
}

// reply tells whether what answers a publish is wanted on that topic.
func (i *interest) reply(topic string) bool {
	return slices.ContainsFunc(i.filters, func(sub subscription) bool { return contracts.FilterMatches(sub.name, topic) })
}

// device tells whether the device's own frames are.
func (i *interest) device() grant {
	if i.everything {
		return grant{ok: true}
	}
	g := i.match(func(f contracts.Filter) bool { return f.DeviceFrames })
	g.qos = 0
	return g
}

// anyFrames reports whether some thread's frames are wanted.
func (i *interest) anyFrames() bool {
	return i.match(func(f contracts.Filter) bool { return f.Frames }).ok
}

func (i *interest) match(covers func(contracts.Filter) bool) grant {
	if i.everything {
		return grant{ok: true, qos: 1}
	}
	var g grant
	for _, sub := range i.filters {
		if covers(sub.filter) {
			g.ok, g.qos = true, max(g.qos, sub.qos)
		}
	}
	return g
}

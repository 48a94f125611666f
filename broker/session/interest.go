package session

import (
	"maps"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// interest is what a session has subscribed. The zero value is nothing. It is a
// value: a change makes a new map, so that the pump can go by a copy.
type interest struct {
	everything bool // a JSON connection
	filters    map[string]subscription
}

type subscription struct {
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
	maxFilters     = 1024
	maxFilterBytes = 256
)

// add sets a filter. fresh is false if it only replaced the same one.
func (i *interest) add(name string, f contracts.Filter, qos byte) (ok, fresh bool) {
	_, had := i.filters[name]
	if !had && len(i.filters) >= maxFilters {
		return false, false
	}
	filters := maps.Clone(i.filters)
	if filters == nil {
		filters = make(map[string]subscription)
	}
	filters[name] = subscription{f, qos}
	i.filters = filters
	return true, !had
}

func (i *interest) remove(name string) bool {
	_, had := i.filters[name]
	if had {
		i.filters = maps.Clone(i.filters)
		delete(i.filters, name)
	}
	return had
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

func (i *interest) presence(user chat.UserID) bool {
	return i.match(func(f contracts.Filter) bool { return f.CoversPresence(user) }).ok
}

// reply tells whether what answers a publish is wanted on that topic.
func (i *interest) reply(topic string) bool {
	for name := range i.filters {
		if contracts.FilterMatches(name, topic) {
			return true
		}
	}
	return false
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

// anyFrames reports whether some thread's frames are wanted, allFrames whether
// those of every thread are.
func (i *interest) anyFrames() bool {
	return i.match(func(f contracts.Filter) bool { return f.Frames }).ok
}

func (i *interest) allFrames() bool {
	return i.match(func(f contracts.Filter) bool { return f.Frames && f.AnyThread }).ok
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

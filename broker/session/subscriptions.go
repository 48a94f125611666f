package session

import (
	"slices"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// interest is what a session has subscribed, each filter with its QoS. What a filter
// matches, contracts.Filter says (contracts/topics.go). The zero value is nothing. It is a
// value: a change makes a new list, so that the writer can go by a copy.
type interest struct {
	everything bool // a JSON connection
	filters    []subscription
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
	maxFilters     = 1024
	maxFilterBytes = 256
)

// add sets a filter. fresh is false if it only replaced the same one.
func (i *interest) add(name string, f contracts.Filter, qos byte) (ok, fresh bool) {
	at := i.place(name)
	if at < 0 && len(i.filters) >= maxFilters {
		return false, false
	}
	sub := subscription{name, f, qos}
	if at < 0 {
		i.filters = append(slices.Clip(i.filters), sub)
		return true, true
	}
	i.filters = slices.Clone(i.filters)
	i.filters[at] = sub
	return true, false
}

func (i *interest) remove(name string) bool {
	at := i.place(name)
	if at >= 0 {
		i.filters = slices.Delete(slices.Clone(i.filters), at, at+1)
	}
	return at >= 0
}

func (i *interest) place(name string) int {
	return slices.IndexFunc(i.filters, func(sub subscription) bool { return sub.name == name })
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

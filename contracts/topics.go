package contracts

import (
	"strings"
	"unicode/utf8"

	"github.com/parleyhq/parley/chat"
)

// The topic tree of docs/contract.md#mqtt. This file is the only place that
// knows how topics are spelled; everything else works with the parsed [Topic]
// and [Filter].
const (
	topicRoot     = "v1"
	levelThreads  = "threads"
	levelPresence = "presence"
	levelDevices  = "devices"
	leafFrames    = "frames"
	leafTyping    = "typing"
	leafSignals   = "signals"
	leafMessages  = "messages"
	leafUp        = "up"
	leafAuth      = "auth"
	sharePrefix   = "$share"
)

// TopicKind says which place in the tree a topic has.
type TopicKind int

// The topics of docs/contract.md#mqtt: the server publishes frames to the first
// five, clients publish to the last five.
const (
	TopicUnknown        TopicKind = iota
	TopicThreadFrames             // v1/threads/{id}/frames
	TopicDeviceFrames             // v1/devices/{id}/frames
	TopicPresence                 // v1/presence/{id}
	TopicThreadTyping             // v1/threads/{id}/typing
	TopicThreadSignal             // v1/threads/{id}/signals/{name}
	TopicThreadMessages           // v1/threads/{id}/messages
	TopicDeviceUp                 // v1/devices/{id}/up
	TopicDeviceAuth               // v1/devices/{id}/auth
)

// Topic is a topic name in its parts. Parts that its kind does not have are zero.
type Topic struct {
	Kind   TopicKind
	Thread chat.ThreadID
	Device chat.DeviceID
	User   chat.UserID
	Name   string // of a signal
}

// String spells a topic that the server publishes to.
func (t Topic) String() string {
	switch t.Kind {
	case TopicThreadFrames:
		return topicName(levelThreads, t.Thread.String(), leafFrames)
	case TopicThreadTyping:
		return topicName(levelThreads, t.Thread.String(), leafTyping)
	case TopicThreadSignal:
		return topicName(levelThreads, t.Thread.String(), leafSignals, t.Name)
	case TopicDeviceFrames:
		return topicName(levelDevices, string(t.Device), leafFrames)
	case TopicPresence:
		return topicName(levelPresence, string(t.User))
	default:
		return ""
	}
}

func topicName(levels ...string) string {
	return topicRoot + "/" + strings.Join(levels, "/")
}

// maxReplyTopic bounds a response topic, in bytes.
const maxReplyTopic = 256

// IsReplyTopic reports whether the server may publish answers to a response topic: it must
// be below the device's own level, and not one of the topics that have a meaning there
// (docs/contract.md#mqtt). For example, v1/devices/phone/replies is one for the
// device phone.
func IsReplyTopic(name string, device chat.DeviceID) bool {
	rest, below := strings.CutPrefix(name, topicName(levelDevices, string(device), ""))
	return below && rest != "" && rest != leafFrames && rest != leafUp && rest != leafAuth &&
		len(name) <= maxReplyTopic && !strings.ContainsAny(rest, "+#\x00")
}

// FilterMatches reports whether a well-formed topic filter matches a topic name
// (MQTT 5, 4.7).
func FilterMatches(filter, name string) bool {
	for {
		wanted, filterRest, moreFilter := strings.Cut(filter, "/")
		if wanted == "#" {
			return true
		}
		level, nameRest, moreName := strings.Cut(name, "/")
		if wanted != "+" && wanted != level {
			return false
		}
		switch {
		case !moreFilter && !moreName:
			return true
		case moreFilter && !moreName:
			return filterRest == "#" // a/# matches a
		case !moreFilter:
			return false
		}
		filter, name = filterRest, nameRest
	}
}

// ParseTopic reads the topic name of a PUBLISH from a client. A topic that clients may not
// publish to is TopicUnknown.
func ParseTopic(name string) Topic {
	levels := strings.Split(name, "/")
	if len(levels) == 5 && levels[0] == topicRoot && levels[1] == levelThreads && levels[3] == leafSignals {
		return signalTopic(levels[2], levels[4])
	}
	if len(levels) != 4 || levels[0] != topicRoot {
		return Topic{}
	}
	switch area, id, leaf := levels[1], levels[2], levels[3]; area {
	case levelThreads:
		thread, err := chat.ParseThreadID(id)
		if err != nil {
			return Topic{}
		}
		switch leaf {
		case leafTyping:
			return Topic{Kind: TopicThreadTyping, Thread: thread}
		case leafMessages:
			return Topic{Kind: TopicThreadMessages, Thread: thread}
		}
	case levelDevices:
		device, err := chat.ParseDeviceID(id)
		switch {
		case err == nil && leaf == leafUp:
			return Topic{Kind: TopicDeviceUp, Device: device}
		case err == nil && leaf == leafAuth:
			return Topic{Kind: TopicDeviceAuth, Device: device}
		}
	}
	return Topic{}
}

func signalTopic(id, name string) Topic {
	thread, err := chat.ParseThreadID(id)
	if err != nil || !chat.ValidSignalName(name) {
		return Topic{}
	}
	return Topic{Kind: TopicThreadSignal, Thread: thread, Name: strings.Clone(name)}
}

// FilterError says why the server refuses a topic filter.
type FilterError string

func (e FilterError) Error() string { return string(e) }

// The reasons to refuse a filter. Each has a SUBACK code of its own
// (docs/contract.md#mqtt).
const (
	ErrFilterMalformed FilterError = "malformed topic filter"
	ErrFilterShared    FilterError = "shared subscriptions are not supported"
	ErrFilterOutside   FilterError = "topic filter outside the tree"
)

// Filter is a topic filter within the tree, parsed: it says which of the topics that the
// server publishes to are covered.
type Filter struct {
	// Threads: topics of threads are covered, of the one named or, with AnyThread, of
	// all threads that the subscriber is in.
	Threads   bool
	Thread    chat.ThreadID
	AnyThread bool
	Frames    bool // the frames topics of these threads are covered
	Typing    bool // the typing topics of these threads are covered
	// Signals: the topics of these threads' signals are covered, of that name or, if it is
	// "", of all names.
	Signals bool
	Signal  string

	// Presence: the presence of the user named is covered or, with AnyUser, that of all
	// users whose presence the subscriber may see.
	Presence bool
	User     chat.UserID
	AnyUser  bool

	// Devices: topics of the device named are covered or, with OwnDevice, of the
	// subscriber's own.
	Devices      bool
	Device       chat.DeviceID
	OwnDevice    bool
	DeviceFrames bool // the device's frames topic is covered
	DeviceOthers bool // others of the device's topics are, where answers may be published
}

// MatchesNothing reports whether the server publishes to no topic that the filter covers.
func (f Filter) MatchesNothing() bool {
	return !f.Frames && !f.Typing && !f.Signals && !f.Presence && !f.DeviceFrames && !f.DeviceOthers
}

// CoversThread reports whether the filter covers the frames topic of that thread.
func (f Filter) CoversThread(id chat.ThreadID) bool {
	return f.Frames && (f.AnyThread || f.Thread == id)
}

// CoversTyping reports whether the filter covers the typing topic of that thread.
func (f Filter) CoversTyping(id chat.ThreadID) bool {
	return f.Typing && (f.AnyThread || f.Thread == id)
}

// CoversSignal reports whether the filter covers the topic of that thread's signals of that
// name.
func (f Filter) CoversSignal(id chat.ThreadID, name string) bool {
	return f.Signals && (f.AnyThread || f.Thread == id) && (f.Signal == "" || f.Signal == name)
}

// CoversPresence reports whether the filter covers the presence of that user.
func (f Filter) CoversPresence(id chat.UserID) bool {
	return f.Presence && (f.AnyUser || f.User == id)
}

// ParseFilter reads a topic filter (docs/contract.md#mqtt). It does not know
// who may see what: the caller has to check the thread, user or device that the
// filter names. Its errors are of type [FilterError].
func ParseFilter(filter string) (Filter, error) {
	if !wellFormed(filter) {
		return Filter{}, ErrFilterMalformed
	}
	levels := strings.Split(filter, "/")
	if levels[0] == sharePrefix {
		return Filter{}, ErrFilterShared
	}
	if levels[0] != topicRoot || len(levels) < 2 {
		return Filter{}, ErrFilterOutside
	}
	if filter == topicRoot+"/#" {
		return Filter{
			Threads: true, AnyThread: true, Frames: true, Typing: true, Signals: true,
			Presence: true, AnyUser: true,
			Devices: true, OwnDevice: true, DeviceFrames: true, DeviceOthers: true,
		}, nil
	}
	if len(levels) < 3 {
		return Filter{}, ErrFilterOutside
	}
	switch levels[1] {
	case levelThreads:
		return threadFilter(levels[2], levels[3:])
	case levelPresence:
		return presenceFilter(levels[2], levels[3:])
	case levelDevices:
		device, err := chat.ParseDeviceID(levels[2])
		if err != nil {
			return Filter{}, ErrFilterOutside
		}
		rest := strings.Join(levels[3:], "/")
		return Filter{
			Devices: true, Device: device, DeviceFrames: covers(levels[3:], leafFrames),
			DeviceOthers: rest != "" && rest != leafFrames && rest != leafUp && rest != leafAuth,
		}, nil
	}
	return Filter{}, ErrFilterOutside
}

func threadFilter(name string, rest []string) (Filter, error) {
	f := Filter{Threads: true, Frames: covers(rest, leafFrames), Typing: covers(rest, leafTyping)}
	f.Signals, f.Signal = coversSignals(rest)
	switch name {
	case "#":
		f.AnyThread, f.Frames, f.Typing, f.Signals = true, true, true, true
	case "+":
		f.AnyThread = true
	default:
		var err error
		if f.Thread, err = chat.ParseThreadID(name); err != nil {
			return Filter{}, ErrFilterOutside
		}
	}
	return f, nil
}

func presenceFilter(name string, rest []string) (Filter, error) {
	f := Filter{Presence: len(rest) == 0 || rest[0] == "#"}
	switch name {
	case "#", "+":
		f.AnyUser = true
	default:
		var err error
		if f.User, err = chat.ParseUserID(name); err != nil {
			return Filter{}, ErrFilterOutside
		}
	}
	return f, nil
}

// covers reports whether the levels of a filter that follow a thread's or device's name
// match leaf.
func covers(rest []string, leaf string) bool {
	switch len(rest) {
	case 1:
		return rest[0] == leaf || rest[0] == "+" || rest[0] == "#"
	case 2:
		return (rest[0] == leaf || rest[0] == "+") && rest[1] == "#"
	}
	return false
}

// coversSignals reports whether the levels of a filter that follow a thread's name match
// topics of signals: those of one name or, if it is "", of all.
func coversSignals(rest []string) (ok bool, name string) {
	if len(rest) == 3 && rest[2] == "#" { // a/# matches a
		rest = rest[:2]
	}
	switch {
	case len(rest) == 1:
		return rest[0] == "#", ""
	case len(rest) != 2 || rest[0] != leafSignals && rest[0] != "+":
		return false, ""
	case rest[1] == "#" || rest[1] == "+":
		return true, ""
	}
	if !chat.ValidSignalName(rest[1]) {
		return false, ""
	}
	return true, rest[1]
}

// wellFormed checks MQTT's own rules for a filter (MQTT 5, 4.7.1 and 4.7.3).
func wellFormed(filter string) bool {
	if filter == "" || len(filter) > 65535 || !utf8.ValidString(filter) || strings.ContainsRune(filter, 0) {
		return false
	}
	for i, level := range strings.Split(filter, "/") {
		if strings.ContainsAny(level, "+#") && len(level) > 1 {
			return false
		}
		if level == "#" && i != strings.Count(filter, "/") {
			return false
		}
	}
	return true
}

package contracts

import (
	"errors"
	"strings"
	"testing"
)

const topicThread = "01970c2e-3c00-7000-8000-000000000001"

func TestFiltersWithinTheTree(t *testing.T) {
	thread := mustThread(topicThread)
	everything := Filter{
		Threads: true, AnyThread: true, Frames: true, Typing: true, Signals: true, Presence: true, AnyUser: true,
		Devices: true, OwnDevice: true, DeviceFrames: true, DeviceOthers: true,
	}
	for name, want := range map[string]Filter{
		"v1/#":                   everything,
		"v1/threads/#":           {Threads: true, AnyThread: true, Frames: true, Typing: true, Signals: true},
		"v1/threads/+/signals/+": {Threads: true, AnyThread: true, Signals: true},
		"v1/threads/+/signals/#": {Threads: true, AnyThread: true, Signals: true},
		"v1/threads/+/+/+":       {Threads: true, AnyThread: true, Signals: true},
		"v1/threads/+/+/ring":    {Threads: true, AnyThread: true, Signals: true, Signal: "ring"},
		"v1/threads/+/+/#":       {Threads: true, AnyThread: true, Frames: true, Typing: true, Signals: true},
		"v1/threads/" + topicThread + "/signals/ring/#": {Threads: true, Thread: thread, Signals: true, Signal: "ring"},
		"v1/threads/+/signals":                          {Threads: true, AnyThread: true},
		"v1/threads/+/signals/Ring":                     {Threads: true, AnyThread: true},
		"v1/threads/+/signals/ring/more":                {Threads: true, AnyThread: true},
		"v1/threads/+/frames":                           {Threads: true, AnyThread: true, Frames: true},
		"v1/threads/+/typing":                           {Threads: true, AnyThread: true, Typing: true},
		"v1/threads/+/+":                                {Threads: true, AnyThread: true, Frames: true, Typing: true},
		"v1/threads/+":                                  {Threads: true, AnyThread: true},
		"v1/threads/" + topicThread + "/frames":         {Threads: true, Thread: thread, Frames: true},
		"v1/threads/" + topicThread + "/#":              {Threads: true, Thread: thread, Frames: true, Typing: true, Signals: true},
		"v1/threads/" + topicThread + "/frames/#":       {Threads: true, Thread: thread, Frames: true},
		"v1/threads/" + topicThread + "/messages":       {Threads: true, Thread: thread},
		"v1/threads/+/frames/more":                      {Threads: true, AnyThread: true},
		"v1/presence/bob":                               {Presence: true, User: "bob"},
		"v1/presence/+":                                 {Presence: true, AnyUser: true},
		"v1/presence/#":                                 {Presence: true, AnyUser: true},
		"v1/devices/phone/frames":                       {Devices: true, Device: "phone", DeviceFrames: true},
		"v1/devices/phone/#":                            {Devices: true, Device: "phone", DeviceFrames: true, DeviceOthers: true},
		"v1/devices/phone/replies":                      {Devices: true, Device: "phone", DeviceOthers: true},
		"v1/devices/phone/up/more":                      {Devices: true, Device: "phone", DeviceOthers: true},
		"v1/devices/phone/up":                           {Devices: true, Device: "phone"},
		"v1/devices/phone/auth":                         {Devices: true, Device: "phone"},
		"v1/devices/phone":                              {Devices: true, Device: "phone"},
	} {
		if got, err := ParseFilter(name); err != nil || got != want {
			t.Errorf("%s gave %+v, %v; want %+v", name, got, err, want)
		}
		nothing := map[string]bool{
			"v1/threads/+": true, "v1/threads/" + topicThread + "/messages": true, "v1/threads/+/frames/more": true,
			"v1/threads/+/signals": true, "v1/threads/+/signals/Ring": true, "v1/threads/+/signals/ring/more": true,
			"v1/devices/phone/up": true, "v1/devices/phone/auth": true, "v1/devices/phone": true,
		}
		if got := want.MatchesNothing(); got != nothing[name] {
			t.Errorf("%s can match nothing: %v", name, got)
		}
	}
}

func TestFiltersRefused(t *testing.T) {
	for name, want := range map[string]FilterError{
		"#":                        ErrFilterOutside,
		"+/threads/+/frames":       ErrFilterOutside,
		"+/+/+/+":                  ErrFilterOutside,
		"$SYS/#":                   ErrFilterOutside,
		"v1":                       ErrFilterOutside,
		"v1/+":                     ErrFilterOutside,
		"v1/+/+/frames":            ErrFilterOutside,
		"v1/threads":               ErrFilterOutside,
		"v1/threads//frames":       ErrFilterOutside,
		"v1/threads/nobody/frames": ErrFilterOutside,
		"v1/threads/" + strings.ToUpper(topicThread) + "/frames": ErrFilterOutside,
		"v1/presence/me":                   ErrFilterOutside,
		"v1/devices/+/frames":              ErrFilterOutside,
		"v1/devices/#":                     ErrFilterOutside,
		"v2/threads/+/frames":              ErrFilterOutside,
		"/v1/threads/+/frames":             ErrFilterOutside,
		"$share/group/v1/threads/+/frames": ErrFilterShared,
		"$share/g":                         ErrFilterShared,
		"":                                 ErrFilterMalformed,
		"v1/threads/#/frames":              ErrFilterMalformed,
		"v1/threads/a+/frames":             ErrFilterMalformed,
		"v1/thr#":                          ErrFilterMalformed,
		"v1/threads/\x00/frames":           ErrFilterMalformed,
		"v1/threads/\xff/frames":           ErrFilterMalformed,
		"v1/" + strings.Repeat("x", 1<<16): ErrFilterMalformed,
	} {
		if got, err := ParseFilter(name); !errors.Is(err, want) {
			t.Errorf("%.60q gave %+v, %v; want %q", name, got, err, want)
		}
	}
}

func TestTopicsClientsPublishTo(t *testing.T) {
	thread := mustThread(topicThread)
	for name, want := range map[string]Topic{
		"v1/threads/" + topicThread + "/typing":             {Kind: TopicThreadTyping, Thread: thread},
		"v1/threads/" + topicThread + "/signals/call.offer": {Kind: TopicThreadSignal, Thread: thread, Name: "call.offer"},
		"v1/threads/" + topicThread + "/signals":            {},
		"v1/threads/" + topicThread + "/signals/":           {},
		"v1/threads/" + topicThread + "/signals/+":          {},
		"v1/threads/" + topicThread + "/signals/a/b":        {},
		"v1/threads/" + topicThread + "/frames/a":           {},
		"v1/threads/" + topicThread + "/messages":           {Kind: TopicThreadMessages, Thread: thread},
		"v1/devices/phone/up":                               {Kind: TopicDeviceUp, Device: "phone"},
		"v1/devices/phone/auth":                             {Kind: TopicDeviceAuth, Device: "phone"},
		"v1/threads/" + topicThread + "/frames":             {},
		"v1/devices/phone/frames":                           {},
		"v1/presence/bob":                                   {},
		"v1/threads/x/typing":                               {},
		"v1/devices//up":                                    {},
		"v1/devices/phone/up/":                              {},
		"$SYS/broker":                                       {},
		"":                                                  {},
	} {
		if got := ParseTopic(name); got != want {
			t.Errorf("%q gave %+v, want %+v", name, got, want)
		}
	}
	for name, topic := range map[string]Topic{
		"v1/threads/" + topicThread + "/frames":       {Kind: TopicThreadFrames, Thread: thread},
		"v1/threads/" + topicThread + "/typing":       {Kind: TopicThreadTyping, Thread: thread},
		"v1/threads/" + topicThread + "/signals/ring": {Kind: TopicThreadSignal, Thread: thread, Name: "ring"},
		"v1/devices/phone/frames":                     {Kind: TopicDeviceFrames, Device: "phone"},
		"v1/presence/bob":                             {Kind: TopicPresence, User: "bob"},
		"":                                            {Kind: TopicDeviceUp, Device: "phone"}, // a client's
	} {
		if got := topic.String(); got != name {
			t.Errorf("%+v is spelled %q, want %q", topic, got, name)
		}
	}
}

func TestReplyTopics(t *testing.T) {
	for name, want := range map[string]bool{
		"v1/devices/phone/replies":                        true,
		"v1/devices/phone/rpc/17":                         true,
		"v1/devices/phone/frames/x":                       true,
		"v1/devices/phone/frames":                         false,
		"v1/devices/phone/up":                             false,
		"v1/devices/phone/":                               false,
		"v1/devices/phone":                                false,
		"v1/devices/phone2/replies":                       false,
		"v1/devices/other/replies":                        false,
		"v1/devices/phone/+":                              false,
		"v1/devices/phone/a/#":                            false,
		"v1/devices/phone/a\x00":                          false,
		"v1/threads/" + topicThread + "/frames":           false,
		"":                                                false,
		"v1/devices/phone/" + strings.Repeat("x", 256-17): true,
		"v1/devices/phone/" + strings.Repeat("x", 257-17): false,
	} {
		if got := IsReplyTopic(name, "phone"); got != want {
			t.Errorf("%q may be replied to: %v, want %v", name, got, want)
		}
	}
}

func BenchmarkParseFilter(b *testing.B) {
	for _, filter := range []string{"v1/#", "v1/threads/+/frames", "v1/threads/" + topicThread + "/frames", "v1/presence/bob"} {
		b.Run(strings.ReplaceAll(filter, "/", " "), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseFilter(filter); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseTopic(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if ParseTopic("v1/threads/"+topicThread+"/messages").Kind != TopicThreadMessages {
			b.Fatal("another topic")
		}
	}
}

func BenchmarkFilterMatches(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if !FilterMatches("v1/devices/+/replies/#", "v1/devices/phone/replies/messages/1") {
			b.Fatal("no match")
		}
	}
}

package contracts

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/parleyhq/parley/chat"
)

// A filter within the tree covers a topic of the server exactly when it matches the topic
// by MQTT's rules, and a parsed topic is spelled like the name it was parsed from.
func FuzzTopic(f *testing.F) {
	for _, filter := range []string{
		"v1/#", "v1/threads/#", "v1/threads/+/frames", "v1/threads/" + topicThread + "/#", "v1/threads/+/+", "v1/threads/+", "v1/threads/+/frames/#",
		"v1/presence/bob", "v1/presence/+/#", "v1/presence/#", "v1/devices/phone/frames", "v1/devices/phone/+", "v1/devices/phone/#",
		"$share/a/b", "+/+", "#", "$SYS/#", "v1//#", "v1/threads/" + topicThread + "/typing", "v1/devices/phone/up", "v1/threads/" + topicThread + "/messages",
	} {
		f.Add(filter)
	}
	f.Fuzz(func(t *testing.T, name string) {
		checkTopic(t, name)
		parsed, err := ParseFilter(name)
		if malformed := !filterByTheBook(name); malformed != errors.Is(err, ErrFilterMalformed) {
			t.Errorf("%q gave %v; malformed by MQTT's rules: %t", name, err, malformed)
		}
		if err == nil {
			checkFilter(t, name, parsed)
		}
	})
}

func checkTopic(t *testing.T, name string) {
	t.Helper()
	want := name
	switch got := ParseTopic(name); got.Kind {
	case TopicUnknown:
	case TopicDeviceUp: // clients alone write it
		want = "v1/devices/" + string(got.Device) + "/up"
	case TopicThreadMessages:
		want = "v1/threads/" + got.Thread.String() + "/messages"
	default:
		want = got.String()
	}
	if name != want {
		t.Errorf("%q was read as %q", name, want)
	}
}

func checkFilter(t *testing.T, name string, f Filter) {
	t.Helper()
	check := func(topic Topic, covered bool) {
		t.Helper()
		if want := matches(name, topic.String()); covered != want {
			t.Errorf("%q covers %s: %t, MQTT matches: %t", name, topic, covered, want)
		}
	}
	for _, id := range []chat.ThreadID{mustThread(topicThread), f.Thread} {
		check(Topic{Kind: TopicThreadFrames, Thread: id}, f.CoversThread(id))
		check(Topic{Kind: TopicThreadTyping, Thread: id}, f.CoversTyping(id))
	}
	for _, id := range []chat.UserID{"bob", f.User} {
		if id != "" {
			check(Topic{Kind: TopicPresence, User: id}, f.CoversPresence(id))
		}
	}
	for _, id := range []chat.DeviceID{"phone", f.Device} {
		if id != "" { // one's own, where the filter names none
			check(Topic{Kind: TopicDeviceFrames, Device: id}, f.DeviceFrames && (f.OwnDevice || f.Device == id))
		}
	}
}

// Filters and topics match by MQTT's rules.
func FuzzFilterMatches(f *testing.F) {
	for _, seed := range [][2]string{{"a/#", "a"}, {"#", "a/b"}, {"+/b", "a/b"}, {"a/+", "a/"}, {"a", "a/b"}, {"", ""}, {"a/+/c", "a/b/c"}, {"a//b", "a//b"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, filter, topic string) {
		if !wellFormed(filter) || topic == "" || strings.ContainsAny(topic, "+#") {
			return
		}
		if got, want := FilterMatches(filter, topic), matches(filter, topic); got != want {
			t.Errorf("%q matches %q: %v, want %v", filter, topic, got, want)
		}
	})
}

// filterByTheBook checks a filter by MQTT 5, 4.7.1 and 4.7.3, in another way than
// wellFormed does.
func filterByTheBook(filter string) bool {
	if filter == "" || len(filter) > 65535 || !utf8.ValidString(filter) {
		return false
	}
	for i := range len(filter) {
		first := i == 0 || filter[i-1] == '/'
		last := i == len(filter)-1
		switch filter[i] {
		case 0:
			return false
		case '#':
			if !first || !last {
				return false
			}
		case '+':
			if !first || !last && filter[i+1] != '/' {
				return false
			}
		}
	}
	return true
}

// matches is MQTT 5, 4.7, for well-formed filters, in another way than FilterMatches.
func matches(filter, topic string) bool {
	filters, levels := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, f := range filters {
		switch {
		case f == "#":
			return len(levels) >= i
		case i >= len(levels) || f != "+" && f != levels[i]:
			return false
		}
	}
	return len(filters) == len(levels)
}

// encoding/json reads back what the frame builder writes, for any text.
func FuzzFrame(f *testing.F) {
	f.Add("plain", "é\u2028<\"\\\x00", []byte("cipher"), uint64(1), int64(0))
	f.Add("\xff\xfe", "\xed\xa0\x80", []byte{}, uint64(1<<64-1), int64(1<<63-1))
	f.Add("", "me", []byte(nil), uint64(0), int64(-1))
	f.Add("", "", []byte(nil), uint64(0), int64(-1)) // nobody, of whom only an expiry's frame is
	f.Fuzz(func(t *testing.T, title, user string, ciphertext []byte, frameSeq uint64, number int64) {
		by := chat.UserID(user)
		own := func(e *chat.Event) {
			e.By, e.Device, e.Seq = by, chat.DeviceID(user), chat.Seq(number)&(1<<63-1)
			e.Message = &chat.Message{Ciphertext: ciphertext, ContentType: chat.Text, ClientSeq: number, AttachmentID: title}
			e.Reaction = &chat.ReactionChange{Emoji: title}
		}
		created := goldenChange(chat.ThreadChange{Event: chat.ThreadCreated, Title: title, Members: []chat.InitialMember{{User: by}}})
		own(&created)
		text, name, seq := asText(t, title), asText(t, user), json.Number(strconv.FormatUint(uint64(number)&(1<<63-1), 10))
		content := base64.StdEncoding.EncodeToString(ciphertext)
		for kind, c := range map[string]struct {
			frame Frame
			want  map[string]any
		}{
			"msg": {
				EventFrame(goldenAbout(chat.KindMessage, own)),
				map[string]any{"seq": seq, "sender_id": name, "ciphertext": content, "client_seq": json.Number(strconv.FormatInt(number, 10)), "attachment_id": text, "device_id": name},
			},
			"edit":     {EventFrame(goldenAbout(chat.KindEdit, own)), map[string]any{"seq": seq, "sender_id": name, "ciphertext": content}},
			"del":      {EventFrame(goldenAbout(chat.KindDelete, own)), map[string]any{"seq": seq, "by": name}},
			"reaction": {EventFrame(goldenAbout(chat.KindReaction, own)), map[string]any{"seq": seq, "by": name, "emoji": text}},
			"thread":   {EventFrame(created), map[string]any{"seq": seq, "by": name, "title": text}},
			"error":    {ErrorFrame(CodeInvalidFrame, title), map[string]any{"detail": text}},
			"failed":   {FailedFrame(chat.Failure{Thread: goldenThread, Message: goldenID}, by), map[string]any{"by": name}},
		} {
			c.want["t"], c.want["frame_seq"] = kind, json.Number(strconv.FormatUint(frameSeq, 10))
			checkEncoded(t, c.frame, frameSeq, c.want)
		}
	})
}

// checkEncoded checks that encoding/json reads these members in the frame. An empty one may
// be left out or null; the golden vectors say which.
func checkEncoded(t *testing.T, f Frame, frameSeq uint64, want map[string]any) {
	t.Helper()
	encoded := f.Append(nil, frameSeq)
	if len(encoded) != f.Len(frameSeq) {
		t.Errorf("%d bytes, Len says %d: %s", len(encoded), f.Len(frameSeq), encoded)
	}
	if !json.Valid(f.Unnumbered()) {
		t.Errorf("not JSON: %s", f.Unnumbered())
	}
	var got map[string]any
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	if err := decoder.Decode(&got); err != nil || decoder.More() {
		t.Fatalf("%v: %s", err, encoded)
	}
	for member, value := range want {
		found := got[member]
		if value == "" && (found == nil || found == "") {
			continue
		}
		if found != value {
			t.Errorf("%s is %v, want %v: %s", member, found, value, encoded)
		}
	}
}

// asText is the text that JSON can hold: bytes that are not UTF-8 are replaced.
func asText(t *testing.T, s string) string {
	t.Helper()
	encoded, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	if err := json.Unmarshal(encoded, &text); err != nil {
		t.Fatal(err)
	}
	return text
}

// encoding/json reads the same in a client's frame as ParseClientFrame.
func FuzzClientFrame(f *testing.F) {
	for _, seed := range []string{
		`{"t":"client_ack","frame_seq":12}`, `{"t":"pong"}`, `{"t":"client_ack","frame_seq":18446744073709551615,"more":[{}]}`,
		`{"t":"typing","thread_id":"` + topicThread + `"}`, `{"t":"pong","t":"client_ack"}`, `{"T":"pong"}`, `{"t":"\u0070ong"}`, `{"t":"client_ack","frame_seq":1e3}`, `null`,
		`{"t":"signal","thread_id":"` + topicThread + `","name":"call.offer","data":"AAH/"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseClientFrame(b)
		if err != nil {
			if chat.CodeOf(err) == chat.CodeUnavailable {
				t.Errorf("%q is refused without a code: %v", b, err)
			}
			return
		}
		var members map[string]any
		decoder := json.NewDecoder(bytes.NewReader(b))
		decoder.UseNumber()
		if err := decoder.Decode(&members); err != nil || !json.Valid(b) {
			t.Fatalf("accepted %q: %v", b, err)
		}
		if members["t"] != got.Type {
			t.Errorf("%q was read as %+v", b, got)
		}
		if got.Type == FrameSignal {
			data, _ := members["data"].(string)
			if text := base64.StdEncoding.EncodeToString(got.Data); members["name"] != got.Name || data != text || members["thread_id"] != got.Thread.String() {
				t.Errorf("%q was read as %+v", b, got)
			}
		}
		if want := json.Number(strconv.FormatUint(got.FrameSeq, 10)); got.Type == FrameClientAck && members["frame_seq"] != want {
			t.Errorf("%q was read as %+v", b, got)
		}
	})
}

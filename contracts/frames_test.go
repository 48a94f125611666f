package contracts

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var update = flag.Bool("update", false, "write the golden vectors anew")

// The values of the golden vectors.
var (
	goldenThread = mustThread("01970c2e-3c00-7000-8000-000000000001")
	goldenAt     = time.Date(2026, 5, 30, 17, 42, 11, 234e6, time.UTC)
	goldenID     = func() chat.EventID {
		id := chat.EventIDAt(goldenAt)
		copy(id[6:], "parleymsgs")
		return id
	}()
)

var goldenStore = func() chat.StoreID {
	id, err := chat.ParseStoreID("5f0c954e-3b5c-4d3a-9f3e-8a1f6f1f7c2d")
	if err != nil {
		panic(err)
	}
	return id
}()

func mustThread(s string) chat.ThreadID {
	id, err := chat.ParseThreadID(s)
	if err != nil {
		panic(err)
	}
	return id
}

func goldenEvent(kind chat.EventKind) chat.Event {
	return chat.Event{Thread: goldenThread, Seq: 7, ID: goldenID, At: goldenAt, Kind: kind, By: "u_42", Device: "phone"}
}

func goldenMessage(m chat.Message) chat.Event {
	e := goldenEvent(chat.KindMessage)
	m.CreatedAt = e.At
	e.Message = &m
	return e
}

func goldenChange(c chat.ThreadChange) chat.Event {
	e := goldenEvent(chat.KindThread)
	e.Change = &c
	return e
}

// goldenAbout is an event of that kind about the message with goldenID.
func goldenAbout(kind chat.EventKind, change func(*chat.Event)) chat.Event {
	e := goldenEvent(kind)
	e.Seq, e.ID = 9, chat.EventIDAt(goldenAt.Add(time.Hour)) // no frame tells the time of an id
	e.At = goldenAt.Add(time.Minute)
	e.Target = chat.Target{ID: goldenID, Seq: 7}
	change(&e)
	return e
}

func goldenPinning(what chat.ChangeEvent) chat.Event {
	return goldenAbout(chat.KindThread, func(e *chat.Event) { e.Change = &chat.ThreadChange{Event: what} })
}

// goldenChanges are the frames of events that change messages.
func goldenChanges() map[string]Frame {
	content := func(m chat.Message) func(*chat.Event) { return func(e *chat.Event) { e.Message = &m } }
	image := chat.Message{
		CreatedAt: goldenAt, Ciphertext: []byte("hello"), ContentType: chat.ImageRef, ClientSeq: 3, AttachmentID: "a", AttachmentSHA256: strings.Repeat("ab", 32),
		ReplyTo: goldenID, ExpiresAt: goldenAt.Add(time.Hour),
		Reactions: []chat.Reaction{{Emoji: "x", By: []chat.ReactionBy{{User: "bob", At: goldenAt}}}},
	}
	deletion := goldenAbout(chat.KindDelete, func(e *chat.Event) { e.Reason = chat.DeletedBySender })
	tombstone := image.Apply(deletion)
	return map[string]Frame{
		"msg_deleted":    EventFrame(goldenMessage(tombstone)),
		"msg_redelivery": EventFrame(goldenAbout(chat.KindRedelivery, content(image))),
		"edit":           EventFrame(goldenAbout(chat.KindEdit, content(chat.Message{Ciphertext: []byte("hullo"), ContentType: chat.Text}))),
		"edit_deleted":   EventFrame(goldenAbout(chat.KindEdit, content(tombstone))),
		"del":            EventFrame(deletion),
		"del_expired": EventFrame(goldenAbout(chat.KindDelete, func(e *chat.Event) {
			e.By, e.Device, e.Reason = "", "", chat.DeletedByExpiry
		})),
		"reaction_add": EventFrame(goldenAbout(chat.KindReaction, func(e *chat.Event) {
			e.Reaction = &chat.ReactionChange{Emoji: `👍🏽 "+1" <é>`}
		})),
		"reaction_remove": EventFrame(goldenAbout(chat.KindReaction, func(e *chat.Event) {
			e.Reaction = &chat.ReactionChange{Emoji: "party_parrot", Removed: true}
		})),
		"thread_pinned":   EventFrame(goldenPinning(chat.Pinned)),
		"thread_unpinned": EventFrame(goldenPinning(chat.Unpinned)),
		"failed_blocked": FailedFrame(chat.Failure{
			Thread: goldenThread, Message: goldenID, Reason: chat.FailedBlocked, Users: []chat.UserID{"bob"},
		}, "bob"),
		"failed_expired":   FailedFrame(chat.Failure{Thread: goldenThread, Message: goldenID, Reason: chat.FailedExpired}, "carol"),
		"prekeys_low":      PrekeysLowFrame(chat.PrekeysLow{Left: 9}),
		"devices":          DevicesFrame(chat.DeviceNews{User: "bob", Device: "phone", Change: chat.DeviceAdded, At: sentAt}),
		"prekeys_low_pq":   PrekeysLowFrame(chat.PrekeysLow{Left: 40, PQLeft: new(9)}),
		"typing":           TypingFrame(chat.Typing{Thread: goldenThread, User: "bob"}),
		"presence_online":  PresenceFrame(chat.Presence{User: "bob", Online: true}),
		"presence_offline": PresenceFrame(chat.Presence{User: "bob", LastSeen: goldenAt}),
		"presence_unseen":  PresenceFrame(chat.Presence{User: "bob"}),
	}
}

// goldenFrames holds every frame that the server sends, by the name of its golden vector.
func goldenFrames() map[string]Frame {
	receipt := chat.Receipt{Mark: chat.Mark{Thread: goldenThread, User: "bob", Seq: 7, Message: goldenID, At: goldenAt}}
	reply := goldenMessage(chat.Message{
		Ciphertext: []byte{0xFF, 0xFE, 0, 1}, ContentType: chat.ImageRef, ClientSeq: 3,
		AttachmentID: `a "quoted" <id> é`, AttachmentSHA256: strings.Repeat("ab", 32), ReplyTo: goldenID, ExpiresAt: goldenAt.Add(time.Hour),
	})
	frames := map[string]Frame{
		"msg":       EventFrame(goldenMessage(chat.Message{Ciphertext: []byte("hello"), ContentType: chat.Text})),
		"msg_reply": EventFrame(reply),
		"thread_created": EventFrame(goldenChange(chat.ThreadChange{
			Event: chat.ThreadCreated, Type: chat.Group, Title: "Tea & \"cake\"\n",
			Members: []chat.InitialMember{{User: "u_42", Role: chat.Admin}, {User: "bob", Role: chat.Member}},
		})),
		"thread_title_changed":       EventFrame(goldenChange(chat.ThreadChange{Event: chat.TitleChanged, Title: "Tea"})),
		"thread_title_cleared":       EventFrame(goldenChange(chat.ThreadChange{Event: chat.TitleChanged})),
		"thread_participant_added":   EventFrame(goldenChange(chat.ThreadChange{Event: chat.ParticipantAdded, User: "carol", Role: chat.Member})),
		"thread_participant_removed": EventFrame(goldenChange(chat.ThreadChange{Event: chat.ParticipantRemoved, User: "carol"})),
		"thread_role_changed":        EventFrame(goldenChange(chat.ThreadChange{Event: chat.RoleChanged, User: "bob", Role: chat.Admin})),
		"delivered":                  DeliveredFrame(receipt, goldenID),
		"read":                       ReadFrame(receipt),
		"hello":                      HelloFrame(goldenStore),
		"token_expiring":             TokenExpiringFrame(goldenAt),
		"auth":                       AuthFrame(goldenAt),
		"signal":                     SignalFrame(chat.Signal{Thread: goldenThread, User: "u_42", Device: "phone", Name: "call.offer", Data: []byte{0, 1, 255}}),
		"signal_empty":               SignalFrame(chat.Signal{Thread: goldenThread, User: "u_42", Device: "phone", Name: "ring"}),
		"caught_up":                  CaughtUpFrame(goldenID, 12, goldenStore),
		"caught_up_empty":            CaughtUpFrame(chat.MessageID{}, 0, goldenStore),
		"ping":                       PingFrame(goldenAt),
		"error":                      ErrorFrame(CodeInvalidFrame, `no "t"`),
	}
	maps.Copy(frames, goldenChanges())
	return frames
}

func TestFramesMatchTheirGoldenVectors(t *testing.T) {
	for name, f := range goldenFrames() {
		path := filepath.Join("testdata", "frames", name+".json")
		got := f.Append(nil, 18742)
		if *update {
			if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, bytes.TrimSuffix(want, []byte("\n"))) {
			t.Errorf("%s\n got %s\nwant %s", name, got, want)
		}
	}
}

// The frame builder writes what encoding/json writes for the same members.
func TestFramesAgreeWithEncodingJSON(t *testing.T) {
	for name, f := range goldenFrames() {
		encoded := f.Append(nil, 9)
		var members map[string]any
		if err := json.Unmarshal(encoded, &members); err != nil {
			t.Errorf("%s is no JSON: %v", name, err)
			continue
		}
		var again, compact bytes.Buffer
		enc := json.NewEncoder(&again)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(json.RawMessage(encoded)); err != nil {
			t.Error(err)
		}
		if err := json.Compact(&compact, encoded); err != nil {
			t.Error(err)
		}
		if !bytes.Equal(compact.Bytes(), encoded) || !bytes.Equal(bytes.TrimSpace(again.Bytes()), encoded) {
			t.Errorf("%s is not in the compact form: %s", name, encoded)
		}
		if members["frame_seq"] != float64(9) || !bytes.HasSuffix(encoded, []byte(`,"frame_seq":9}`)) {
			t.Errorf("%s does not end in its frame_seq: %s", name, encoded)
		}
	}
	var msg struct {
		Ciphertext   string `json:"ciphertext"`
		AttachmentID string `json:"attachment_id"`
		CreatedAt    string `json:"created_at"`
	}
	if err := json.Unmarshal(goldenFrames()["msg_reply"].Append(nil, 1), &msg); err != nil {
		t.Fatal(err)
	}
	if msg.Ciphertext != base64.StdEncoding.EncodeToString([]byte{0xFF, 0xFE, 0, 1}) || msg.AttachmentID != `a "quoted" <id> é` ||
		msg.CreatedAt != "2026-05-30T17:42:11.234Z" {
		t.Errorf("msg_reply decodes to %+v", msg)
	}
}

// Each frame has the members that the contract's table lists, and a missing value is null
// or left out as the table says.
func TestFramesHaveTheMembersOfTheContract(t *testing.T) {
	for name, want := range map[string]string{
		"msg_deleted":     "ciphertext client_seq content_type created_at device_id expires_at frame_seq id reply_to_msg_id sender_id seq t thread_id",
		"edit":            "ciphertext content_type edited_at frame_seq id sender_id seq t thread_id",
		"del":             "by frame_seq id reason seq t thread_id",
		"del_expired":     "by frame_seq id reason seq t thread_id",
		"reaction_add":    "at by emoji frame_seq id op seq t thread_id",
		"thread_pinned":   "at by event frame_seq message_id seq t thread_id",
		"thread_unpinned": "at by event frame_seq message_id seq t thread_id",
		"failed_blocked":  "by frame_seq id reason t thread_id",
		"prekeys_low":     "frame_seq one_time_prekeys t",
		"devices":         "at change device_id frame_seq t user_id",
		"prekeys_low_pq":  "frame_seq one_time_prekeys pq_one_time_prekeys t",
		"typing":          "frame_seq t thread_id ttl_ms user_id",
		"presence_online": "frame_seq last_seen_at status t user_id",
	} {
		if got := strings.Join(slices.Sorted(maps.Keys(frameMembers(t, name))), " "); got != want {
			t.Errorf("%s has %s, want %s", name, got, want)
		}
	}
	for name, want := range map[string]any{"msg_deleted": "", "edit_deleted": "", "edit": "aHVsbG8="} {
		if got := frameMembers(t, name)["ciphertext"]; got != want {
			t.Errorf("%s has the ciphertext %v, want %q", name, got, want)
		}
	}
	if by, there := frameMembers(t, "del_expired")["by"]; !there || by != nil {
		t.Errorf("what expired was deleted by %v, want null", by)
	}
	edit := frameMembers(t, "edit")
	if edit["id"] != goldenID.String() || edit["seq"] != 9.0 || edit["edited_at"] != "2026-05-30T17:43:11.234Z" {
		t.Errorf("the edit is %v", edit)
	}
	// A redelivery is the message as it was sent, except for its seq and the redelivery flag.
	again := frameMembers(t, "msg_redelivery")
	if again["id"] != goldenID.String() || again["seq"] != 9.0 || again["created_at"] != "2026-05-30T17:42:11.234Z" || again["redelivery"] != true {
		t.Errorf("the redelivery is %v", again)
	}
}

func frameMembers(t *testing.T, name string) map[string]any {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(goldenFrames()[name].Append(nil, 1), &members); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return members
}

func TestFrameLenIsWhatAppendWrites(t *testing.T) {
	f := PingFrame(goldenAt)
	for _, seq := range []uint64{0, 9, 10, 99, 100, 12345, 1<<64 - 1} {
		if got, want := f.Len(seq), len(f.Append(nil, seq)); got != want {
			t.Errorf("Len(%d) = %d, Append wrote %d", seq, got, want)
		}
	}
}

// signalText is a signal frame with these JSON values.
func signalText(name, data string) string {
	return `{"t":"signal","thread_id":"` + goldenThread.String() + `","name":` + name + `,"data":` + data + `}`
}

// base64Of is a JSON string of so many zero bytes.
func base64Of(n int) string { return `"` + base64.StdEncoding.EncodeToString(make([]byte, n)) + `"` }

func TestClientFrames(t *testing.T) {
	for in, want := range map[string]ClientFrame{
		`{"t":"pong"}`:                                         {Type: FramePong},
		`{"t":"client_ack","frame_seq":12}`:                    {Type: FrameClientAck, FrameSeq: 12},
		`{"t":"client_ack","frame_seq":0,"future":{"x":1}}`:    {Type: FrameClientAck},
		`{"t":"auth","token":"a.b.c"}`:                         {Type: FrameAuth, Token: "a.b.c"},
		`{"t":"auth","token":""}`:                              {Type: FrameAuth},
		`{"t":"pong","name":7,"data":[]}`:                      {Type: FramePong},
		signalText(`"call.offer"`, `"AAH/"`):                   {Type: FrameSignal, Thread: goldenThread, Name: "call.offer", Data: []byte{0, 1, 255}},
		signalText(`"0123456789_abcdefghijklmnop-rstu"`, `""`): {Type: FrameSignal, Thread: goldenThread, Name: "0123456789_abcdefghijklmnop-rstu", Data: []byte{}},
		signalText(`"x"`, base64Of(chat.MaxSignalBytes)):       {Type: FrameSignal, Thread: goldenThread, Name: "x", Data: make([]byte, chat.MaxSignalBytes)},
	} {
		if got, err := ParseClientFrame([]byte(in)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s gave %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{
		``, `{`, `[]`, `null`, `"pong"`, `{"t":"client_ack"}`, `{"t":"client_ack","frame_seq":-1}`, `{"t":"client_ack","frame_seq":1.5}`,
		`{"t":"client_ack","frame_seq":"1"}`, `{"t":"msg"}`, `{"T":"pong"}`, `{}`, `{"t":"pong"}{"t":"pong"}`, `{"t":"pong","t":"pong"}`,
		signalText(`"a/b"`, `""`), signalText(`"+"`, `""`), signalText(`"#"`, `""`), signalText(`""`, `""`), signalText(`"A"`, `""`), signalText(`1`, `""`),
		signalText(`"`+strings.Repeat("x", chat.MaxSignalName+1)+`"`, `""`), signalText(`"x"`, base64Of(chat.MaxSignalBytes+1)),
		signalText(`"x"`, `"AAH"`), signalText(`"x"`, `null`), signalText(`"x"`, `7`), `{"t":"signal","name":"x","data":""}`,
		`{"t":"signal","thread_id":"x","name":"x","data":""}`, `{"t":"auth"}`, `{"t":"auth","token":7}`, `{"t":"auth","token":null}`, `{"t":"signal","thread_id":"` + topicThread + `","data":""}`,
		`{"t":"signal","thread_id":"` + topicThread + `","name":"x"}`,
	} {
		if got, err := ParseClientFrame([]byte(in)); chat.CodeOf(err) != CodeInvalidFrame {
			t.Errorf("%s gave %+v, %v; want %s", in, got, err, CodeInvalidFrame)
		}
	}
}

func BenchmarkEncodeMessage(b *testing.B) {
	e := goldenMessage(chat.Message{Ciphertext: bytes.Repeat([]byte{7}, 225), ContentType: chat.Text})
	b.ReportAllocs()
	for b.Loop() {
		EventFrame(e)
	}
}

package contracts

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
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

func mustThread(s string) chat.ThreadID {
	id, err := chat.ParseThreadID(s)
	if err != nil {
		panic(err)
	}
	return id
}

func goldenEvent(kind chat.EventKind) chat.Event {
	return chat.Event{Thread: goldenThread, Seq: 7, ID: goldenID, Kind: kind, By: "u_42", Device: "phone"}
}

func goldenMessage(m chat.Message) chat.Event {
	e := goldenEvent(chat.KindMessage)
	e.Message = &m
	return e
}

func goldenChange(c chat.ThreadChange) chat.Event {
	e := goldenEvent(chat.KindThread)
	e.Change = &c
	return e
}

// goldenFrames are every frame the server sends, with its golden vector's name.
func goldenFrames() map[string]Frame {
	receipt := chat.Receipt{Mark: chat.Mark{Thread: goldenThread, User: "bob", Seq: 7, Message: goldenID, At: goldenAt}}
	reply := goldenMessage(chat.Message{
		Ciphertext: []byte{0xFF, 0xFE, 0, 1}, ContentType: chat.ImageRef, ClientSeq: 3,
		AttachmentID: `a "quoted" <id> é`, AttachmentSHA256: strings.Repeat("ab", 32), ReplyTo: goldenID, ExpiresAt: goldenAt.Add(time.Hour),
	})
	return map[string]Frame{
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
		"caught_up":                  CaughtUpFrame(goldenID, 12),
		"caught_up_empty":            CaughtUpFrame(chat.MessageID{}, 0),
		"ping":                       PingFrame(goldenAt),
		"error":                      ErrorFrame(CodeInvalidFrame, `no "t"`),
	}
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

// The hand-made encoder gives what encoding/json gives for the same members.
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

func TestFrameLenIsWhatAppendWrites(t *testing.T) {
	f := PingFrame(goldenAt)
	for _, seq := range []uint64{0, 9, 10, 99, 100, 12345, 1<<64 - 1} {
		if got, want := f.Len(seq), len(f.Append(nil, seq)); got != want {
			t.Errorf("Len(%d) = %d, Append wrote %d", seq, got, want)
		}
	}
}

func FuzzFrameText(f *testing.F) {
	f.Add("plain", "é\u2028<\"\\\x00")
	f.Fuzz(func(t *testing.T, title, user string) {
		e := goldenChange(chat.ThreadChange{Event: chat.ThreadCreated, Title: title, Members: []chat.InitialMember{{User: chat.UserID(user)}}})
		if b := EventFrame(e).Append(nil, 1); !json.Valid(b) {
			t.Errorf("not JSON: %s", b)
		}
	})
}

func TestClientFrames(t *testing.T) {
	for in, want := range map[string]ClientFrame{
		`{"t":"pong"}`:                                      {Type: FramePong},
		`{"t":"client_ack","frame_seq":12}`:                 {Type: FrameClientAck, FrameSeq: 12},
		`{"t":"client_ack","frame_seq":0,"future":{"x":1}}`: {Type: FrameClientAck},
	} {
		if got, err := ParseClientFrame([]byte(in)); err != nil || got != want {
			t.Errorf("%s gave %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{
		``, `{`, `[]`, `null`, `"pong"`, `{"t":"client_ack"}`, `{"t":"client_ack","frame_seq":-1}`, `{"t":"client_ack","frame_seq":1.5}`,
		`{"t":"client_ack","frame_seq":"1"}`, `{"t":"msg"}`, `{"T":"pong"}`, `{}`, `{"t":"pong"}{"t":"pong"}`, `{"t":"pong","t":"pong"}`,
	} {
		if got, err := ParseClientFrame([]byte(in)); chat.CodeOf(err) != CodeInvalidFrame {
			t.Errorf("%s gave %+v, %v; want %s", in, got, err, CodeInvalidFrame)
		}
	}
}

func FuzzClientFrame(f *testing.F) {
	f.Add([]byte(`{"t":"client_ack","frame_seq":12}`))
	f.Add([]byte(`{"t":"pong"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := ParseClientFrame(b); err == nil && !json.Valid(b) {
			t.Errorf("accepted %q", b)
		}
	})
}

func BenchmarkEncodeMessage(b *testing.B) {
	e := goldenMessage(chat.Message{Ciphertext: bytes.Repeat([]byte{7}, 225), ContentType: chat.Text})
	b.ReportAllocs()
	for b.Loop() {
		EventFrame(e)
	}
}

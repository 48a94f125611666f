package contracts

import (
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parleyhq/parley/chat"
)

var sentAt = time.Date(2026, 5, 30, 17, 42, 11, 234_000_000, time.UTC)

func idAt(d time.Duration) chat.EventID { return chat.EventIDAt(sentAt.Add(d)) }

func wantJSON(t *testing.T, v any, want string) {
	t.Helper()
	got, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestMessageJSON(t *testing.T) {
	e := chat.Event{
		Thread: chat.ThreadID{1}, Seq: 2, ID: idAt(0), At: sentAt, Kind: chat.KindMessage, By: "alice", Device: "phone",
		Message: &chat.Message{Ciphertext: []byte{0xff, 0xff}, ContentType: chat.Text, ClientSeq: 7},
	}
	id := e.ID.String()
	wantJSON(t, NewMessage(e), `{"id":"`+id+`","thread_id":"01000000-0000-0000-0000-000000000000","seq":2,`+
		`"sender_id":"alice","device_id":"phone","client_seq":7,"ciphertext":"//8=","content_type":"text","epoch":null,`+
		`"created_at":"2026-05-30T17:42:11.234Z","edited_at":null,"deleted":false,"reactions":[],"reply_to_msg_id":null,`+
		`"attachment_id":null,"attachment_sha256":null,"expires_at":null}`)

	e.Message.AttachmentID, e.Message.AttachmentSHA256, e.Message.ReplyTo = "a", "00", e.ID
	e.Message.ExpiresAt = sentAt.Add(time.Hour)
	wantJSON(t, NewMessagePage(chat.MessagePage{Messages: []chat.Event{e}, Next: "c"}),
		`{"messages":[{"id":"`+id+`","thread_id":"01000000-0000-0000-0000-000000000000","seq":2,`+
			`"sender_id":"alice","device_id":"phone","client_seq":7,"ciphertext":"//8=","content_type":"text","epoch":null,`+
			`"created_at":"2026-05-30T17:42:11.234Z","edited_at":null,"deleted":false,"reactions":[],"reply_to_msg_id":"`+id+`",`+
			`"attachment_id":"a","attachment_sha256":"00","expires_at":"2026-05-30T18:42:11.234Z"}],"next_cursor":"c"}`)
	wantJSON(t, NewMessagePage(chat.MessagePage{}), `{"messages":[],"next_cursor":null}`)
}

func TestChangedMessageJSON(t *testing.T) {
	e := chat.Event{
		Thread: chat.ThreadID{1}, Seq: 2, ID: idAt(0), At: sentAt, Kind: chat.KindMessage, By: "alice", Device: "phone",
		Message: &chat.Message{
			Ciphertext: []byte{0xff}, ContentType: chat.Text, EditedAt: sentAt.Add(time.Second),
			Reactions: []chat.Reaction{
				{Emoji: "👍", By: []chat.ReactionBy{{User: "bob", At: sentAt}, {User: "carol", At: sentAt.Add(time.Second)}}},
				{Emoji: "party_parrot", By: []chat.ReactionBy{{User: "bob", At: sentAt}}},
			},
		},
	}
	const head = `,"thread_id":"01000000-0000-0000-0000-000000000000","seq":2,"sender_id":"alice","device_id":"phone","client_seq":0,`
	const tail = `,"reply_to_msg_id":null,"attachment_id":null,"attachment_sha256":null,"expires_at":null}`
	id := `{"id":"` + e.ID.String() + `"`
	wantJSON(t, NewMessage(e), id+head+`"ciphertext":"/w==","content_type":"text","epoch":null,`+
		`"created_at":"2026-05-30T17:42:11.234Z","edited_at":"2026-05-30T17:42:12.234Z","deleted":false,"reactions":[`+
		`{"emoji":"👍","count":2,"by":["bob","carol"],"at":["2026-05-30T17:42:11.234Z","2026-05-30T17:42:12.234Z"]},`+
		`{"emoji":"party_parrot","count":1,"by":["bob"],"at":["2026-05-30T17:42:11.234Z"]}]`+tail)

	e.Message = &chat.Message{ContentType: chat.Text, EditedAt: sentAt, Deleted: chat.DeletedByExpiry}
	wantJSON(t, NewMessage(e), id+head+`"ciphertext":"","content_type":"text","epoch":null,`+
		`"created_at":"2026-05-30T17:42:11.234Z","edited_at":"2026-05-30T17:42:11.234Z","deleted":true,"reactions":[]`+tail)
}

func TestThreadJSON(t *testing.T) {
	alice := chat.Participant{User: "alice", Role: chat.Admin, JoinedSeq: 1, JoinedAt: sentAt}
	v := chat.ThreadView{
		Thread: chat.Thread{
			ID: chat.ThreadID{1}, Type: chat.Group, CreatedAt: sentAt, CreatedBy: "alice",
			Participants: []chat.Participant{alice},
		},
		Unread: 3,
		Views:  []chat.ParticipantView{{Participant: alice, ReadUpTo: idAt(0)}},
	}
	const bare = `{"id":"01000000-0000-0000-0000-000000000000","type":"GROUP","title":null,` +
		`"created_at":"2026-05-30T17:42:11.234Z","created_by":"alice","last_msg_id":null,` +
		`"last_activity_at":"2026-05-30T17:42:11.234Z","participant_count":1,"unread_count":3,"epoch":0,"me":{"accepted":false,"muted_until":null,"archived":false,"pinned":false,"marked_unread":false,"custom":null,"last_client_seq":null}`
	wantJSON(t, NewThread(v), bare+`}`)
	wantJSON(t, NewThreadPage(chat.ThreadPage{Threads: []chat.ThreadView{v}}), `{"threads":[`+bare+`}],"next_cursor":null}`)
	wantJSON(t, NewThreadWithParticipants(v), bare+`,"participants":[{"user_id":"alice","role":"admin",`+
		`"joined_at":"2026-05-30T17:42:11.234Z","delivered_up_to":null,"read_up_to":"`+idAt(0).String()+`","devices_at":null}]}`)
	wantJSON(t, NewThreadPage(chat.ThreadPage{}), `{"threads":[],"next_cursor":null}`)
}

func TestReceiptsJSON(t *testing.T) {
	wantJSON(t, NewReceipts([]chat.RecipientReceipt{
		{User: "carol", State: chat.StateRead, DeliveredAt: sentAt, ReadAt: sentAt.Add(time.Second)},
		{User: "bob", State: chat.StateSent},
		{User: "dave", State: chat.StateFailed, Reason: "blocked"},
		{User: "erin", State: chat.StateDelivered, DeliveredAt: sentAt},
	}), `{"states":[`+
		`{"recipient_id":"bob","state":"SENT","delivered_at":null,"read_at":null,"reason":null},`+
		`{"recipient_id":"carol","state":"READ","delivered_at":"2026-05-30T17:42:11.234Z","read_at":"2026-05-30T17:42:12.234Z","reason":null},`+
		`{"recipient_id":"dave","state":"FAILED","delivered_at":null,"read_at":null,"reason":"blocked"},`+
		`{"recipient_id":"erin","state":"DELIVERED","delivered_at":"2026-05-30T17:42:11.234Z","read_at":null,"reason":null}],`+
		`"summary":{"sent":1,"delivered":1,"read":1,"failed":1}}`)
	wantJSON(t, NewReceipts(nil), `{"states":[],"summary":{"sent":0,"delivered":0,"read":0,"failed":0}}`)
}

func TestPinsJSON(t *testing.T) {
	id := idAt(0).String()
	wantJSON(t, NewPins([]chat.Pin{{Message: idAt(0), Seq: 2, By: "bob", At: sentAt}}),
		`{"pins":[{"message_id":"`+id+`","pinned_by":"bob","pinned_at":"2026-05-30T17:42:11.234Z"}]}`)
	wantJSON(t, NewPins(nil), `{"pins":[]}`)
}

func TestModerationJSON(t *testing.T) {
	wantJSON(t, NewBlocks(chat.BlockPage{Blocks: []chat.Block{{User: "alice", Blocked: "bob", At: sentAt}}, Next: "more"}),
		`{"blocks":[{"user_id":"bob","blocked_at":"2026-05-30T17:42:11.234Z"}],"next_cursor":"more"}`)
	wantJSON(t, NewBlocks(chat.BlockPage{}), `{"blocks":[],"next_cursor":null}`)

	r := chat.Report{
		ID: idAt(time.Hour), At: sentAt.Add(time.Second), Thread: chat.ThreadID{1}, Message: idAt(0), Sender: "bob", By: "alice",
		Reason: chat.ReportAbuse, Note: "rude",
	}
	report, message := idAt(time.Hour).String(), idAt(0).String()
	wantJSON(t, NewReportReceipt(r),
		`{"id":"`+report+`","message_id":"`+message+`","reason":"abuse","created_at":"2026-05-30T17:42:12.234Z"}`)
	full := `{"id":"` + report + `","message_id":"` + message + `","thread_id":"01000000-0000-0000-0000-000000000000",` +
		`"sender_id":"bob","reporter_id":"alice","reason":"abuse","note":"rude","created_at":"2026-05-30T17:42:12.234Z"}`
	wantJSON(t, NewReportPage(chat.ReportPage{Reports: []chat.Report{r}, Next: "c"}), `{"reports":[`+full+`],"next_cursor":"c"}`)
	r.Note = ""
	wantJSON(t, NewReportPage(chat.ReportPage{Reports: []chat.Report{r}}),
		`{"reports":[`+strings.Replace(full, `"rude"`, "null", 1)+`],"next_cursor":null}`)
	wantJSON(t, NewReportPage(chat.ReportPage{}), `{"reports":[],"next_cursor":null}`)
}

func TestPresenceJSON(t *testing.T) {
	wantJSON(t, NewPresence(chat.Presence{User: "bob", Online: true}), `{"user_id":"bob","status":"online","last_seen_at":null}`)
	wantJSON(t, NewPresence(chat.Presence{User: "bob", LastSeen: sentAt}),
		`{"user_id":"bob","status":"offline","last_seen_at":"2026-05-30T17:42:11.234Z"}`)
	wantJSON(t, NewPresence(chat.Presence{User: "bob"}), `{"user_id":"bob","status":"offline","last_seen_at":null}`)
}

package chat_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/parleyhq/parley/chat"
)

const sha = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestSendStoresAllOfIt(t *testing.T) {
	w := newWorld(t)
	id := w.newGroup("alice", "bob")
	first := w.send("bob", id, "look at this")
	w.heard.drain()
	at := w.clock.advance(time.Minute)

	req := chat.SendRequest{
		Thread: id, IdempotencyKey: "k", ClientSeq: 7, Ciphertext: []byte{0, 1, 0xFF}, ContentType: chat.ImageRef,
		AttachmentID: "s3/ö", AttachmentSHA256: sha, ReplyTo: first.ID, TTL: time.Hour,
	}
	res, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	same(t, "outcome", res.Outcome, chat.Sent)
	e := res.Event
	same(t, "seq", e.Seq, 3)
	same(t, "time", e.At, at)
	same(t, "sender", e.By, chat.UserID("alice"))
	same(t, "device", e.Device, chat.DeviceID("phone"))

	n := w.heard.one(t)
	sameList(t, "audience, the sender's other devices too", n.Audience, "alice", "bob")
	same(t, "event told", n.Event.ID, e.ID)

	page, err := w.History(t.Context(), as("bob"), id, chat.PageRequest{Size: 1})
	must(t, err)
	m := page.Messages[0].Message
	same(t, "id", page.Messages[0].ID, e.ID)
	same(t, "ciphertext", bytes.Equal(m.Ciphertext, req.Ciphertext), true)
	same(t, "content type", m.ContentType, chat.ImageRef)
	same(t, "client_seq", m.ClientSeq, 7)
	same(t, "attachment", m.AttachmentID, "s3/ö")
	same(t, "sha256", m.AttachmentSHA256, sha)
	same(t, "reply to", m.ReplyTo, first.ID)
	same(t, "expires at", m.ExpiresAt, at.Add(time.Hour))
}

// sendCase is one change to a request that is good otherwise.
type sendCase struct {
	change func(*chat.SendRequest)
	field  string // refused as invalid_request for this field; "" is accepted
}

func TestSendBounds(t *testing.T) {
	w := newWorld(t)
	id, other := w.newGroup("alice", "bob"), w.newGroup("alice")
	mine, elsewhere := w.send("bob", id, "here"), w.send("alice", other, "elsewhere")
	created := w.log(id)[0]
	key := func(k string) func(*chat.SendRequest) { return func(r *chat.SendRequest) { r.IdempotencyKey = k } }
	kind := func(c chat.ContentType, attachment string) func(*chat.SendRequest) {
		return func(r *chat.SendRequest) { r.ContentType, r.AttachmentID = c, attachment }
	}
	attachment := func(a string) func(*chat.SendRequest) { return func(r *chat.SendRequest) { r.AttachmentID = a } }
	hash := func(h string) func(*chat.SendRequest) { return func(r *chat.SendRequest) { r.AttachmentSHA256 = h } }
	reply := func(m chat.MessageID) func(*chat.SendRequest) { return func(r *chat.SendRequest) { r.ReplyTo = m } }
	ttl := func(d time.Duration) func(*chat.SendRequest) { return func(r *chat.SendRequest) { r.TTL = d } }
	clientSeq := func(n int64) func(*chat.SendRequest) { return func(r *chat.SendRequest) { r.ClientSeq = n } }
	ciphertext := func(n int) func(*chat.SendRequest) {
		return func(r *chat.SendRequest) { r.Ciphertext = make([]byte, n) }
	}

	for name, c := range map[string]sendCase{
		"no key":                   {key(""), "Idempotency-Key"},
		"key of 1":                 {key("~"), ""},
		"key of 64":                {key(strings.Repeat("!", 64)), ""},
		"key of 65":                {key(strings.Repeat("k", 65)), "Idempotency-Key"},
		"key with a space":         {key("a b"), "Idempotency-Key"},
		"key with DEL":             {key("a\x7f"), "Idempotency-Key"},
		"key that is no ASCII":     {key("ключ"), "Idempotency-Key"},
		"client_seq -1":            {clientSeq(-1), "client_seq"},
		"client_seq 0":             {clientSeq(0), ""},
		"client_seq at the end":    {clientSeq(1<<63 - 1), ""},
		"no ciphertext":            {ciphertext(0), "ciphertext"},
		"1 byte":                   {ciphertext(1), ""},
		"64 KiB":                   {ciphertext(64 << 10), ""},
		"no type is text":          {kind("", ""), ""},
		"text":                     {kind(chat.Text, ""), ""},
		"text may have attachment": {kind(chat.Text, "a"), ""},
		"image":                    {kind(chat.ImageRef, "a"), ""},
		"video":                    {kind(chat.VideoRef, "a"), ""},
		"audio":                    {kind(chat.AudioRef, "a"), ""},
		"file":                     {kind(chat.FileRef, "a"), ""},
		"image of nothing":         {kind(chat.ImageRef, ""), "attachment_id"},
		"video of nothing":         {kind(chat.VideoRef, ""), "attachment_id"},
		"audio of nothing":         {kind(chat.AudioRef, ""), "attachment_id"},
		"file of nothing":          {kind(chat.FileRef, ""), "attachment_id"},
		"unknown type":             {kind("sticker", ""), "content_type"},
		"wrongly cased type":       {kind("Text", ""), "content_type"},
		"attachment of 256":        {attachment(strings.Repeat("ö", 256)), ""},
		"attachment of 257":        {attachment(strings.Repeat("o", 257)), "attachment_id"},
		"sha256":                   {hash(sha), ""},
		"sha256 of 63":             {hash(sha[1:]), "attachment_sha256"},
		"sha256 of 65":             {hash(sha + "0"), "attachment_sha256"},
		"sha256 in capitals":       {hash(strings.ToUpper(sha)), "attachment_sha256"},
		"sha256 that is no hex":    {hash(sha[1:] + "g"), "attachment_sha256"},
		"reply within the thread":  {reply(mine.ID), ""},
		"reply to another thread":  {reply(elsewhere.ID), "reply_to_msg_id"},
		"reply to nothing":         {reply(ulid.Make()), "reply_to_msg_id"},
		"reply to no message":      {reply(created.ID), "reply_to_msg_id"},
		"ttl below a second":       {ttl(time.Second - 1), "ttl_seconds"},
		"ttl of a second":          {ttl(time.Second), ""},
		"ttl of 28 days":           {ttl(2_419_200 * time.Second), ""},
		"ttl over 28 days":         {ttl(2_419_200*time.Second + 1), "ttl_seconds"},
		"ttl below zero":           {ttl(-time.Second), "ttl_seconds"},
	} {
		t.Run(name, func(t *testing.T) {
			before := w.view("alice", id).Head.Seq
			w.heard.drain()
			req := w.request(id, "good")
			c.change(&req)
			res, err := w.Send(t.Context(), as("alice"), req)
			if c.field != "" {
				invalid(t, err, c.field)
				same(t, "head", w.view("alice", id).Head.Seq, before)
				w.heard.nothing(t)
				return
			}
			must(t, err)
			same(t, "outcome", res.Outcome, chat.Sent)
			if req.TTL == 0 {
				same(t, "never expires", res.Event.Message.ExpiresAt.IsZero(), true)
			}
		})
	}
	_, err := w.Send(t.Context(), as("alice"), chat.SendRequest{Thread: id, ClientSeq: -1})
	invalid(t, err, "Idempotency-Key", "client_seq", "ciphertext") // all at once
}

func TestCiphertextTooLarge(t *testing.T) {
	w := newWorld(t)
	req := w.request(w.newGroup("alice"), strings.Repeat("x", 64<<10+1))
	_, err := w.Send(t.Context(), as("alice"), req)
	refused(t, err, chat.CodeCiphertextTooLarge)

	small := newWorldOf(t, setup{limits: chat.Limits{CiphertextBytes: 3}})
	id := small.newGroup("alice")
	small.send("alice", id, "abc")
	_, err = small.Send(t.Context(), as("alice"), small.request(id, "abcd"))
	refused(t, err, chat.CodeCiphertextTooLarge)
}

func TestWhoMaySend(t *testing.T) {
	w := newWorld(t)
	id, group := w.newPair("alice", "bob"), w.newGroup("alice", "bob")
	w.remove("bob", group, "bob")
	w.heard.drain()
	send := func(by chat.Caller, thread chat.ThreadID) error {
		_, err := w.Send(t.Context(), by, w.request(thread, "hi"))
		return err
	}
	refused(t, send(with("alice", chat.ScopeRead, chat.ScopeSystem), id), chat.CodeMissingScope)
	refused(t, send(as("mallory"), id), chat.CodeNotAParticipant)
	refused(t, send(as("bob"), group), chat.CodeNotAParticipant)
	refused(t, send(as("alice"), nowhere), chat.CodeThreadNotFound)
	_, err := w.Send(t.Context(), with("mallory"), chat.SendRequest{})
	refused(t, err, chat.CodeMissingScope) // the token comes before the request
	_, err = w.Send(t.Context(), as("mallory"), chat.SendRequest{Thread: nowhere, IdempotencyKey: "k", Ciphertext: []byte("x"), ClientSeq: -1})
	invalid(t, err, "client_seq") // the request comes before the standing
	w.heard.nothing(t)
}

func TestSystemMessages(t *testing.T) {
	w := newWorld(t)
	id := w.newPair("alice", "bob")
	system := func(by chat.Caller, thread chat.ThreadID) (chat.SendResult, error) {
		req := w.request(thread, "your order has shipped")
		req.ContentType = chat.System
		return w.Send(t.Context(), by, req)
	}
	_, err := system(as("alice"), id)
	refused(t, err, chat.CodeMissingScope)
	_, err = system(with("shop", chat.ScopeSystem), nowhere)
	refused(t, err, chat.CodeThreadNotFound)
	_, err = w.Send(t.Context(), with("shop", chat.ScopeSystem), w.request(id, "as if a person"))
	refused(t, err, chat.CodeMissingScope)
	w.heard.drain()

	res, err := system(with("shop", chat.ScopeSystem), id)
	must(t, err)
	sameList(t, "audience", w.heard.one(t).Audience, "alice", "bob")
	same(t, "sender", res.Event.By, chat.UserID("shop"))
	sameList(t, "still two people", w.view("alice", id).Users(), "alice", "bob")
	same(t, "unread", w.view("bob", id).Unread, 1)
	_, err = w.History(t.Context(), with("shop", chat.ScopeSystem, chat.ScopeRead), id, chat.PageRequest{})
	refused(t, err, chat.CodeNotAParticipant) // it may post, not read

	receipts, err := w.Receipts(t.Context(), as("alice"), res.Event.ID)
	must(t, err)
	same(t, "recipients: both people", len(receipts), 2)
}

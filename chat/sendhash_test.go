package chat

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func aRequest() *rapid.Generator[SendRequest] {
	// Few values of few letters, so that parts that run together would meet.
	short := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 0, 3, -1)
	return rapid.Custom(func(t *rapid.T) SendRequest {
		return SendRequest{
			Thread: ThreadID{0: rapid.ByteRange(0, 1).Draw(t, "thread")}, ClientSeq: rapid.Int64Range(0, 1).Draw(t, "client_seq"),
			Ciphertext: []byte(short.Draw(t, "ciphertext")), ContentType: ContentType(short.Draw(t, "type")),
			AttachmentID: short.Draw(t, "attachment"), AttachmentSHA256: short.Draw(t, "sha256"),
			ReplyTo: MessageID{0: rapid.ByteRange(0, 1).Draw(t, "reply")}, TTL: time.Duration(rapid.IntRange(0, 1).Draw(t, "ttl")),
		}
	})
}

// Two requests have the same hash if and only if all but their keys is the same.
func TestHashTellsRequestsApart(t *testing.T) {
	same := func(a, b SendRequest) bool {
		return a.Thread == b.Thread && a.ClientSeq == b.ClientSeq && string(a.Ciphertext) == string(b.Ciphertext) &&
			a.ContentType == b.ContentType && a.AttachmentID == b.AttachmentID && a.AttachmentSHA256 == b.AttachmentSHA256 &&
			a.ReplyTo == b.ReplyTo && a.TTL == b.TTL
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := aRequest().Draw(t, "a"), aRequest().Draw(t, "b")
		if (a.hash() == b.hash()) != same(a, b) {
			t.Fatalf("%+v and %+v", a, b)
		}
		c := a
		c.IdempotencyKey = "another"
		if c.hash() != a.hash() {
			t.Fatal("the key is in the hash")
		}
	})
}

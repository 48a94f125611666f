package mongo

import (
	"testing"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

// A key that was taken is given though nobody can say how many are left.
func TestATakenPrekeyIsGivenThoughItCannotBeCounted(t *testing.T) {
	server := mongod.Shared(t)
	net := &network{}
	s := open(t, server, mongod.With(server.URI(), cutOptions...), Options{Now: testNow, dialer: net})
	key := chat.Prekey{ID: 7, Public: []byte("one-time")}
	signed := chat.SignedPrekey{Prekey: chat.Prekey{Public: []byte("signed")}, Signature: []byte("by the identity")}
	u := chat.PrekeyUpload{Identity: []byte("identity"), Signed: signed, OneTime: []chat.Prekey{key}, At: testNow()}
	if _, err := s.PutPrekeys(t.Context(), "ann", "phone", u); err != nil {
		t.Fatal(err)
	}
	net.cutAfter(1, true)
	got, left, err := s.TakeOneTimePrekey(t.Context(), "ann", "phone")
	if err != nil || got.ID != key.ID || string(got.Public) != string(key.Public) || left != -1 {
		t.Errorf("taken was %+v, %d left, %v; want key 7, and no number", got, left, err)
	}
}

package mongo

import (
	"testing"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

// A key that was taken is given though the one of the other kind cannot be.
func TestATakenPrekeyIsGivenThoughThePQOneCannotBe(t *testing.T) {
	server := mongod.Shared(t)
	net := &network{}
	s := open(t, server, mongod.With(server.URI(), cutOptions...), Options{Now: testNow, dialer: net})
	key := chat.Prekey{ID: 7, Public: []byte("one-time")}
	signed := chat.SignedPrekey{Prekey: chat.Prekey{Public: []byte("signed")}, Signature: []byte("by the identity")}
	u := chat.PrekeyUpload{Identity: []byte("identity"), Signed: signed, OneTime: []chat.Prekey{key}, PQOneTime: []chat.SignedPrekey{signed}, PQLastResort: &signed, At: testNow()}
	if _, err := s.PutPrekeys(t.Context(), "ann", "phone", u); err != nil {
		t.Fatal(err)
	}
	listed, err := s.PrekeyDevices(t.Context(), []chat.UserID{"ann"})
	if err != nil {
		t.Fatal(err)
	}
	net.cutAfter(1, true)
	got, err := s.TakePrekey(t.Context(), listed[0])
	if err != nil || got.OneTime == nil || got.OneTime.ID != key.ID || got.PQOneTime != nil || got.PQLastResort == nil {
		t.Errorf("taken was %+v, %v; want key 7, and the PQ key of last resort", got, err)
	}
}

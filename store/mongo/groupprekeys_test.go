package mongo

import (
	"fmt"
	"testing"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

// Keys for a group at once: but for one write for each device, which takes its key, the commands
// are the same for 64 people as for 3.
func TestCostOfKeysForAGroup(t *testing.T) {
	const devices = 2
	server := mongod.Shared(t)
	sent := new(commands)
	s := open(t, server, server.URI(), Options{monitor: sent.monitor()})
	service := chat.New(chat.Config{Store: s, Bus: silent{}, Limits: chat.Limits{PrekeyFetchesOf: 6}})
	defer service.Close(t.Context())
	caller := user("user000")
	var others []chat.UserID
	fetch := func(people int) cost {
		t.Helper()
		for i := len(others); i < people; i++ {
			other := chat.UserID(fmt.Sprintf("user%03d", i))
			others = append(others, other)
			for d := range devices {
				k := chat.SignedPrekey{Prekey: chat.Prekey{ID: 1, Public: []byte("public")}, Signature: []byte("signature")}
				u := chat.PrekeyUpload{Identity: []byte("identity"), Signed: k, OneTime: []chat.Prekey{k.Prekey, {ID: 2, Public: []byte("public")}}, At: testNow()}
				if _, err := s.PutPrekeys(t.Context(), other, chat.DeviceID(fmt.Sprintf("d%d", d)), u); err != nil {
					t.Fatal(err)
				}
			}
		}
		v, _, err := service.CreateThread(t.Context(), caller, chat.CreateThread{Type: chat.Group, Participants: others})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := service.Thread(t.Context(), caller, v.ID); err != nil { // what is cached of it is
			t.Fatal(err)
		}
		sent.take()
		given, err := service.FetchGroupPrekeys(t.Context(), caller, v.ID, nil)
		if err != nil || len(given.Bundles) != people || len(given.Unavailable)+len(given.Remaining) != 0 {
			t.Fatalf("%+v, %v", given, err)
		}
		c := sent.take()
		t.Logf("keys for %d people with %d devices each: %d writes, %d reads", people, devices, c.Writes, c.Reads)
		return cost{c.Writes - int64(people*devices), c.Reads}
	}
	few := fetch(3)
	if few.Writes > 3 || few.Reads > 8 {
		t.Errorf("besides the takes it costs %+v", few)
	}
	// The keys of 250 people are taken in four parts.
	if many := fetch(250); many.Writes > 4*few.Writes || many.Reads > 4*few.Reads {
		t.Errorf("besides the takes 250 people cost %+v, 3 people %+v", many, few)
	}
}

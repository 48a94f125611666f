package mongo

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

func TestJoinedRuns(t *testing.T) {
	for _, c := range []struct{ runs, want []runDoc }{
		{nil, nil},
		{[]runDoc{{3, 3}, {1, 1}}, []runDoc{{1, 1}, {3, 3}}},
		{[]runDoc{{3, 3}, {1, 1}, {2, 2}}, []runDoc{{1, 3}}},
		{[]runDoc{{1, 9}, {4, 4}, {10, 10}, {12, 12}, {12, 12}}, []runDoc{{1, 10}, {12, 12}}},
		{[]runDoc{{0, 0}, {1<<32 - 1, 1<<32 - 1}}, []runDoc{{0, 0}, {1<<32 - 1, 1<<32 - 1}}},
	} {
		text := fmt.Sprint(c.runs)
		got := joinedRuns(c.runs)
		if len(got) != len(c.want) || len(got) > 0 && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s are joined to %v, want %v", text, got, c.want)
		}
		for _, key := range []int64{0, 1, 2, 3, 4, 9, 10, 11, 12, 1<<32 - 1} {
			in := slices.ContainsFunc(c.want, func(r runDoc) bool { return r.From <= key && key <= r.To })
			if doc := (takenDoc{Runs: got}); doc.has(key) != in {
				t.Errorf("%v has %d: %v", got, key, !in)
			}
		}
	}
}

// Ids that were taken are known for ever, and few documents know them: ids that were used in
// order take one. Ids that are far apart, which no client has to use, take no more than they did.
func TestIdsOfTakenPrekeysAreJoined(t *testing.T) {
	server := mongod.Shared(t)
	s := open(t, server, server.URI(), Options{Now: testNow})
	signed := func(id uint32) chat.SignedPrekey {
		return chat.SignedPrekey{Prekey: chat.Prekey{ID: id, Public: []byte("key")}, Signature: []byte("by the identity")}
	}
	upload := func(device chat.DeviceID, ids ...uint32) (ignored, pqIgnored []uint32) {
		t.Helper()
		last := signed(1)
		u := chat.PrekeyUpload{Identity: []byte("identity"), Signed: signed(1), PQLastResort: &last, At: testNow()}
		for _, id := range ids {
			u.OneTime, u.PQOneTime = append(u.OneTime, signed(id).Prekey), append(u.PQOneTime, signed(id))
		}
		stored, err := s.PutPrekeys(t.Context(), "ann", device, u)
		if err != nil {
			t.Fatal(err)
		}
		return stored.Ignored, stored.PQIgnored
	}
	for device, apart := range map[chat.DeviceID]uint32{"phone": 1, "tablet": 3} {
		var used []uint32
		for round := range uint32(4) {
			ids := make([]uint32, 50)
			for i := range ids {
				ids[i] = (round*50 + uint32(i)) * apart
			}
			upload(device, ids...)
			used = append(used, ids...)
			listed, err := s.PrekeyDevices(t.Context(), []chat.UserID{"ann"})
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(listed, func(d chat.PrekeyDevice) bool { return d.Device == device })
			for range ids {
				if _, err := s.TakePrekey(t.Context(), listed[i]); err != nil {
					t.Fatal(err)
				}
			}
		}
		upload(device, 1<<20) // joins what was taken since the last one
		if ignored, pq := upload(device, used...); !slices.Equal(ignored, used) || !slices.Equal(pq, used) {
			t.Errorf("%s: of ids that were taken, %d and %d of %d are ignored", device, len(ignored), len(pq), len(used))
		}
		docs, err := s.oneTime.CountDocuments(t.Context(), d("owner", d("$gt", "ann/"+string(device), "$lt", "ann/"+string(device)+"0")))
		if err != nil {
			t.Fatal(err)
		}
		if most := int64(2 * (2 + joinTakenFrom)); docs > most {
			t.Errorf("%s: %d documents know of %d ids of two kinds, want at most %d", device, docs, len(used), most)
		}
		t.Logf("%s: %d documents know of %d ids of two kinds", device, docs, len(used))
	}
}

// A crash between the two writes of a joining leaves ids in both places, and none in neither.
func TestIdsOfTakenPrekeysAreJoinedAfterACrash(t *testing.T) {
	server := mongod.Shared(t)
	uri := server.URI()
	net := &network{}
	crashing := open(t, server, mongod.With(uri, cutOptions...), Options{Now: testNow, dialer: net})
	const owner = "ann/phone/5"
	var docs []oneTimeDoc
	var keys []chat.SignedPrekey
	for id := range uint32(joinTakenFrom) {
		docs = append(docs, oneTimeDoc{ID: oneTimeID(owner, id), Owner: owner, Key: int64(id), Taken: true})
		keys = append(keys, chat.SignedPrekey{Prekey: chat.Prekey{ID: id}})
	}
	if _, err := crashing.oneTime.InsertMany(t.Context(), docs); err != nil {
		t.Fatal(err)
	}
	check := func(s *Store) {
		t.Helper()
		states, err := s.oneTimeStates(t.Context(), owner, keys)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			if states[k.ID] != chat.PrekeyTaken {
				t.Errorf("key %d is %v", k.ID, states[k.ID])
			}
		}
	}
	net.cutAfter(3, true) // the ids, the runs, and the insert
	if err := crashing.joinTaken(t.Context(), owner); err == nil {
		t.Fatal("nothing was cut")
	}
	next := open(t, server, uri, Options{Now: testNow})
	check(next.Store)
	if err := next.joinTaken(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	check(next.Store)
	if n, err := next.oneTime.CountDocuments(t.Context(), d("owner", owner)); err != nil || n != 1 {
		t.Errorf("%d documents know of the ids, %v; want 1", n, err)
	}
}

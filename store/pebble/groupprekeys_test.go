package pebble

import (
	"fmt"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// silent is a bus that carries nothing.
type silent struct{ chat.Bus }

func (silent) Publish(chat.Notice) {}

func (silent) Subscribe(chat.BusHandler) (stop func()) { return func() {} }

// Keys of 250 people with 2 devices each, at once: one read of each person's devices, and one
// commit for each device. How long it takes on a disk is printed.
func TestCostOfKeysForAGroup(t *testing.T) {
	const people, devices = 250, 2
	counted := new(costs)
	s, err := Open(t.TempDir(), Options{costs: counted})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	service := chat.New(chat.Config{Store: s, Bus: silent{}, Limits: chat.Limits{PrekeyFetchesOf: 6}})
	defer service.Close(t.Context())
	caller := chat.Caller{User: "user000", Device: "d0", Scopes: []chat.Scope{chat.ScopeRead, chat.ScopeWrite}}
	var others []chat.UserID
	k := chat.SignedPrekey{Prekey: chat.Prekey{ID: 1, Public: make([]byte, 32)}, Signature: make([]byte, 64)}
	for i := range people {
		user := chat.UserID(fmt.Sprintf("user%03d", i))
		others = append(others, user)
		for d := range devices {
			u := chat.PrekeyUpload{Identity: make([]byte, 32), Signed: k, OneTime: []chat.Prekey{k.Prekey}, At: testTime}
			if _, err := s.PutPrekeys(t.Context(), user, chat.DeviceID(fmt.Sprintf("d%d", d)), u); err != nil {
				t.Fatal(err)
			}
		}
	}
	v, _, err := service.CreateThread(t.Context(), caller, chat.CreateThread{Type: chat.Group, Participants: others})
	if err != nil {
		t.Fatal(err)
	}
	counted.take()
	began := time.Now()
	given, err := service.FetchGroupPrekeys(t.Context(), caller, v.ID, nil)
	took := time.Since(began)
	if err != nil || len(given.Bundles) != people || len(given.Unavailable)+len(given.Remaining) != 0 {
		t.Fatalf("%d bundles, %d unavailable, %d remain, %v", len(given.Bundles), len(given.Unavailable), len(given.Remaining), err)
	}
	const given1 = people*devices - 1 // but the calling device
	got := counted.take()
	// Of each device its keys and its numbers are read, and the numbers once more behind all takes.
	want := cost{Commits: given1, Keys: 3 * given1, Gets: 3*given1 + 2, Ranges: people + given1, Steps: people*devices + given1}
	if got != want {
		t.Errorf("keys for %d people with %d devices each cost %+v, want %+v", people, devices, got, want)
	}
	t.Logf("keys for %d people with %d devices each: %+v, %v", people, devices, got, took.Round(time.Millisecond))
}

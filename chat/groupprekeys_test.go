package chat_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

func (w *world) fetchGroup(by chat.Caller, g chat.ThreadID, users ...chat.UserID) chat.GroupPrekeys {
	w.tb.Helper()
	k, err := w.FetchGroupPrekeys(w.tb.Context(), by, g, users)
	must(w.tb, err)
	return k
}

func describeGroup(k chat.GroupPrekeys) string {
	var bundles []string
	for _, b := range k.Bundles {
		one := string(b.User)
		for _, d := range b.Devices {
			one += fmt.Sprintf(" %s:%d", d.Device, d.OneTime.ID)
		}
		for _, d := range b.Unavailable {
			one += fmt.Sprintf(" no %s", d)
		}
		bundles = append(bundles, one)
	}
	return fmt.Sprintf("%q unavailable %v remaining %v", bundles, k.Unavailable, k.Remaining)
}

func TestKeysForAGroupAtOnce(t *testing.T) {
	w := newWorld(t)
	g := w.newGroup("alice", "bob", "carol", "dave")
	for _, c := range []chat.Caller{on("alice", "phone"), on("alice", "web"), on("bob", "phone"), on("bob", "tablet"), on("eve", "phone")} {
		w.upload(c, upload(1, 2))
	}
	w.upload(on("carol", "phone"), upload(1, 0))
	alice := on("alice", "phone")
	same(t, "all", describeGroup(w.fetchGroup(alice, g)), `["alice web:1" "bob phone:1 tablet:1"] unavailable [dave carol] remaining []`)
	same(t, "some, one twice, a stranger and oneself", describeGroup(w.fetchGroup(alice, g, "eve", "bob", "alice", "bob", "nobody")),
		`["bob phone:2 tablet:2" "alice web:2"] unavailable [eve nobody] remaining []`)
	w.upload(on("bob", "phone"), upload(3, 1))
	same(t, "one device out of keys", describeGroup(w.fetchGroup(alice, g, "bob")), `["bob phone:3 no tablet"] unavailable [] remaining []`)
	none, err := w.FetchGroupPrekeys(t.Context(), alice, g, []chat.UserID{})
	must(t, err)
	same(t, "nobody's", describeGroup(none), `[] unavailable [] remaining []`)
}

func TestKeysForAGroupAreForItsParticipants(t *testing.T) {
	w := newWorld(t)
	g := w.newGroup("alice", "bob")
	_, err := w.FetchGroupPrekeys(t.Context(), as("eve"), g, nil)
	refused(t, err, chat.CodeNotAParticipant)
	_, err = w.FetchGroupPrekeys(t.Context(), as("alice"), chat.ThreadID{1}, nil)
	refused(t, err, chat.CodeThreadNotFound)
	_, err = w.FetchGroupPrekeys(t.Context(), with("alice", chat.ScopeRead), g, nil)
	refused(t, err, chat.CodeMissingScope)
}

// A caller may ask 6 times in ten minutes for each thread; of one target it gets keys 6 times, and
// what was counted there counts for a fetch of that target alone, too.
func TestKeysForAGroupAreLimited(t *testing.T) {
	w := newWorldOf(t, setup{limits: chat.Limits{PrekeyFetches: 60, PrekeyFetchesOf: 6}})
	g, other := w.newGroup("alice", "bob"), w.newGroup("alice", "bob", "carol")
	w.upload(on("bob", "phone"), upload(1, 50))
	w.upload(on("carol", "phone"), upload(1, 50))
	w.fetch("alice", "bob")
	for i := range 5 {
		same(t, "call", describeGroup(w.fetchGroup(as("alice"), g)), fmt.Sprintf(`["bob phone:%d"] unavailable [] remaining []`, i+2))
	}
	same(t, "bob was asked of 6 times", describeGroup(w.fetchGroup(as("alice"), g)), `[] unavailable [bob] remaining []`)
	_, err := w.FetchGroupPrekeys(t.Context(), as("alice"), g, nil)
	refused(t, err, chat.CodeRateLimited)
	same(t, "another thread", describeGroup(w.fetchGroup(as("alice"), other)), `["carol phone:1"] unavailable [bob] remaining []`)
	same(t, "no key was taken of who was unavailable", fmt.Sprint(w.oneTime("bob")), "map[phone:44]")
	_, err = w.FetchPrekeys(t.Context(), as("alice"), "bob")
	refused(t, err, chat.CodeRateLimited)
	same(t, "another caller", describeGroup(w.fetchGroup(as("bob"), other, "carol")), `["carol phone:2"] unavailable [] remaining []`)
	w.clock.advance(10 * time.Minute)
	same(t, "ten minutes later", describeGroup(w.fetchGroup(as("alice"), g)), `["bob phone:7"] unavailable [] remaining []`)
}

// An answer has at most 4 MiB of bundles. Of who is left over no key is taken, and nothing is
// counted.
func TestKeysForAGroupThatAreTooLargeRemain(t *testing.T) {
	w := newWorld(t)
	var people []chat.UserID
	large := bytes.Repeat([]byte{7}, chat.MaxPrekeyBytes)
	for i := range 12 {
		user := chat.UserID(fmt.Sprintf("user-%02d", i))
		people = append(people, user)
		for device := range chat.MaxPrekeyDevices {
			k := chat.SignedPrekey{Prekey: chat.Prekey{ID: 1, Public: large}, Signature: large}
			w.upload(on(user, chat.DeviceID(fmt.Sprintf("d-%02d", device))), chat.PrekeyUpload{
				Identity: large, Signed: k, OneTime: []chat.Prekey{k.Prekey}, PQOneTime: []chat.SignedPrekey{k}, PQLastResort: &k,
			})
		}
	}
	g := w.newGroup("alice", people...)
	first := w.fetchGroup(as("alice"), g)
	same(t, "everybody is somewhere", len(first.Bundles)+len(first.Remaining), len(people))
	if len(first.Bundles) < 6 || len(first.Remaining) < 3 {
		t.Errorf("%d bundles, %d remain", len(first.Bundles), len(first.Remaining))
	}
	for _, user := range first.Remaining {
		for device, left := range w.oneTime(user) {
			same(t, string(user)+"/"+string(device), left, 1)
		}
	}
	rest := w.fetchGroup(as("alice"), g, first.Remaining...)
	same(t, "then the rest", len(rest.Bundles), len(first.Remaining))
	same(t, "remaining", len(rest.Remaining), 0)
}

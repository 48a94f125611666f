package chat_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

func on(user chat.UserID, device chat.DeviceID) chat.Caller {
	c := as(user)
	c.Device = device
	return c
}

func key(id uint32, public string) chat.Prekey {
	return chat.Prekey{ID: id, Public: []byte(public)}
}

func signed(id uint32, public string) chat.SignedPrekey {
	return chat.SignedPrekey{Prekey: key(id, public), Signature: []byte("signature of " + public)}
}

// upload is a good upload of n one-time keys from the given id on.
func upload(from, n uint32) chat.PrekeyUpload {
	u := chat.PrekeyUpload{Identity: []byte("identity"), Signed: signed(1, "signed")}
	for id := from; id < from+n; id++ {
		u.OneTime = append(u.OneTime, key(id, fmt.Sprintf("key %d", id)))
	}
	return u
}

func (w *world) upload(c chat.Caller, u chat.PrekeyUpload) chat.StoredPrekeys {
	w.tb.Helper()
	d, err := w.UploadPrekeys(w.tb.Context(), c, u)
	must(w.tb, err)
	return d
}

func (w *world) fetch(by, user chat.UserID) chat.PrekeyBundle {
	w.tb.Helper()
	b, err := w.FetchPrekeys(w.tb.Context(), as(by), user)
	must(w.tb, err)
	return b
}

// oneTime are the one-time keys of a user's devices that are left, by counts.
func (w *world) oneTime(user chat.UserID) map[chat.DeviceID]int {
	w.tb.Helper()
	devices, err := w.OwnPrekeys(w.tb.Context(), as(user))
	must(w.tb, err)
	left := make(map[chat.DeviceID]int)
	for _, d := range devices {
		left[d.Device] = d.Left[chat.PlainPrekeys]
	}
	return left
}

func TestPrekeysOfEachDevice(t *testing.T) {
	w := newWorld(t)
	at := w.clock.Now()
	u := upload(7, 20)
	last := signed(9, "last")
	u.LastResort = &last
	d := w.upload(on("bob", "tablet"), u)
	same(t, "stored", d.Left[chat.PlainPrekeys], 20)
	same(t, "device", d.Device, chat.DeviceID("tablet"))
	same(t, "at", d.UpdatedAt, at)
	w.clock.advance(time.Minute)
	w.upload(on("bob", "phone"), upload(7, 20))
	w.upload(on("carol", "phone"), upload(7, 20))
	same(t, "told of new devices", len(w.news()), 3)

	devices, err := w.OwnPrekeys(t.Context(), as("bob"))
	must(t, err)
	same(t, "devices", len(devices), 2)
	same(t, "in order of their names", devices[0].Device, chat.DeviceID("phone"))
	same(t, "time", devices[1].UpdatedAt, at)

	b := w.fetch("alice", "bob")
	same(t, "user", b.User, chat.UserID("bob"))
	same(t, "unavailable", len(b.Unavailable), 0)
	for _, d := range b.Devices {
		same(t, "identity", string(d.Identity), "identity")
		same(t, "signed", string(d.Signed.Public)+string(d.Signed.Signature), "signedsignature of signed")
		same(t, "one-time id, the lowest", d.OneTime.ID, 7)
		same(t, "one-time key", string(d.OneTime.Public), "key 7")
		same(t, "no last resort while there are others", d.LastResort == nil, true)
	}
	same(t, "left", fmt.Sprint(w.oneTime("bob")), "map[phone:19 tablet:19]")
	same(t, "carol's", fmt.Sprint(w.oneTime("carol")), "map[phone:20]")
	same(t, "bob's for himself", len(w.fetch("bob", "bob").Devices), 2)
	w.heard.nothing(t)
}

func TestPrekeysAddUpAndTheRestIsReplaced(t *testing.T) {
	w := newWorld(t)
	first := upload(1, 3)
	last := signed(5, "last")
	first.LastResort = &last
	w.upload(as("bob"), first)
	w.fetch("alice", "bob") // 1 is gone
	at := w.clock.advance(time.Minute)
	next := chat.PrekeyUpload{Identity: []byte("identity"), Signed: signed(2, "new signed"), OneTime: []chat.Prekey{
		key(1, "again"), key(2, "replaced"), key(4, "added"), key(0, "the lowest"), key(1<<32-1, "the highest"),
	}}
	d := w.upload(as("bob"), next)
	same(t, "stored: one handed out is ignored", d.Left[chat.PlainPrekeys], 5)
	sameList(t, "ignored", d.Ignored, 1)
	same(t, "no new installation", d.Reset(), false)
	same(t, "updated at", d.UpdatedAt, at)

	var given []string
	for range 5 {
		b := w.fetch("alice", "bob").Devices[0]
		same(t, "identity", string(b.Identity), "identity")
		same(t, "signed", b.Signed.ID, 2)
		given = append(given, string(b.OneTime.Public))
	}
	sameList(t, "keys", given, "the lowest", "replaced", "key 3", "added", "the highest")
	_, err := w.FetchPrekeys(t.Context(), as("alice"), "bob")
	refused(t, err, chat.CodePrekeysExhausted) // the last resort was replaced by none
	w.upload(as("bob"), upload(0, 5))          // all were handed out once
	same(t, "none of them comes back", fmt.Sprint(w.oneTime("bob")), "map[phone:0]")
}

func TestPrekeyUploadBounds(t *testing.T) {
	w := newWorld(t)
	long, longest := make([]byte, 4<<10+1), make([]byte, 4<<10)
	for name, c := range map[string]struct {
		change func(*chat.PrekeyUpload)
		fields []string
	}{
		"good":             {func(*chat.PrekeyUpload) {}, nil},
		"no one-time keys": {func(u *chat.PrekeyUpload) { u.OneTime = nil }, nil},
		"a last resort":    {func(u *chat.PrekeyUpload) { k := signed(1, "x"); u.LastResort = &k }, nil},
		"keys of 4 KiB": {func(u *chat.PrekeyUpload) {
			u.Identity, u.Signed.Public, u.Signed.Signature = longest, longest, longest
		}, nil},
		"a one-time key of 4 K":  {func(u *chat.PrekeyUpload) { u.OneTime[1].Public = longest }, nil},
		"no identity":            {func(u *chat.PrekeyUpload) { u.Identity = nil }, []string{"identity_key"}},
		"a long identity":        {func(u *chat.PrekeyUpload) { u.Identity = long }, []string{"identity_key"}},
		"no signed key":          {func(u *chat.PrekeyUpload) { u.Signed.Public = nil }, []string{"signed_prekey/public_key"}},
		"a long signed key":      {func(u *chat.PrekeyUpload) { u.Signed.Public = long }, []string{"signed_prekey/public_key"}},
		"no signature":           {func(u *chat.PrekeyUpload) { u.Signed.Signature = nil }, []string{"signed_prekey/signature"}},
		"a long signature":       {func(u *chat.PrekeyUpload) { u.Signed.Signature = long }, []string{"signed_prekey/signature"}},
		"an empty last resort":   {func(u *chat.PrekeyUpload) { u.LastResort = &chat.SignedPrekey{} }, []string{"last_resort_prekey/public_key", "last_resort_prekey/signature"}},
		"an empty one-time key":  {func(u *chat.PrekeyUpload) { u.OneTime[1].Public = nil }, []string{"one_time_prekeys/1/public_key"}},
		"a long one-time key":    {func(u *chat.PrekeyUpload) { u.OneTime[0].Public = long }, []string{"one_time_prekeys/0/public_key"}},
		"an id twice":            {func(u *chat.PrekeyUpload) { u.OneTime[2].ID = u.OneTime[0].ID }, []string{"one_time_prekeys/2/key_id"}},
		"ids of different kinds": {func(u *chat.PrekeyUpload) { u.OneTime[0].ID, u.Signed.ID = 1, 1 }, nil},
		"several at once":        {func(u *chat.PrekeyUpload) { u.Identity, u.OneTime[0].Public = nil, nil }, []string{"identity_key", "one_time_prekeys/0/public_key"}},
	} {
		t.Run(name, func(t *testing.T) {
			u := upload(10, 3)
			c.change(&u)
			_, err := w.UploadPrekeys(t.Context(), on("bob", "phone"), u)
			if c.fields == nil {
				must(t, err)
				return
			}
			invalid(t, err, c.fields...)
		})
	}
	_, err := w.UploadPrekeys(t.Context(), as("carol"), upload(0, 101))
	invalid(t, err, "one_time_prekeys")
	same(t, "100 at once", w.upload(as("carol"), upload(0, 100)).Left[chat.PlainPrekeys], 100)
	_, err = w.UploadPrekeys(t.Context(), with("carol", chat.ScopeRead), chat.PrekeyUpload{})
	refused(t, err, chat.CodeMissingScope)
	_, err = w.OwnPrekeys(t.Context(), with("carol", chat.ScopeWrite))
	refused(t, err, chat.CodeMissingScope)
	_, err = w.FetchPrekeys(t.Context(), with("carol", chat.ScopeWrite), "bob")
	refused(t, err, chat.CodeMissingScope)
}

func TestPrekeysAreAtMostAThousandOf16Devices(t *testing.T) {
	w := newWorld(t)
	for i := range uint32(10) {
		w.upload(as("bob"), upload(100*i, 100))
	}
	_, err := w.UploadPrekeys(t.Context(), as("bob"), upload(1000, 1))
	invalid(t, err, "one_time_prekeys")
	w.upload(as("bob"), upload(0, 100)) // replacing is no more
	same(t, "stored", fmt.Sprint(w.oneTime("bob")), "map[phone:1000]")
	w.fetch("alice", "bob")
	same(t, "room for one", w.upload(as("bob"), upload(1000, 1)).Left[chat.PlainPrekeys], 1000)

	for i := range 15 {
		w.upload(on("bob", chat.DeviceID(fmt.Sprintf("device-%d", i))), upload(0, 0))
	}
	_, err = w.UploadPrekeys(t.Context(), on("bob", "one-more"), upload(0, 0))
	refused(t, err, chat.CodeTooManyDevices)
	w.upload(on("bob", "device-3"), upload(0, 1)) // one that is there
	same(t, "devices", len(w.oneTime("bob")), 16)
	w.upload(on("carol", "one-more"), upload(0, 0))
}

func TestPrekeysRunOut(t *testing.T) {
	w := newWorld(t)
	_, err := w.FetchPrekeys(t.Context(), as("alice"), "bob")
	refused(t, err, chat.CodeNoPrekeys)
	u := upload(1, 1)
	last := signed(77, "last resort")
	u.LastResort = &last
	w.upload(on("bob", "with-last-resort"), u)
	w.upload(on("bob", "without"), upload(1, 1))
	same(t, "both give one", len(w.fetch("alice", "bob").Devices), 2)
	for range 2 { // a last resort is given again and again
		b := w.fetch("alice", "bob")
		same(t, "devices", len(b.Devices), 1)
		same(t, "device", b.Devices[0].Device, chat.DeviceID("with-last-resort"))
		same(t, "one-time", b.Devices[0].OneTime == nil, true)
		same(t, "last resort", b.Devices[0].LastResort.ID, 77)
		same(t, "signature", string(b.Devices[0].LastResort.Signature), "signature of last resort")
		sameList(t, "unavailable", b.Unavailable, "without")
	}
	w.upload(on("carol", "phone"), upload(0, 0))
	_, err = w.FetchPrekeys(t.Context(), as("alice"), "carol")
	refused(t, err, chat.CodePrekeysExhausted)
	e, _ := errors.AsType[*chat.Error](err)
	same(t, "it says when to come back", e.RetryAfter > 0, true)
}

func TestDeviceIsToldThatItsPrekeysRunLow(t *testing.T) {
	w := newWorld(t)
	w.upload(on("bob", "phone"), upload(1, 12))
	w.upload(on("bob", "tablet"), upload(1, 100))
	var left []int
	for range 14 {
		w.heard.drain()
		w.fetch("alice", "bob")
		heard := w.heard.drain()
		if len(heard) == 0 {
			left = append(left, -1)
			continue
		}
		same(t, "notices", len(heard), 1)
		sameList(t, "audience", heard[0].Audience, "bob")
		same(t, "device", heard[0].PrekeysLow.Device, chat.DeviceID("phone"))
		left = append(left, heard[0].PrekeysLow.Left)
	}
	sameList(t, "left when told", left, -1, -1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0)
}

func TestNoPrekeyIsGivenTwice(t *testing.T) {
	w := newWorld(t)
	w.upload(as("bob"), upload(1, 100))
	nodes := []*chat.Service{w.Service, w.anotherNode(t, w.clock.Now)}
	var mu sync.Mutex
	var given []uint32
	var wg sync.WaitGroup
	for i := range 120 {
		wg.Go(func() {
			b, err := nodes[i%2].FetchPrekeys(t.Context(), as(chat.UserID(fmt.Sprintf("user-%d", i))), "bob")
			if err != nil {
				if chat.CodeOf(err) != chat.CodePrekeysExhausted {
					t.Errorf("fetch %d: %v", i, err)
				}
				return
			}
			mu.Lock()
			defer mu.Unlock()
			given = append(given, b.Devices[0].OneTime.ID)
		})
	}
	wg.Wait()
	slices.Sort(given)
	same(t, "given", len(given), 100)
	same(t, "different", len(slices.Compact(given)), 100)
}

func TestPrekeyRates(t *testing.T) {
	w := newWorldOf(t, setup{limits: chat.Limits{PrekeyFetches: 60, PrekeyFetchesOf: 6}})
	for i := range 61 {
		w.upload(as(chat.UserID(fmt.Sprintf("user-%d", i))), upload(1, 20))
	}
	limited := func(by, user chat.UserID, wait time.Duration) {
		t.Helper()
		_, err := w.FetchPrekeys(t.Context(), as(by), user)
		refused(t, err, chat.CodeRateLimited)
		e, _ := errors.AsType[*chat.Error](err)
		same(t, "retry after", e.RetryAfter.Round(time.Millisecond), wait)
	}
	for range 6 {
		w.fetch("alice", "user-0")
	}
	limited("alice", "user-0", 10*time.Minute) // six in any ten minutes
	same(t, "a refused fetch takes no key", fmt.Sprint(w.oneTime("user-0")), "map[phone:14]")
	w.fetch("alice", "user-1") // another target
	w.fetch("bob", "user-0")   // another caller
	w.clock.advance(10*time.Minute - time.Millisecond)
	limited("alice", "user-0", time.Millisecond)
	w.clock.advance(time.Millisecond)
	w.fetch("alice", "user-0")
	w.clock.advance(time.Minute)
	for range 5 {
		w.fetch("alice", "user-0")
	}
	limited("alice", "user-0", 9*time.Minute)

	w.clock.advance(time.Hour)
	for i := range 60 {
		w.fetch("carol", chat.UserID(fmt.Sprintf("user-%d", i)))
		w.clock.advance(10 * time.Millisecond)
	}
	limited("carol", "user-60", time.Minute-600*time.Millisecond) // sixty in any minute, whomever
	w.clock.advance(time.Minute - 600*time.Millisecond)
	w.fetch("carol", "user-60")
	limited("carol", "user-60", 10*time.Millisecond)
	w.clock.advance(time.Minute)
	for range 60 { // asking in vain counts, too
		_, err := w.FetchPrekeys(t.Context(), as("dave"), "nobody")
		refused(t, err, chat.CodeNoPrekeys)
	}
	limited("dave", "user-0", time.Minute)
	same(t, "uploads are not limited", bytes.Equal(w.upload(as("dave"), upload(1, 1)).Identity, []byte("identity")), true)
}

// lossy is a store that cannot take keys of one device, nor count any.
type lossy struct {
	chat.Store

	down chat.DeviceID
}

func (s lossy) TakePrekey(ctx context.Context, d chat.PrekeyDevice) (chat.DeviceBundle, error) {
	if d.Device == s.down {
		return chat.DeviceBundle{}, errDisk
	}
	return s.Store.TakePrekey(ctx, d)
}

func (s lossy) CountPrekeys(context.Context, []chat.PrekeyDevice) ([]chat.PrekeyCounts, error) {
	return nil, errDisk
}

func TestAKeyTakenIsGivenThoughAnotherDevicesFails(t *testing.T) {
	w := newWorld(t)
	for _, device := range []chat.DeviceID{"laptop", "phone"} {
		c := as("bob")
		c.Device = device
		w.upload(c, upload(1, 1))
	}
	w.heard.drain()
	s := chat.New(chat.Config{Store: lossy{w.store, "phone"}, Bus: w.bus, Now: w.clock.Now})
	defer s.Close(context.Background())
	b, err := s.FetchPrekeys(t.Context(), as("alice"), "bob")
	must(t, err)
	same(t, "devices", len(b.Devices), 1)
	same(t, "of", b.Devices[0].Device, chat.DeviceID("laptop"))
	sameList(t, "unavailable", b.Unavailable, "phone")
	w.heard.nothing(t) // how many are left is not known
	_, err = s.FetchPrekeys(t.Context(), as("alice"), "bob")
	refused(t, err, chat.CodeUnavailable)
}

func TestAdmitOneTimePrekeys(t *testing.T) {
	var u chat.PrekeyUpload
	for id := range uint32(4) {
		u.OneTime = append(u.OneTime, chat.Prekey{ID: id, Public: []byte{byte(id)}})
	}
	ids := map[uint32]chat.PrekeyState{1: chat.PrekeyStored, 2: chat.PrekeyTaken}
	a, err := u.Admit(chat.PlainPrekeys, chat.MaxOneTimePrekeys-2, ids)
	must(t, err)
	if len(a.Added) != 2 || a.Added[0].ID != 0 || a.Added[1].ID != 3 {
		t.Errorf("added are %v, want 0 and 3", a.Added)
	}
	if len(a.Replaced) != 1 || a.Replaced[0].ID != 1 {
		t.Errorf("replaced are %v, want 1", a.Replaced)
	}
	sameList(t, "ignored", a.Ignored, 2)
	if a, err = u.Admit(chat.PlainPrekeys, chat.MaxOneTimePrekeys-1, ids); !errors.Is(err, chat.ErrTooManyPrekeys) || len(a.Added)+len(a.Replaced) > 0 {
		t.Errorf("a key too many gave %v, %v", a, err)
	}
	u.PQOneTime = []chat.SignedPrekey{{Prekey: key(1, "pq")}}
	if _, err = u.Admit(chat.PQPrekeys, chat.MaxOneTimePrekeys, nil); !errors.Is(err, chat.ErrTooManyPQPrekeys) {
		t.Errorf("a PQ key too many gave %v", err)
	}
}

package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// pqKeys makes post-quantum one-time keys with the ids from first to last.
func pqKeys(mark string, first, last uint32) (keys []chat.SignedPrekey) {
	for _, k := range oneTime(mark, first, last) {
		keys = append(keys, chat.SignedPrekey{Prekey: k, Signature: []byte("signature of " + mark)})
	}
	return keys
}

// mustPut stores an upload.
func (f *fixture) mustPut(user chat.UserID, device chat.DeviceID, u chat.PrekeyUpload) chat.StoredPrekeys {
	f.tb.Helper()
	got, err := f.store.PutPrekeys(f.tb.Context(), user, device, u)
	if err != nil {
		f.tb.Fatalf("PutPrekeys: %v", err)
	}
	return got
}

func testNewInstallation(t *testing.T, f *fixture) {
	first := f.upload("first", oneTime("a", 1, 5)...)
	first.LastResort = &first.Signed
	began := f.clock.Now()
	if got := f.mustPut("ann", "phone", first); got.Change != chat.DeviceAdded || got.Reset() || !got.IdentityAt.Equal(began) {
		t.Errorf("the first upload gave %+v", got)
	}
	f.putPrekeys("ann", "tablet", f.upload("tablet", oneTime("t", 1, 2)...), 2)
	if b, _, err := f.take("ann", "phone"); err != nil || b.OneTime.ID != 1 {
		t.Fatalf("taken was %+v, %v", b, err)
	}
	f.clock.Advance(time.Minute)
	same := f.mustPut("ann", "phone", f.upload("again", oneTime("b", 1, 2)...))
	if same.Change != "" || !slices.Equal(same.Ignored, []uint32{1}) || same.Left[chat.PlainPrekeys] != 4 || !same.IdentityAt.Equal(began) {
		t.Errorf("an upload of the same installation gave %+v", same)
	}
	f.clock.Advance(time.Minute)
	other := f.upload("other", oneTime("c", 1, 3)...)
	other.Identity = []byte("another identity")
	got := f.mustPut("ann", "phone", other)
	if !got.Reset() || len(got.Ignored) != 0 || got.Left[chat.PlainPrekeys] != 3 || got.LastResort != nil || !got.IdentityAt.Equal(other.At) {
		t.Errorf("a new installation gave %+v", got)
	}
	if listed := f.prekeysOf("ann")[0]; !listed.IdentityAt.Equal(other.At) || listed.Device != "phone" || listed.User != "ann" {
		t.Errorf("then the device is %+v", listed)
	}
	f.wantTake("ann", "phone", other.OneTime...)
	f.wantTake("ann", "tablet", oneTime("t", 1, 2)...)
	first.OneTime = oneTime("d", 3, 3) // the first installation is a new one now, too
	if got := f.mustPut("ann", "phone", first); !got.Reset() || got.Left[chat.PlainPrekeys] != 1 {
		t.Errorf("the first installation again gave %+v", got)
	}
	f.wantTake("ann", "phone", first.OneTime...)
}

func testPQPrekeys(t *testing.T, f *fixture) {
	u := f.upload("pq", oneTime("a", 1, 5)...)
	u.PQOneTime = pqKeys("q", 1, 2)
	u.PQLastResort = &chat.SignedPrekey{Prekey: chat.Prekey{ID: 9, Public: []byte("pq last")}, Signature: []byte("s")}
	if got := f.mustPut("ann", "phone", u); got.Left != (chat.PrekeyCounts{5, 2}) || !reflect.DeepEqual(got.PQLastResort, u.PQLastResort) {
		t.Errorf("stored was %+v", got)
	}
	for i := range 3 {
		b, left, err := f.take("ann", "phone")
		if err != nil || b.OneTime == nil || b.OneTime.ID != uint32(i+1) || left != (chat.PrekeyCounts{4 - i, max(0, 1-i)}) {
			t.Fatalf("taken was %+v, %v left, %v", b, left, err)
		}
		if i < 2 && !reflect.DeepEqual(b.PQOneTime, &u.PQOneTime[i]) || i == 2 && !reflect.DeepEqual(b.PQLastResort, u.PQLastResort) || (b.PQOneTime == nil) == (b.PQLastResort == nil) {
			t.Errorf("take %d gave the PQ keys %+v and %+v", i, b.PQOneTime, b.PQLastResort)
		}
	}
	u.OneTime, u.PQOneTime = oneTime("b", 3, 4), pqKeys("r", 2, 3)
	if got := f.mustPut("ann", "phone", u); !slices.Equal(got.Ignored, []uint32{3}) || !slices.Equal(got.PQIgnored, []uint32{2}) || got.Left != (chat.PrekeyCounts{2, 1}) {
		t.Errorf("an upload of ids of which some were taken gave %+v", got)
	}
	bare := f.upload("bare") // without a key of last resort no PQ key is given
	f.mustPut("ann", "phone", bare)
	if b, left, err := f.take("ann", "phone"); err != nil || b.PQOneTime != nil || b.PQLastResort != nil || left != (chat.PrekeyCounts{1, 1}) {
		t.Errorf("taken was %+v, %v left, %v; want no PQ key", b, left, err)
	}
	u.OneTime, u.PQOneTime = nil, pqKeys("r", 10, 10)
	f.mustPut("ann", "phone", u)
	if _, _, err := f.take("ann", "phone"); err != nil { // the last plain one
		t.Fatal(err)
	}
	if b, _, err := f.take("ann", "phone"); !errors.Is(err, chat.ErrNotFound) {
		t.Errorf("with no plain key left taken was %+v, %v", b, err)
	}
	if left := f.prekeysOf("ann")[0].Left; left != (chat.PrekeyCounts{0, 1}) {
		t.Errorf("left are %v: PQ keys were taken in vain", left)
	}
	other := f.upload("other", oneTime("c", 1, 1)...)
	other.Identity = []byte("another")
	if got := f.mustPut("ann", "phone", other); got.Left != (chat.PrekeyCounts{1, 0}) || got.PQLastResort != nil {
		t.Errorf("a new installation has %+v", got)
	}
	other.PQOneTime, other.PQLastResort = pqKeys("s", 1, 2), u.PQLastResort
	if got := f.mustPut("ann", "phone", other); len(got.PQIgnored) != 0 || got.Left[chat.PQPrekeys] != 2 {
		t.Errorf("ids that only the installation before knew: %+v", got)
	}
}

func testManyUsersPrekeys(t *testing.T, f *fixture) {
	users := []chat.UserID{"zoe", "ann", "bob", "nobody", "an"}
	for i, user := range []chat.UserID{"ann", "an", "zoe", "dan"} {
		f.putPrekeys(user, "phone", f.upload("x", oneTime("x", 1, uint32(i+1))...), i+1)
	}
	f.putPrekeys("zoe", "laptop", f.upload("x"), 0)
	var got []string
	for _, d := range f.prekeysOf(users...) {
		got = append(got, fmt.Sprintf("%s/%s %d", d.User, d.Device, d.Left[chat.PlainPrekeys]))
	}
	if want := "zoe/laptop 0, zoe/phone 3, ann/phone 1, an/phone 2"; strings.Join(got, ", ") != want {
		t.Errorf("listed are %v, want %s", got, want)
	}
	if got := f.prekeysOf("nobody", "bob"); len(got) != 0 {
		t.Errorf("of users without keys listed are %+v", got)
	}
	if got := f.prekeysOf(); len(got) != 0 {
		t.Errorf("of no users listed are %+v", got)
	}
}

// Two installations of a device upload again and again, while others take its keys: whatever is
// given is of one of them.
func testRacingInstallations(t *testing.T, f *fixture) {
	const installations, takers, rounds = 2, 3, 6
	upload := func(i, round int) chat.PrekeyUpload {
		mark := fmt.Sprintf("i%d", i)
		u := f.upload(mark, oneTime(fmt.Sprintf("%s r%d", mark, round), 1, 4)...)
		u.Identity, u.PQLastResort = []byte(mark), &u.Signed
		u.PQOneTime = pqKeys(fmt.Sprintf("%s r%d", mark, round), 1, 3)
		return u
	}
	f.mustPut("ann", "phone", upload(0, 0))
	var given atomic.Int64
	raceOf(installations+takers, func(n int) {
		for round := range rounds {
			if n < installations {
				if _, err := f.store.PutPrekeys(t.Context(), "ann", "phone", upload(n, round)); err != nil {
					t.Errorf("PutPrekeys: %v", err)
				}
				continue
			}
			listed, err := f.store.PrekeyDevices(t.Context(), []chat.UserID{"ann"})
			if err != nil || len(listed) != 1 {
				t.Errorf("PrekeyDevices = %+v, %v", listed, err)
				return
			}
			b, err := f.store.TakePrekey(t.Context(), listed[0])
			if errors.Is(err, chat.ErrNotFound) {
				continue
			}
			if err != nil {
				t.Errorf("TakePrekey: %v", err)
				return
			}
			mark := string(b.Identity)
			pq := cmp.Or(b.PQOneTime, b.PQLastResort)
			if !strings.HasPrefix(string(b.OneTime.Public), mark) || string(b.Signed.Public) != "signed "+mark || !strings.Contains(string(pq.Public), mark) {
				t.Errorf("two installations are mixed: %s, %s, %s, %s", mark, b.Signed.Public, b.OneTime.Public, pq.Public)
			}
			given.Add(1)
		}
	})
	if given.Load() == 0 {
		t.Error("nothing was given")
	}
	left := f.prekeysOf("ann")[0].Left[chat.PlainPrekeys]
	for range left {
		if _, _, err := f.take("ann", "phone"); err != nil {
			t.Fatalf("%d are left, and then: %v", left, err)
		}
	}
	if b, _, err := f.take("ann", "phone"); !errors.Is(err, chat.ErrNotFound) {
		t.Errorf("there was one more: %+v, %v", b, err)
	}
}

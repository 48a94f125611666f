package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/parleyhq/parley/chat"
)

// records is what a model keeps of users and attachments.
type records struct {
	seen    map[chat.UserID]time.Time
	blocks  map[[2]chat.UserID]chat.Block
	reports []chat.Report // newest first
	denied  map[string]bool
	keys    map[keyOwner]*modelKeys
	own     map[ownKey]chat.OwnState                  // as it was stored last
	met     map[chat.UserID]map[chat.UserID]time.Time // strangers, and since when they count
}

type keyOwner struct {
	user   chat.UserID
	device chat.DeviceID
}

type modelKeys struct {
	upload chat.PrekeyUpload // the last
	stored map[uint32]chat.Prekey
	given  map[uint32]bool
}

func newRecords() records {
	return records{
		seen: make(map[chat.UserID]time.Time), blocks: make(map[[2]chat.UserID]chat.Block),
		denied: make(map[string]bool), keys: make(map[keyOwner]*modelKeys),
		own: make(map[ownKey]chat.OwnState), met: make(map[chat.UserID]map[chat.UserID]time.Time),
	}
}

func (m *model) see(rt *rapid.T) {
	user := rapid.SampledFrom(people).Draw(rt, "user")
	at := m.clock.Now().Add(-rapid.SampledFrom(leaps).Draw(rt, "ago"))
	if err := m.store.PutLastSeen(rt.Context(), user, at); err != nil {
		rt.Fatalf("PutLastSeen: %v", err)
	}
	if at.After(m.records.seen[user]) {
		m.records.seen[user] = at
	}
}

func (m *model) block(rt *rapid.T) {
	user, other := rapid.SampledFrom(people).Draw(rt, "user"), rapid.SampledFrom(people).Draw(rt, "other")
	pair := [2]chat.UserID{user, other}
	if rapid.IntRange(0, 2).Draw(rt, "lift") == 0 {
		m.deleteBlock(user, other)
		delete(m.records.blocks, pair)
		return
	}
	b := m.putBlock(user, other)
	if _, there := m.records.blocks[pair]; !there {
		m.records.blocks[pair] = b
	}
}

func (m *model) fileReport(rt *rapid.T) {
	last := chat.ReportID{}
	if len(m.records.reports) > 0 {
		last = m.records.reports[0].ID
	}
	r := m.report(last, chat.ReportSpam, rapid.StringN(0, 5, 10).Draw(rt, "note"))
	m.putReport(r)
	m.records.reports = slices.Insert(m.records.reports, 0, r)
}

// hashes of attachments that are denied and allowed.
var hashes = []string{fmt.Sprintf("%064x", 1), fmt.Sprintf("%064x", 2)}

func (m *model) deny(rt *rapid.T) {
	hash, denied := rapid.SampledFrom(hashes).Draw(rt, "hash"), rapid.Bool().Draw(rt, "denied")
	do := m.store.AllowAttachment
	if denied {
		do = m.store.DenyAttachment
	}
	if err := do(rt.Context(), hash); err != nil {
		rt.Fatalf("denied %v: %v", denied, err)
	}
	m.records.denied[hash] = denied
}

// anyOwner is a device that may have prekeys.
func (m *model) anyOwner(rt *rapid.T) keyOwner {
	return keyOwner{rapid.SampledFrom(people[:2]).Draw(rt, "user"), rapid.SampledFrom(devices).Draw(rt, "device")}
}

func (m *model) uploadKeys(rt *rapid.T) {
	o := m.anyOwner(rt)
	ids := rapid.SliceOfNDistinct(rapid.Uint32Range(0, 20), 0, 6, rapid.ID).Draw(rt, "ids")
	mark := rapid.StringMatching("[a-z]{1,3}").Draw(rt, "mark")
	var keys []chat.Prekey
	for _, id := range ids {
		keys = append(keys, oneTime(mark, id, id)...)
	}
	u := m.upload(mark, keys...)
	if rapid.Bool().Draw(rt, "last resort") {
		last := u.Signed
		last.ID++
		u.LastResort = &last
	}
	k := m.records.keys[o]
	if k == nil {
		k = new(modelKeys)
		m.records.keys[o] = k
	}
	if u.Identity = fmt.Appendf(nil, "identity %d", rapid.IntRange(0, 9).Draw(rt, "identity")/9); !bytes.Equal(u.Identity, k.upload.Identity) {
		k.stored, k.given = make(map[uint32]chat.Prekey), make(map[uint32]bool)
	}
	k.upload = u
	for _, key := range keys {
		if !k.given[key.ID] {
			k.stored[key.ID] = key
		}
	}
	m.putPrekeys(o.user, o.device, u, len(k.stored))
}

func (m *model) takeKey(rt *rapid.T) {
	o := m.anyOwner(rt)
	if rapid.IntRange(0, 7).Draw(rt, "of none") == 0 { // of a device that never had keys
		o = keyOwner{anyUser(rt, "asked"), "no device"}
	}
	got, left, err := m.take(o.user, o.device)
	k := m.records.keys[o]
	if k == nil || len(k.stored) == 0 {
		lastResort := k != nil && k.upload.LastResort != nil
		if !lastResort && !errors.Is(err, chat.ErrNotFound) || lastResort && (err != nil || got.LastResort == nil || got.OneTime != nil) {
			rt.Fatalf("taken was %+v, %v; want the last resort: %v", got, err, lastResort)
		}
		return
	}
	lowest := slices.Min(slices.Collect(maps.Keys(k.stored)))
	if err != nil || !reflect.DeepEqual(*got.OneTime, k.stored[lowest]) || left[chat.PlainPrekeys] != len(k.stored)-1 {
		rt.Fatalf("taken was %+v, %d left, %v; want %+v", got, left, err, k.stored[lowest])
	}
	delete(k.stored, lowest)
	k.given[lowest] = true
}

// compareRecords compares all that is kept of users and attachments.
func (m *model) compareRecords(rt *rapid.T) {
	for _, user := range slices.Concat(people, strangers) {
		if p, found, err := m.store.Position(rt.Context(), user, devices[0]); err != nil || found { // no history stores one
			rt.Fatalf("%s has the position %+v, %v, %v; want none", user, p, found, err)
		}
		if got, err := m.store.LastSeen(rt.Context(), user); err != nil || !canonicalTime(got).Equal(m.records.seen[user]) {
			rt.Fatalf("%s was last seen at %v, %v; want %v", user, got, err, m.records.seen[user])
		}
		var blocks []chat.Block
		for pair, b := range m.records.blocks {
			if pair[0] == user {
				blocks = append(blocks, b)
			}
		}
		m.wantBlocks(user, sortedBlocks(blocks)...)
		var keys []chat.PrekeyDevice
		for _, device := range devices { // in order of their ids
			if k := m.records.keys[keyOwner{user, device}]; k != nil {
				keys = append(keys, storedPrekeys(device, k.upload, len(k.stored)))
			}
		}
		m.wantPrekeys(user, keys...)
	}
	for _, hash := range hashes {
		if got, err := m.store.AttachmentDenied(rt.Context(), hash); err != nil || got != m.records.denied[hash] {
			rt.Fatalf("%s is denied: %v, %v; want %v", hash, got, err, m.records.denied[hash])
		}
	}
	m.compareReports(rt)
}

// compareReports compares a page of reports: the newest, those before a report, or
// those before an id that no report has.
func (m *model) compareReports(rt *rapid.T) {
	count := rapid.IntRange(0, 4).Draw(rt, "count")
	before, older := chat.ReportID{}, m.records.reports
	if i := rapid.IntRange(0, len(older)).Draw(rt, "before"); i > 0 {
		before, older = older[i-1].ID, older[i:]
		if rapid.Bool().Draw(rt, "just above") {
			before, older = mint(before, time.Time{}), m.records.reports[i-1:]
		}
	}
	m.wantReports(before, count, older[:min(count, len(older))]...)
}

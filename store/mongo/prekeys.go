package mongo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
)

// A device's prekeys are one document, except its one-time prekeys, which are one
// document each. The document of a one-time prekey that was taken stays, without the key,
// so that its id is not used again, until it is joined with others (takenprekeys.go).
//
// One-time prekeys belong to an installation of the device, which their owner names. An upload
// of another installation stores them under a new owner, where nobody looks for them, and then
// puts that installation in place of the one before, by one write of the device's document. So
// whoever has read that document finds one-time prekeys of the same installation, or none.

// prekeyUserDoc lists the devices of a user that may have prekeys.
type prekeyUserDoc struct {
	User    chat.UserID     `bson:"_id"`
	Devices []chat.DeviceID `bson:"devices"`
	Changed time.Time       `bson:"changed,omitempty"` // when a device last came, went or had another identity; missing in a document of format 4
}

type prekeyDeviceDoc struct {
	ID         string        `bson:"_id"` // user/device
	Device     chat.DeviceID `bson:"device"`
	Identity   []byte        `bson:"identity"`
	Signed     signedKeyDoc  `bson:"signed"`
	LastResort *signedKeyDoc `bson:"last_resort"`
	Updated    time.Time     `bson:"updated"`

	// Documents of format 4 have none of these: their installation has the number 0.
	Installation int64         `bson:"installation,omitempty"`
	IdentityAt   time.Time     `bson:"identity_at,omitempty"`
	PQLastResort *signedKeyDoc `bson:"pq_last_resort,omitempty"`
}

type signedKeyDoc struct {
	ID        int64  `bson:"id"`
	Public    []byte `bson:"public"`
	Signature []byte `bson:"signature"`
}

type oneTimeDoc struct {
	ID        string `bson:"_id"`   // owner/key id, in 10 digits
	Owner     string `bson:"owner"` // see oneTimeOwner
	Key       int64  `bson:"key"`
	Taken     bool   `bson:"taken"`
	Public    []byte `bson:"public,omitempty"`
	Signature []byte `bson:"signature,omitempty"` // of a PQ one
}

// oneTimeOwner is the owner of an installation's one-time prekeys of a kind:
// user/device/installation, with /pq behind it for PQ ones. An installation of the number 0
// is not named.
func oneTimeOwner(id string, installation int64, kind chat.PrekeyKind) string {
	if installation != 0 {
		id = fmt.Sprintf("%s/%d", id, installation)
	}
	if kind == chat.PQPrekeys {
		id += "/pq"
	}
	return id
}

// oneTimeOwners are the owners of an installation's one-time prekeys, by kind.
func oneTimeOwners(d chat.PrekeyDevice) (owners [len(chat.PrekeyKinds)]string) {
	for _, kind := range chat.PrekeyKinds {
		owners[kind] = oneTimeOwner(deviceKey(d.User, d.Device), d.Installation, kind)
	}
	return owners
}

// PutPrekeys implements [chat.PrekeyStore].
func (s *Store) PutPrekeys(ctx context.Context, user chat.UserID, device chat.DeviceID, u chat.PrekeyUpload) (chat.StoredPrekeys, error) {
	if err := checkName(string(user), string(device)); err != nil {
		return chat.StoredPrekeys{}, err
	}
	id := deviceKey(user, device)
	unlock, err := s.prekeyWriters.Lock(ctx, id)
	if err != nil {
		return chat.StoredPrekeys{}, err
	}
	defer unlock()
	for range prekeyTries {
		stored, ok, err := s.putPrekeys(ctx, user, device, u)
		if errors.Is(err, chat.ErrTooManyDevices) || errors.Is(err, chat.ErrTooManyPrekeys) || errors.Is(err, chat.ErrTooManyPQPrekeys) {
			return chat.StoredPrekeys{}, err
		}
		if ok {
			s.joinTakenBefore(ctx, stored, u)
		}
		if ok || err != nil {
			return stored, wrap("store the prekeys of "+id, err)
		}
	}
	return chat.StoredPrekeys{}, fmt.Errorf("store the prekeys of %s: %w", id, errInstallations)
}

// prekeyTries is how often an upload is tried while other installations of the device upload.
const prekeyTries = 16

var errInstallations = errors.New("other installations of the device upload all the time")

func newPrekeyDeviceDoc(p chat.PrekeyDevice) prekeyDeviceDoc {
	return prekeyDeviceDoc{
		ID: deviceKey(p.User, p.Device), Device: p.Device, Identity: p.Identity, IdentityAt: p.IdentityAt, Installation: p.Installation,
		Signed: newSignedKeyDoc(p.Signed), LastResort: newLastResortDoc(p.LastResort), PQLastResort: newLastResortDoc(p.PQLastResort),
		Updated: p.UpdatedAt,
	}
}

func newSignedKeyDoc(k chat.SignedPrekey) signedKeyDoc {
	return signedKeyDoc{ID: int64(k.ID), Public: k.Public, Signature: k.Signature}
}

func newLastResortDoc(k *chat.SignedPrekey) *signedKeyDoc {
	if k == nil {
		return nil
	}
	doc := newSignedKeyDoc(*k)
	return &doc
}

func (doc signedKeyDoc) key() chat.SignedPrekey {
	return chat.SignedPrekey{Prekey: chat.Prekey{ID: uint32(doc.ID), Public: doc.Public}, Signature: doc.Signature}
}

func (doc *signedKeyDoc) lastResort() *chat.SignedPrekey {
	if doc == nil {
		return nil
	}
	k := doc.key()
	return &k
}

func (doc prekeyDeviceDoc) device(user chat.UserID) chat.PrekeyDevice {
	p := chat.PrekeyDevice{
		User: user, Device: doc.Device, Identity: doc.Identity, IdentityAt: doc.IdentityAt.UTC(), Installation: doc.Installation,
		Signed: doc.Signed.key(), LastResort: doc.LastResort.lastResort(), PQLastResort: doc.PQLastResort.lastResort(), UpdatedAt: doc.Updated.UTC(),
	}
	if doc.IdentityAt.IsZero() {
		p.IdentityAt = p.UpdatedAt
	}
	return p
}

// putPrekeys checks the bounds, then stores the one-time prekeys, and the rest last. It is not
// ok if another installation has uploaded meanwhile: then it has to be done anew.
func (s *Store) putPrekeys(ctx context.Context, user chat.UserID, device chat.DeviceID, u chat.PrekeyUpload) (stored chat.StoredPrekeys, ok bool, err error) {
	before, err := s.prekeysOf(ctx, user, device)
	if err != nil {
		return stored, false, err
	}
	next := u.Stored(user, device, before, chat.PrekeyCounts{})
	if before == nil || u.Resets(before) {
		next.Installation = 1 + rand.Int64N(1<<53)
	}
	owners := oneTimeOwners(next)
	admitted, err := s.admitOneTime(ctx, next, u, before != nil && before.Installation == next.Installation)
	if err != nil {
		return stored, false, err
	}
	var changed time.Time // noted before: a change that is told of and did not happen does no harm
	if before == nil || u.Resets(before) {
		changed = u.At
	}
	if err := s.seeAndAdmit(ctx, user, device, u.At, before == nil, changed); err != nil {
		return stored, false, err
	}
	for kind, a := range admitted {
		if err := s.putOneTime(ctx, owners[kind], a); err != nil {
			return stored, false, err
		}
	}
	ok, err = s.replacePrekeys(ctx, before, newPrekeyDeviceDoc(next))
	switch {
	case err != nil:
		return stored, false, err
	case !ok: // the installation is not the device's, or not any more
		return stored, false, s.deleteOneTime(ctx, owners)
	case before == nil:
		stored.Change = chat.DeviceAdded
	case u.Resets(before):
		stored.Change = chat.IdentityChanged
		if err := s.deleteOneTime(ctx, oneTimeOwners(*before)); err != nil {
			return stored, false, err
		}
	}
	left, err := s.CountPrekeys(ctx, []chat.PrekeyDevice{next})
	if err != nil {
		return stored, false, err
	}
	stored.PrekeyDevice, stored.Left = next, left[0]
	stored.Ignored, stored.PQIgnored = admitted[chat.PlainPrekeys].Ignored, admitted[chat.PQPrekeys].Ignored
	return stored, true, nil
}

// prekeysOf gives the keys of a device, or nil.
func (s *Store) prekeysOf(ctx context.Context, user chat.UserID, device chat.DeviceID) (*chat.PrekeyDevice, error) {
	doc, found, err := findOne[prekeyDeviceDoc](ctx, s.prekeys, d("_id", deviceKey(user, device)))
	if err != nil || !found {
		return nil, err
	}
	p := doc.device(user)
	return &p, nil
}

// replacePrekeys puts a device's document in place of that of the installation before, or where
// there is none. It reports false if that is not there, or something is, respectively.
func (s *Store) replacePrekeys(ctx context.Context, before *chat.PrekeyDevice, doc prekeyDeviceDoc) (bool, error) {
	if before == nil {
		_, err := s.prekeys.InsertOne(ctx, doc)
		return err == nil, unlessDuplicate(err)
	}
	own := d("_id", doc.ID, "installation", before.Installation)
	if before.Installation == 0 {
		own = d("_id", doc.ID, "installation", d("$exists", false))
	}
	replaced, err := s.prekeys.ReplaceOne(ctx, own, doc)
	return err == nil && replaced.MatchedCount > 0, err
}

// admitOneTime decides which one-time prekeys of an upload are stored. Of an installation that
// is not known it has nothing to look up.
func (s *Store) admitOneTime(ctx context.Context, next chat.PrekeyDevice, u chat.PrekeyUpload, known bool) (admitted [len(chat.PrekeyKinds)]chat.AdmittedPrekeys, err error) {
	var left chat.PrekeyCounts
	owners := oneTimeOwners(next)
	if known {
		counts, err := s.CountPrekeys(ctx, []chat.PrekeyDevice{next})
		if err != nil {
			return admitted, err
		}
		left = counts[0]
	}
	for _, kind := range chat.PrekeyKinds {
		var ids map[uint32]chat.PrekeyState
		if known {
			if ids, err = s.oneTimeStates(ctx, owners[kind], u.OneTimeOf(kind)); err != nil {
				return admitted, err
			}
		}
		if admitted[kind], err = u.Admit(kind, left[kind], ids); err != nil {
			return admitted, err
		}
	}
	return admitted, nil
}

// deleteOneTime removes the one-time prekeys of an installation and what is known of their ids.
func (s *Store) deleteOneTime(ctx context.Context, owners [len(chat.PrekeyKinds)]string) error {
	_, err := s.oneTime.DeleteMany(ctx, d("owner", d("$in", owners[:])))
	return err
}

// lastPrekeyDevice is the field of the last device that a user may have keys of.
var lastPrekeyDevice = fmt.Sprintf("devices.%d", chat.MaxPrekeyDevices-1)

// mayAdmitDevice is ErrTooManyDevices if admitDevice would be that now.
func (s *Store) mayAdmitDevice(ctx context.Context, user chat.UserID, device chat.DeviceID) error {
	refuses := d("_id", user, "devices", d("$ne", device), lastPrekeyDevice, d("$exists", true))
	_, full, err := findOne[prekeyUserDoc](ctx, s.prekeyUsers, refuses)
	if err == nil && full {
		err = chat.ErrTooManyDevices
	}
	return err
}

// seeAndAdmit is see and admitDevice. A refused upload makes no device. One that is admitted is
// known as a device before it is listed: what is not known, nothing would take off the list.
func (s *Store) seeAndAdmit(ctx context.Context, user chat.UserID, device chat.DeviceID, at time.Time, isNew bool, changed time.Time) error {
	if isNew {
		if err := s.mayAdmitDevice(ctx, user, device); err != nil {
			return err
		}
	}
	if err := s.see(ctx, user, device, at); err != nil {
		return err
	}
	return s.admitDevice(ctx, user, device, changed)
}

// admitDevice adds a device to the user's list, or is ErrTooManyDevices. It notes when the
// device changed, if that is not zero.
func (s *Store) admitDevice(ctx context.Context, user chat.UserID, device chat.DeviceID, changed time.Time) error {
	_, err := s.prekeyUsers.InsertOne(ctx, prekeyUserDoc{User: user, Devices: []chat.DeviceID{device}, Changed: changed})
	if err == nil || !isDuplicate(err) {
		return err
	}
	admits := d("_id", user, "$or", bson.A{d("devices", device), d(lastPrekeyDevice, d("$exists", false))})
	change := d("$addToSet", d("devices", device))
	if !changed.IsZero() {
		change = append(change, bson.E{Key: "$max", Value: d("changed", changed)})
	}
	res, err := s.prekeyUsers.UpdateOne(ctx, admits, change)
	if err != nil {
		return err
	}
	if res.MatchedCount == 0 {
		return chat.ErrTooManyDevices
	}
	return nil
}

// oneTimeStates reads the states of the ids of one-time prekeys.
func (s *Store) oneTimeStates(ctx context.Context, owner string, keys []chat.SignedPrekey) (map[uint32]chat.PrekeyState, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	ids := make([]string, len(keys), len(keys)+1)
	for i, k := range keys {
		ids[i] = oneTimeID(owner, k.ID)
	}
	ids = append(ids, takenID(owner))
	var docs []struct {
		Key  oneTimeDoc `bson:",inline"`
		Runs []runDoc   `bson:"runs"`
	}
	cursor, err := s.oneTime.Find(ctx, d("owner", owner, "_id", d("$in", ids)), options.Find().SetSort(d("_id", 1)))
	if err == nil {
		err = cursor.All(ctx, &docs)
	}
	states := make(map[uint32]chat.PrekeyState, len(docs))
	for _, doc := range docs {
		if doc.Key.ID == takenID(owner) {
			for _, k := range keys {
				if taken := (takenDoc{Runs: doc.Runs}); taken.has(int64(k.ID)) {
					states[k.ID] = chat.PrekeyTaken
				}
			}
			continue
		}
		states[uint32(doc.Key.Key)] = chat.PrekeyStored
		if doc.Key.Taken {
			states[uint32(doc.Key.Key)] = chat.PrekeyTaken
		}
	}
	return states, err
}

func oneTimeID(owner string, key uint32) string { return fmt.Sprintf("%s/%010d", owner, key) }

// putOneTime stores one-time prekeys. If one that is replaced is taken at the same time,
// the new key is stored and never given.
func (s *Store) putOneTime(ctx context.Context, owner string, keys chat.AdmittedPrekeys) error {
	writes := make([]mongo.WriteModel, len(keys.Replaced))
	for i, k := range keys.Replaced {
		set := d("public", k.Public)
		if k.Signature != nil {
			set = d("public", k.Public, "signature", k.Signature)
		}
		writes[i] = mongo.NewUpdateOneModel().SetFilter(d("_id", oneTimeID(owner, k.ID), "owner", owner)).SetUpdate(d("$set", set))
	}
	if len(writes) > 0 {
		if _, err := s.oneTime.BulkWrite(ctx, writes, options.BulkWrite().SetOrdered(false)); err != nil {
			return err
		}
	}
	if len(keys.Added) == 0 {
		return nil
	}
	docs := make([]oneTimeDoc, len(keys.Added))
	for i, k := range keys.Added {
		docs[i] = oneTimeDoc{ID: oneTimeID(owner, k.ID), Owner: owner, Key: int64(k.ID), Public: k.Public, Signature: k.Signature}
	}
	_, err := s.oneTime.InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
	return unlessDuplicate(err)
}

// PrekeyDevices implements [chat.PrekeyStore].
func (s *Store) PrekeyDevices(ctx context.Context, users []chat.UserID) ([]chat.PrekeyDevice, error) {
	if len(users) == 0 {
		return nil, nil
	}
	filter, err := s.prekeysFilter(ctx, users)
	if err != nil || filter == nil {
		return nil, wrap("list devices with prekeys", err)
	}
	docs, err := findAll[prekeyDeviceDoc](ctx, s.prekeys, filter)
	if err != nil {
		return nil, fmt.Errorf("read prekeys: %w", err)
	}
	order := make(map[chat.UserID]int, len(users))
	for i, u := range users {
		order[u] = i
	}
	devices := make([]chat.PrekeyDevice, len(docs))
	for i, doc := range docs {
		devices[i] = doc.device(chat.UserID(doc.ID[:len(doc.ID)-len(doc.Device)-len("/")]))
	}
	slices.SortFunc(devices, func(a, b chat.PrekeyDevice) int {
		return cmp.Or(cmp.Compare(order[a.User], order[b.User]), cmp.Compare(a.Device, b.Device))
	})
	return devices, nil
}

// prekeysFilter finds the documents of the users' devices; nil is none. Those of one user are
// a range; those of several are named, as their lists have them.
func (s *Store) prekeysFilter(ctx context.Context, users []chat.UserID) (bson.D, error) {
	if len(users) == 1 {
		return prefixed(string(users[0])), nil
	}
	lists, err := findAll[prekeyUserDoc](ctx, s.prekeyUsers, d("_id", d("$in", users)))
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, list := range lists {
		for _, device := range list.Devices {
			ids = append(ids, deviceKey(list.User, device))
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return d("_id", d("$in", ids)), nil
}

// CountPrekeys implements [chat.PrekeyStore].
func (s *Store) CountPrekeys(ctx context.Context, devices []chat.PrekeyDevice) ([]chat.PrekeyCounts, error) {
	left := make([]chat.PrekeyCounts, len(devices))
	if len(devices) == 0 {
		return left, nil
	}
	owners := make([]string, 0, len(chat.PrekeyKinds)*len(devices))
	for _, device := range devices {
		of := oneTimeOwners(device)
		owners = append(owners, of[:]...)
	}
	cursor, err := s.oneTime.Aggregate(ctx, bson.A{
		d("$match", d("owner", d("$in", owners), "taken", false)),
		d("$group", d("_id", "$owner", "n", d("$sum", int64(1)))),
	})
	if err != nil {
		return nil, fmt.Errorf("count one-time prekeys: %w", err)
	}
	var counts []struct {
		Owner string `bson:"_id"`
		N     int    `bson:"n"`
	}
	if err := cursor.All(ctx, &counts); err != nil {
		return nil, fmt.Errorf("count one-time prekeys: %w", err)
	}
	byOwner := make(map[string]int, len(counts))
	for _, c := range counts {
		byOwner[c.Owner] = c.N
	}
	for i := range devices {
		for _, kind := range chat.PrekeyKinds {
			left[i][kind] = byOwner[owners[i*len(chat.PrekeyKinds)+int(kind)]]
		}
	}
	return left, nil
}

// TakePrekey implements [chat.PrekeyStore]. It looks for one-time prekeys of the installation
// that was listed; if that has none to give, it looks whether there is another by now.
func (s *Store) TakePrekey(ctx context.Context, listed chat.PrekeyDevice) (chat.DeviceBundle, error) {
	for range prekeyTries {
		bundle, err := s.takePrekey(ctx, listed)
		if !errors.Is(err, chat.ErrNotFound) {
			return bundle, err
		}
		now, findErr := s.prekeysOf(ctx, listed.User, listed.Device)
		if findErr != nil || now == nil || now.Installation == listed.Installation {
			return chat.DeviceBundle{}, cmp.Or(findErr, err)
		}
		listed = *now
	}
	return chat.DeviceBundle{}, fmt.Errorf("take a prekey of %s/%s: %w", listed.User, listed.Device, errInstallations)
}

func (s *Store) takePrekey(ctx context.Context, listed chat.PrekeyDevice) (chat.DeviceBundle, error) {
	owners := oneTimeOwners(listed)
	plain, err := s.takeOneTime(ctx, owners[chat.PlainPrekeys])
	if err != nil {
		return chat.DeviceBundle{}, err
	}
	if _, err := listed.Bundle(plain, nil); err != nil || !listed.Gives(chat.PQPrekeys) {
		return listed.Bundle(plain, nil)
	}
	pq, err := s.takeOneTime(ctx, owners[chat.PQPrekeys])
	if err != nil { // the plain key is taken, and would be lost with an error
		s.logger.Warn("no post-quantum prekey could be taken, the one of last resort is given", "device", deviceKey(listed.User, listed.Device), "error", err)
	}
	return listed.Bundle(plain, pq)
}

// takeOneTime takes the one-time prekey of an owner with the lowest id, or gives nil.
func (s *Store) takeOneTime(ctx context.Context, owner string) (*chat.SignedPrekey, error) {
	var doc oneTimeDoc
	lowest := options.FindOneAndUpdate().SetSort(d("owner", 1, "taken", 1, "key", 1))
	take := d("$set", d("taken", true), "$unset", d("public", "", "signature", ""))
	err := s.oneTime.FindOneAndUpdate(ctx, d("owner", owner, "taken", false), take, lowest).Decode(&doc)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("take a one-time prekey of %s: %w", owner, err)
	}
	return &chat.SignedPrekey{Prekey: chat.Prekey{ID: uint32(doc.Key), Public: doc.Public}, Signature: doc.Signature}, nil
}

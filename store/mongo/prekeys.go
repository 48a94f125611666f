package mongo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
)

// A device's prekeys are one document, except its one-time prekeys, which are one
// document each. The document of a one-time prekey that was taken stays, without the key,
// so that its id is never used again.

// prekeyUserDoc lists the devices of a user that may have prekeys.
type prekeyUserDoc struct {
	User    chat.UserID     `bson:"_id"`
	Devices []chat.DeviceID `bson:"devices"`
}

type prekeyDeviceDoc struct {
	ID         string        `bson:"_id"` // user/device
	Device     chat.DeviceID `bson:"device"`
	Identity   []byte        `bson:"identity"`
	Signed     signedKeyDoc  `bson:"signed"`
	LastResort *signedKeyDoc `bson:"last_resort"`
	Updated    time.Time     `bson:"updated"`
}

type signedKeyDoc struct {
	ID        int64  `bson:"id"`
	Public    []byte `bson:"public"`
	Signature []byte `bson:"signature"`
}

type oneTimeDoc struct {
	ID     string `bson:"_id"`   // user/device/key id, in 10 digits
	Owner  string `bson:"owner"` // user/device
	Key    int64  `bson:"key"`
	Taken  bool   `bson:"taken"`
	Public []byte `bson:"public,omitempty"`
}

// PutPrekeys implements [chat.PrekeyStore].
func (s *Store) PutPrekeys(ctx context.Context, user chat.UserID, device chat.DeviceID, u chat.PrekeyUpload) (chat.PrekeyDevice, error) {
	if err := checkName(string(user), string(device)); err != nil {
		return chat.PrekeyDevice{}, err
	}
	doc := newPrekeyDeviceDoc(user, u.Stored(device, 0))
	unlock, err := s.prekeyWriters.Lock(ctx, doc.ID)
	if err != nil {
		return chat.PrekeyDevice{}, err
	}
	defer unlock()
	stored, err := s.putPrekeys(ctx, user, doc, u)
	if errors.Is(err, chat.ErrTooManyDevices) || errors.Is(err, chat.ErrTooManyPrekeys) {
		return chat.PrekeyDevice{}, err
	}
	return stored, wrap("store the prekeys of "+doc.ID, err)
}

func newPrekeyDeviceDoc(user chat.UserID, p chat.PrekeyDevice) prekeyDeviceDoc {
	doc := prekeyDeviceDoc{
		ID: deviceKey(user, p.Device), Device: p.Device, Identity: p.Identity, Signed: newSignedKeyDoc(p.Signed), Updated: p.UpdatedAt,
	}
	if p.LastResort != nil {
		last := newSignedKeyDoc(*p.LastResort)
		doc.LastResort = &last
	}
	return doc
}

func newSignedKeyDoc(k chat.SignedPrekey) signedKeyDoc {
	return signedKeyDoc{ID: int64(k.ID), Public: k.Public, Signature: k.Signature}
}

func (doc signedKeyDoc) key() chat.SignedPrekey {
	return chat.SignedPrekey{Prekey: chat.Prekey{ID: uint32(doc.ID), Public: doc.Public}, Signature: doc.Signature}
}

func (doc prekeyDeviceDoc) device(oneTime int) chat.PrekeyDevice {
	p := chat.PrekeyDevice{Device: doc.Device, Identity: doc.Identity, Signed: doc.Signed.key(), OneTime: oneTime, UpdatedAt: doc.Updated.UTC()}
	if doc.LastResort != nil {
		last := doc.LastResort.key()
		p.LastResort = &last
	}
	return p
}

// putPrekeys checks the bounds, then stores the one-time prekeys, and the rest last.
func (s *Store) putPrekeys(ctx context.Context, user chat.UserID, doc prekeyDeviceDoc, u chat.PrekeyUpload) (chat.PrekeyDevice, error) {
	ids, err := s.oneTimeStates(ctx, doc.ID, u.OneTime)
	if err != nil {
		return chat.PrekeyDevice{}, err
	}
	left, err := s.countOneTime(ctx, doc.ID)
	if err != nil {
		return chat.PrekeyDevice{}, err
	}
	added, replaced, err := u.Admit(left, ids)
	if err != nil {
		return chat.PrekeyDevice{}, err
	}
	if err := s.admitDevice(ctx, user, doc.Device); err != nil {
		return chat.PrekeyDevice{}, err
	}
	if err := s.putOneTime(ctx, doc.ID, added, replaced); err != nil {
		return chat.PrekeyDevice{}, err
	}
	err = onceMore(func() error {
		_, err := s.prekeys.ReplaceOne(ctx, d("_id", doc.ID), doc, options.Replace().SetUpsert(true))
		return err
	})
	if err != nil {
		return chat.PrekeyDevice{}, err
	}
	if left, err = s.countOneTime(ctx, doc.ID); err != nil {
		return chat.PrekeyDevice{}, err
	}
	return doc.device(left), nil
}

// admitDevice adds a device to the user's list, or is ErrTooManyDevices.
func (s *Store) admitDevice(ctx context.Context, user chat.UserID, device chat.DeviceID) error {
	_, err := s.prekeyUsers.InsertOne(ctx, prekeyUserDoc{User: user, Devices: []chat.DeviceID{device}})
	if err == nil || !isDuplicate(err) {
		return err
	}
	full := fmt.Sprintf("devices.%d", chat.MaxPrekeyDevices-1)
	admits := d("_id", user, "$or", bson.A{d("devices", device), d(full, d("$exists", false))})
	res, err := s.prekeyUsers.UpdateOne(ctx, admits, d("$addToSet", d("devices", device)))
	if err != nil {
		return err
	}
	if res.MatchedCount == 0 {
		return chat.ErrTooManyDevices
	}
	return nil
}

// oneTimeStates reads the states of the ids of one-time prekeys.
func (s *Store) oneTimeStates(ctx context.Context, owner string, keys []chat.Prekey) (map[uint32]chat.PrekeyState, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	ids := make([]string, len(keys))
	for i, k := range keys {
		ids[i] = oneTimeID(owner, k.ID)
	}
	docs, err := findAll[oneTimeDoc](ctx, s.oneTime, d("_id", d("$in", ids)))
	states := make(map[uint32]chat.PrekeyState, len(docs))
	for _, doc := range docs {
		states[uint32(doc.Key)] = chat.PrekeyStored
		if doc.Taken {
			states[uint32(doc.Key)] = chat.PrekeyTaken
		}
	}
	return states, err
}

func oneTimeID(owner string, key uint32) string { return fmt.Sprintf("%s/%010d", owner, key) }

// putOneTime stores one-time prekeys. If one that is replaced is taken at the same time,
// the new key is stored and never given.
func (s *Store) putOneTime(ctx context.Context, owner string, added, replaced []chat.Prekey) error {
	writes := make([]mongo.WriteModel, len(replaced))
	for i, k := range replaced {
		writes[i] = mongo.NewUpdateOneModel().SetFilter(d("_id", oneTimeID(owner, k.ID))).SetUpdate(d("$set", d("public", k.Public)))
	}
	if len(writes) > 0 {
		if _, err := s.oneTime.BulkWrite(ctx, writes, options.BulkWrite().SetOrdered(false)); err != nil {
			return err
		}
	}
	if len(added) == 0 {
		return nil
	}
	docs := make([]oneTimeDoc, len(added))
	for i, k := range added {
		docs[i] = oneTimeDoc{ID: oneTimeID(owner, k.ID), Owner: owner, Key: int64(k.ID), Public: k.Public}
	}
	_, err := s.oneTime.InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
	return unlessDuplicate(err)
}

func (s *Store) countOneTime(ctx context.Context, owner string) (int, error) {
	n, err := s.oneTime.CountDocuments(ctx, d("owner", owner, "taken", false))
	return int(n), err
}

// PrekeyDevices implements [chat.PrekeyStore].
func (s *Store) PrekeyDevices(ctx context.Context, user chat.UserID) ([]chat.PrekeyDevice, error) {
	docs, err := findAll[prekeyDeviceDoc](ctx, s.prekeys, prefixed(string(user)))
	if err != nil {
		return nil, fmt.Errorf("read the prekeys of %s: %w", user, err)
	}
	devices := make([]chat.PrekeyDevice, len(docs))
	for i, doc := range docs {
		left, err := s.countOneTime(ctx, doc.ID)
		if err != nil {
			return nil, fmt.Errorf("count the prekeys of %s: %w", doc.ID, err)
		}
		devices[i] = doc.device(left)
	}
	slices.SortFunc(devices, func(a, b chat.PrekeyDevice) int { return cmp.Compare(a.Device, b.Device) })
	return devices, nil
}

// TakeOneTimePrekey implements [chat.PrekeyStore].
func (s *Store) TakeOneTimePrekey(ctx context.Context, user chat.UserID, device chat.DeviceID) (chat.Prekey, int, error) {
	owner := deviceKey(user, device)
	unlock, err := s.prekeyWriters.Lock(ctx, owner)
	if err != nil {
		return chat.Prekey{}, 0, err
	}
	defer unlock()
	var doc oneTimeDoc
	lowest := options.FindOneAndUpdate().SetSort(d("owner", 1, "taken", 1, "key", 1))
	err = s.oneTime.FindOneAndUpdate(ctx, d("owner", owner, "taken", false), d("$set", d("taken", true), "$unset", d("public", "")), lowest).Decode(&doc)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return chat.Prekey{}, 0, fmt.Errorf("a one-time prekey of %s: %w", owner, chat.ErrNotFound)
	}
	if err != nil {
		return chat.Prekey{}, 0, fmt.Errorf("take a one-time prekey of %s: %w", owner, err)
	}
	left, err := s.countOneTime(ctx, owner)
	if err != nil { // the key is taken, and would be lost with an error
		s.logger.Warn("the one-time prekeys that are left could not be counted", "device", owner, "error", err)
		left = -1
	}
	return chat.Prekey{ID: uint32(doc.Key), Public: doc.Public}, left, nil
}

package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
)

// A device is its document in positions, which says when it was seen. A removal is a document
// of its own, written before the device's is deleted: so a token is refused as soon as the
// device is gone.

// removedDoc says that a user has removed a device.
type removedDoc struct {
	ID     string        `bson:"_id"` // user/device
	User   chat.UserID   `bson:"user"`
	Device chat.DeviceID `bson:"device"`
	At     time.Time     `bson:"at"`
	Conn   chat.Conn     `bson:"conn"` // the device's connections with lower numbers are to end
}

func (doc *positionDoc) seen() (chat.SeenDevice, error) {
	user, device, ok := strings.Cut(doc.ID, "/")
	if !ok {
		return chat.SeenDevice{}, fmt.Errorf("the position %q is of no device", doc.ID)
	}
	d := chat.SeenDevice{User: chat.UserID(user), Device: chat.DeviceID(device), FirstSeen: doc.First.UTC(), LastSeen: doc.Used.UTC()}
	if doc.First.IsZero() || d.FirstSeen.After(d.LastSeen) {
		d.FirstSeen = d.LastSeen
	}
	return d, nil
}

// see notes that a device is there, at that time.
func (s *Store) see(ctx context.Context, user chat.UserID, device chat.DeviceID, at time.Time) error {
	id := deviceKey(user, device)
	err := onceMore(func() error {
		used := d("$max", d("used", at))
		known, err := s.positions.UpdateOne(ctx, d("_id", id), used)
		if err != nil || known.MatchedCount > 0 {
			return err
		}
		first, err := s.firstConn(ctx, id, at)
		if err != nil {
			return err
		}
		used = append(used, bson.E{Key: "$setOnInsert", Value: d("first", at, "conn", first)}) // as AdmitDevice
		_, err = s.positions.UpdateOne(ctx, d("_id", id), used, options.UpdateOne().SetUpsert(true))
		return err
	})
	return wrap(fmt.Sprintf("note that %s/%s was seen", user, device), err)
}

var seenFields = d("_id", 1, "used", 1, "first", 1)

// Devices implements [chat.DeviceStore].
func (s *Store) Devices(ctx context.Context, user chat.UserID) ([]chat.SeenDevice, error) {
	return s.seenDevices(ctx, prefixed(string(user)), options.Find().SetProjection(seenFields))
}

// UnseenDevices implements [chat.DeviceStore].
func (s *Store) UnseenDevices(ctx context.Context, since time.Time, count int) ([]chat.SeenDevice, error) {
	opts := options.Find().SetProjection(seenFields).SetLimit(int64(count)).SetHint(byUsed)
	return s.seenDevices(ctx, d("used", d("$lt", since)), opts)
}

func (s *Store) seenDevices(ctx context.Context, filter bson.D, opts options.Lister[options.FindOptions]) ([]chat.SeenDevice, error) {
	docs, err := findAll[positionDoc](ctx, s.positions, filter, opts)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	devices := make([]chat.SeenDevice, len(docs))
	for i := range docs {
		if devices[i], err = docs[i].seen(); err != nil {
			return nil, err
		}
	}
	return devices, nil
}

// ForgetDevice implements [chat.DeviceStore].
func (s *Store) ForgetDevice(ctx context.Context, device chat.SeenDevice, at time.Time) (forgotten, hadKeys bool, err error) {
	id := deviceKey(device.User, device.Device)
	gone, err := s.positions.DeleteOne(ctx, d("_id", id, "used", d("$lte", device.LastSeen)))
	if err == nil && gone.DeletedCount > 0 {
		forgotten = true
		hadKeys, err = s.forgetKeys(ctx, device.User, device.Device, at)
	}
	if err == nil && forgotten {
		_, err = s.subscriptions.DeleteOne(ctx, d("_id", id))
	}
	return forgotten, hadKeys, wrap("forget "+id, err)
}

// RemoveDevice implements [chat.DeviceStore]. Its steps are repeated by who tries again: the
// device's document goes last.
func (s *Store) RemoveDevice(ctx context.Context, user chat.UserID, device chat.DeviceID, at time.Time) (chat.Removal, bool, error) {
	if err := checkName(string(user), string(device)); err != nil {
		return chat.Removal{}, false, err
	}
	r := chat.Removal{User: user, Device: device, At: at}
	hadKeys, err := s.removeDevice(ctx, &r)
	if err != nil {
		return chat.Removal{}, false, fmt.Errorf("remove %s/%s: %w", user, device, err)
	}
	return r, hadKeys, nil
}

func (s *Store) removeDevice(ctx context.Context, r *chat.Removal) (hadKeys bool, err error) {
	id := deviceKey(r.User, r.Device)
	var doc positionDoc
	above := options.FindOneAndUpdate().SetReturnDocument(options.After)
	err = s.positions.FindOneAndUpdate(ctx, d("_id", id), d("$inc", d("conn", int64(1))), above).Decode(&doc)
	if errors.Is(err, mongo.ErrNoDocuments) {
		var keys *chat.PrekeyDevice
		if keys, err = s.prekeysOf(ctx, r.User, r.Device); err == nil && keys == nil {
			err = chat.ErrNotFound
		}
	}
	if err != nil {
		return false, err
	}
	r.Conn = doc.Conn
	if err := s.putRemoval(ctx, *r); err != nil {
		return false, err
	}
	if hadKeys, err = s.forgetKeys(ctx, r.User, r.Device, r.At); err != nil {
		return false, err
	}
	if err := s.DeleteSubscriptions(ctx, r.User, r.Device, r.Conn); err != nil && !errors.Is(err, chat.ErrTakenOver) {
		return false, err
	}
	var last positionDoc
	err = s.positions.FindOneAndDelete(ctx, d("_id", id)).Decode(&last)
	if err != nil && !errors.Is(err, mongo.ErrNoDocuments) {
		return false, err
	}
	r.Conn = max(r.Conn, last.Conn)
	return hadKeys, nil
}

// putRemoval remembers a removal. Of a user with too many it forgets the oldest.
func (s *Store) putRemoval(ctx context.Context, r chat.Removal) error {
	doc := removedDoc{ID: deviceKey(r.User, r.Device), User: r.User, Device: r.Device, At: r.At, Conn: r.Conn}
	err := onceMore(func() error {
		_, err := s.removed.ReplaceOne(ctx, d("_id", doc.ID), doc, options.Replace().SetUpsert(true))
		return err
	})
	if err != nil {
		return err
	}
	s.removals.note(doc)
	all, err := findAll[removedDoc](ctx, s.removed, prefixed(string(r.User)), options.Find().SetProjection(d("_id", 1, "at", 1)))
	if err != nil || len(all) <= chat.MaxRemovals {
		return err
	}
	slices.SortFunc(all, func(a, b removedDoc) int { return a.At.Compare(b.At) })
	var oldest []string
	for _, old := range all[:len(all)-chat.MaxRemovals] {
		oldest = append(oldest, old.ID)
	}
	_, err = s.removed.DeleteMany(ctx, d("_id", d("$in", oldest)))
	return err
}

// forgetKeys removes a device's keys, if it has any.
func (s *Store) forgetKeys(ctx context.Context, user chat.UserID, device chat.DeviceID, at time.Time) (had bool, err error) {
	unlock, err := s.prekeyWriters.Lock(ctx, deviceKey(user, device))
	if err != nil {
		return false, err
	}
	defer unlock()
	var doc prekeyDeviceDoc
	err = s.prekeys.FindOneAndDelete(ctx, d("_id", deviceKey(user, device))).Decode(&doc)
	if had = err == nil; had {
		err = s.deleteOneTime(ctx, oneTimeOwners(doc.device(user)))
	}
	if err != nil && !errors.Is(err, mongo.ErrNoDocuments) {
		return false, err
	}
	change := d("$pull", d("devices", device))
	if had {
		change = append(change, bson.E{Key: "$max", Value: d("changed", at)})
	}
	_, err = s.prekeyUsers.UpdateOne(ctx, d("_id", user), change)
	return had, err
}

// KeysChangedAt implements [chat.DeviceStore].
func (s *Store) KeysChangedAt(ctx context.Context, users []chat.UserID) ([]time.Time, error) {
	changed := make([]time.Time, len(users))
	if len(users) == 0 {
		return changed, nil
	}
	docs, err := findAll[prekeyUserDoc](ctx, s.prekeyUsers, d("_id", d("$in", users)), options.Find().SetProjection(d("changed", 1)))
	if err != nil {
		return nil, fmt.Errorf("look up when devices changed: %w", err)
	}
	at := make(map[chat.UserID]time.Time, len(docs))
	for _, doc := range docs {
		if !doc.Changed.IsZero() {
			at[doc.User] = doc.Changed.UTC()
		}
	}
	for i, user := range users {
		changed[i] = at[user]
	}
	return changed, nil
}

// removals caches when devices were removed, and zero for those that were not. What other
// nodes remove it finds by asking for the newest removals, every few seconds while it is used.
type removals struct {
	looking sync.Mutex // held while the newest are asked for

	mu     sync.Mutex
	known  *simplelru.LRU[string, time.Time]
	looked time.Time // when the newest were asked for; zero: never
}

const (
	cachedRemovals   = 64 << 10
	lookEvery        = 3 * time.Second
	lookWithin       = 5 * time.Second // an older answer is none
	removalsLookBack = 3 * time.Minute // how far back a look goes: clocks of other nodes may be wrong
)

func newRemovals() *removals {
	known, _ := simplelru.NewLRU[string, time.Time](cachedRemovals, nil) // only fails for a size below 1
	return &removals{known: known}
}

func (c *removals) note(doc removedDoc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.Add(doc.ID, doc.At.UTC())
}

// age is how old what is known may be.
func (c *removals) age(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.looked.IsZero() {
		return removalsLookBack
	}
	return now.Sub(c.looked)
}

// RemovedAt implements [chat.DeviceStore].
func (s *Store) RemovedAt(ctx context.Context, user chat.UserID, device chat.DeviceID) (time.Time, error) {
	if err := s.lookForRemovals(ctx); err != nil {
		return time.Time{}, err
	}
	id := deviceKey(user, device)
	c := s.removals
	c.mu.Lock()
	at, known := c.known.Get(id)
	c.mu.Unlock()
	if known {
		return at, nil
	}
	doc, found, err := findOne[removedDoc](ctx, s.removed, d("_id", id))
	if err != nil {
		return time.Time{}, fmt.Errorf("look up whether %s was removed: %w", id, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, known := c.known.Get(id); known && (!found || at.After(doc.At)) { // it was removed meanwhile
		return at, nil
	}
	c.known.Add(id, doc.At.UTC())
	return doc.At.UTC(), nil
}

// lookForRemovals asks for the newest removals if that was not done lately. One caller does so,
// and the others wait for it only if what is known is too old.
func (s *Store) lookForRemovals(ctx context.Context) error {
	c := s.removals
	if c.age(time.Now()) < lookEvery {
		return nil
	}
	if !c.looking.TryLock() {
		if c.age(time.Now()) < lookWithin {
			return nil
		}
		c.looking.Lock()
	}
	defer c.looking.Unlock()
	began := time.Now()
	age := c.age(began)
	if age < lookEvery {
		return nil
	}
	newest, err := s.removalsSince(ctx, s.now().Add(-removalsLookBack))
	if err != nil {
		if age < lookWithin {
			return nil
		}
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if age >= removalsLookBack-time.Minute { // something may have come and gone from sight
		c.known.Purge()
	}
	for _, doc := range newest {
		c.known.Add(doc.ID, doc.At.UTC())
	}
	c.looked = began
	return nil
}

func (s *Store) removalsSince(ctx context.Context, since time.Time) ([]removedDoc, error) {
	docs, err := findAll[removedDoc](ctx, s.removed, d("at", d("$gte", since)))
	return docs, wrap("list the newest removals", err)
}

// RemovedSince implements [chat.DeviceStore].
func (s *Store) RemovedSince(ctx context.Context, since time.Time) ([]chat.Removal, error) {
	docs, err := s.removalsSince(ctx, since)
	removals := make([]chat.Removal, len(docs))
	for i, doc := range docs {
		removals[i] = chat.Removal{User: doc.User, Device: doc.Device, At: doc.At.UTC(), Conn: doc.Conn}
	}
	return removals, err
}

// noteDevices has the devices of a store of format 4, which did not keep when they were first
// seen, count as seen when their positions were used or their keys uploaded.
func (s *Store) noteDevices(ctx context.Context, _ Progress) error {
	cursor, err := s.prekeys.Find(ctx, d(), options.Find().SetProjection(d("_id", 1, "updated", 1)))
	if err != nil {
		return fmt.Errorf("list devices with prekeys: %w", err)
	}
	defer func() { _ = cursor.Close(ctx) }()
	for cursor.Next(ctx) {
		var doc prekeyDeviceDoc
		if err := cursor.Decode(&doc); err != nil {
			return fmt.Errorf("read a device with prekeys: %w", err)
		}
		user, device, _ := strings.Cut(doc.ID, "/")
		if err := s.see(ctx, chat.UserID(user), chat.DeviceID(device), doc.Updated); err != nil {
			return err
		}
	}
	if err := cursor.Err(); err != nil {
		return fmt.Errorf("list devices with prekeys: %w", err)
	}
	_, err = s.positions.UpdateMany(ctx, d("first", d("$exists", false)), d("$set", d("first", s.now())))
	return wrap("note when devices were first seen", err)
}

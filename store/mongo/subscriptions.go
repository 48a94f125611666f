package mongo

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/base"
)

// keptDoc is the subscriptions that are kept for a device.
type keptDoc struct {
	ID        string      `bson:"_id"` // user/device
	Filters   []filterDoc `bson:"filters"`
	Keep      int64       `bson:"keep"` // milliseconds
	Connected bool        `bson:"connected"`
	At        time.Time   `bson:"at"`
	Until     time.Time   `bson:"until"`
	Bytes     int         `bson:"bytes"` // of the names; missing in a document of format 3, which counts as none
	// Conn is the connection that put or deleted them; missing in a document of an earlier build.
	Conn chat.Conn `bson:"conn,omitempty"`
	// Deleted says that nothing is kept, so that no earlier connection keeps its own.
	Deleted bool `bson:"deleted,omitempty"`
}

// deletedFor is how long it is known that a connection has deleted what was kept for its device.
const deletedFor = 24 * time.Hour

type filterDoc struct {
	Name string `bson:"n"`
	QoS  int32  `bson:"q"`
}

// Subscriptions implements [chat.SubscriptionStore].
func (s *Store) Subscriptions(ctx context.Context, user chat.UserID, device chat.DeviceID) (chat.KeptSubscriptions, error) {
	doc, found, err := findOne[keptDoc](ctx, s.subscriptions, d("_id", deviceKey(user, device)))
	if err == nil && (!found || doc.Deleted) {
		err = chat.ErrNotFound
	}
	if err != nil {
		return chat.KeptSubscriptions{}, fmt.Errorf("read the subscriptions of %s/%s: %w", user, device, err)
	}
	k := chat.KeptSubscriptions{
		Filters: make([]chat.KeptFilter, len(doc.Filters)),
		Keep:    time.Duration(doc.Keep) * time.Millisecond, Connected: doc.Connected, At: doc.At.UTC(),
	}
	for i, f := range doc.Filters {
		k.Filters[i] = chat.KeptFilter{Name: f.Name, QoS: byte(f.QoS)}
	}
	return k, nil
}

// PutSubscriptions implements [chat.SubscriptionStore]. The bounds are looked after
// behind each write: two nodes that write at once may leave one device too few.
func (s *Store) PutSubscriptions(ctx context.Context, user chat.UserID, device chat.DeviceID, conn chat.Conn, k chat.KeptSubscriptions) error {
	if err := checkName(string(user), string(device)); err != nil {
		return err
	}
	doc := keptDoc{
		ID: deviceKey(user, device), Filters: make([]filterDoc, len(k.Filters)),
		Keep: k.Keep.Milliseconds(), Connected: k.Connected, At: k.At, Until: k.Until(), Bytes: k.Bytes(), Conn: conn,
	}
	for i, f := range k.Filters {
		doc.Filters[i] = filterDoc{f.Name, int32(f.QoS)}
	}
	err := s.replaceKept(ctx, doc)
	if err == nil {
		err = s.boundSubscriptions(ctx, user, doc)
	}
	return wrap(fmt.Sprintf("store the subscriptions of %s/%s", user, device), err)
}

// replaceKept stores what is kept for a device, unless a later connection has.
func (s *Store) replaceKept(ctx context.Context, doc keptDoc) error {
	own := d("_id", doc.ID)
	if doc.Conn > 0 {
		own = append(own, bson.E{Key: "conn", Value: d("$not", d("$gt", doc.Conn))}) // or there is none
	}
	err := onceMore(func() error {
		_, err := s.subscriptions.ReplaceOne(ctx, own, doc, options.Replace().SetUpsert(true))
		return err
	})
	if doc.Conn > 0 && isDuplicate(err) {
		return chat.ErrTakenOver
	}
	return err
}

// boundSubscriptions forgets the oldest of what is kept for a user's devices, as many as are
// over the bounds, and of the devices for which something was deleted. What was just put stays.
func (s *Store) boundSubscriptions(ctx context.Context, user chat.UserID, put keptDoc) error {
	docs, err := findAll[keptDoc](ctx, s.subscriptions, prefixed(string(user)), options.Find().SetProjection(d("at", 1, "bytes", 1, "deleted", 1)))
	if err != nil {
		return err
	}
	var others, deleted []base.Kept
	for _, doc := range docs {
		switch k := (base.Kept{Key: doc.ID, At: doc.At, Bytes: doc.Bytes}); {
		case doc.ID == put.ID:
		case doc.Deleted:
			deleted = append(deleted, k)
		default:
			others = append(others, k)
		}
	}
	for _, k := range append(base.Surplus(others, put.Bytes), base.Surplus(deleted, 0)...) {
		if _, err := s.subscriptions.DeleteOne(ctx, d("_id", k.Key)); err != nil {
			return err
		}
	}
	return nil
}

// DeleteSubscriptions implements [chat.SubscriptionStore].
func (s *Store) DeleteSubscriptions(ctx context.Context, user chat.UserID, device chat.DeviceID, conn chat.Conn) error {
	var err error
	if conn == 0 {
		_, err = s.subscriptions.DeleteOne(ctx, d("_id", deviceKey(user, device)))
	} else { // what says so is swept in time
		now := s.now()
		doc := keptDoc{ID: deviceKey(user, device), Filters: []filterDoc{}, At: now, Until: now.Add(deletedFor), Conn: conn, Deleted: true}
		if err = s.replaceKept(ctx, doc); err == nil {
			err = s.boundSubscriptions(ctx, user, doc)
		}
	}
	return wrap(fmt.Sprintf("forget the subscriptions of %s/%s", user, device), err)
}

// SweepSubscriptions implements [chat.SubscriptionStore].
func (s *Store) SweepSubscriptions(ctx context.Context, now time.Time) error {
	_, err := s.subscriptions.DeleteMany(ctx, d("until", d("$lte", now)))
	return wrap("forget old subscriptions", err)
}

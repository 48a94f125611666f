package mongo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/base"
)

// positionDoc is how far a device has acknowledged, and its newest connection.
type positionDoc struct {
	ID           string              `bson:"_id"`     // user/device
	Through      map[string]chat.Seq `bson:"through"` // by thread; missing until the position is begun
	Acknowledged bool                `bson:"acknowledged"`
	Used         time.Time           `bson:"used"`            // when it was last begun or raised, or the device connected or uploaded keys
	First        time.Time           `bson:"first,omitempty"` // when the device was first seen; missing in a document of format 4
	Conn         chat.Conn           `bson:"conn,omitempty"`

	// A document of format 2 has these instead: see base.OldPosition.
	Time    chat.EventID `bson:"time,omitempty"`
	Cursors []cursorDoc  `bson:"cursors,omitempty"`
}

type cursorDoc struct {
	Thread chat.ThreadID `bson:"t"`
	Seq    chat.Seq      `bson:"s"`
}

func deviceKey(user chat.UserID, device chat.DeviceID) string {
	return string(user) + "/" + string(device)
}

// Position implements [chat.PositionStore]. A position of an earlier format is converted
// the first time that it is read.
func (s *Store) Position(ctx context.Context, user chat.UserID, device chat.DeviceID) (chat.Position, bool, error) {
	p, found, err := s.position(ctx, user, device)
	if err != nil {
		return chat.Position{}, false, fmt.Errorf("read the position of %s/%s: %w", user, device, err)
	}
	return p, found, nil
}

func (s *Store) position(ctx context.Context, user chat.UserID, device chat.DeviceID) (chat.Position, bool, error) {
	id := deviceKey(user, device)
	doc, found, err := findOne[positionDoc](ctx, s.quickPositions, d("_id", id))
	switch {
	case err != nil || !found || !doc.begun():
		return chat.Position{}, false, err
	case doc.Time.IsZero():
		if s.now().Sub(doc.Used) >= base.NoteUseEvery {
			_ = s.RaisePosition(ctx, user, device, 0, chat.Position{}) // else the next read does
		}
		p, err := doc.position()
		return p, err == nil, err
	}
	old := base.OldPosition{Time: doc.Time, Cursors: make(map[chat.ThreadID]chat.Seq, len(doc.Cursors))}
	for _, c := range doc.Cursors {
		old.Cursors[c.Thread] = c.Seq
	}
	p, err := old.Convert(ctx, user, s)
	if err != nil {
		return chat.Position{}, false, err
	}
	converted := newPositionDoc(id, p, s.now())
	// Two connections may convert at once: the second one changes nothing.
	_, err = s.positions.UpdateOne(ctx, d("_id", id, "time", doc.Time), bson.D{
		{Key: "$set", Value: d("through", converted.Through, "acknowledged", converted.Acknowledged, "used", converted.Used)},
		{Key: "$unset", Value: d("time", "", "cursors", "")},
	})
	return p, err == nil, err
}

func newPositionDoc(id string, p chat.Position, now time.Time) positionDoc {
	doc := positionDoc{ID: id, Acknowledged: p.Acknowledged, Used: now, Through: make(map[string]chat.Seq, len(p.Through))}
	for thread, seq := range p.Through {
		doc.Through[thread.String()] = seq
	}
	return doc
}

// begun reports whether the device has a position. It has none from its first admission to its
// first look at the logs.
func (doc *positionDoc) begun() bool { return doc.Through != nil || !doc.Time.IsZero() }

// AdmitDevice implements [chat.PositionStore]. A device that is not known, or was forgotten,
// begins with the time in place of 1: so its number is above that of a connection which was
// open all the while. It is above that of a removal too, if the clock was set back since.
func (s *Store) AdmitDevice(ctx context.Context, user chat.UserID, device chat.DeviceID) (chat.Admitted, error) {
	if err := checkName(string(user), string(device)); err != nil {
		return chat.Admitted{}, err
	}
	id, now := deviceKey(user, device), s.now()
	doc, err := s.raiseConn(ctx, id, now)
	if errors.Is(err, mongo.ErrNoDocuments) {
		first, firstErr := s.firstConn(ctx, id, now)
		if firstErr != nil {
			return chat.Admitted{}, fmt.Errorf("admit %s/%s: %w", user, device, firstErr)
		}
		_, err = s.positions.InsertOne(ctx, d("_id", id, "conn", first, "used", now, "first", now))
		if err == nil {
			return chat.Admitted{Conn: first, Stored: &chat.StoredPosition{}, New: true}, nil
		}
		if isDuplicate(err) { // another node was faster
			doc, err = s.raiseConn(ctx, id, now)
		}
	}
	if err != nil {
		return chat.Admitted{}, fmt.Errorf("admit %s/%s: %w", user, device, err)
	}
	if !doc.Time.IsZero() {
		return chat.Admitted{Conn: doc.Conn}, nil // to be converted when it is read
	}
	p, err := doc.position()
	return chat.Admitted{Conn: doc.Conn, Stored: &chat.StoredPosition{Position: p, Found: doc.begun()}}, err
}

// firstConn is where the numbers of a device that is not known begin.
func (s *Store) firstConn(ctx context.Context, id string, now time.Time) (chat.Conn, error) {
	removed, _, err := findOne[removedDoc](ctx, s.removed, d("_id", id))
	return max(chat.Conn(now.UnixMilli()), removed.Conn+1), err
}

func (s *Store) raiseConn(ctx context.Context, id string, now time.Time) (doc positionDoc, err error) {
	raise := bson.D{{Key: "$inc", Value: d("conn", int64(1))}, {Key: "$max", Value: d("used", now)}}
	after := options.FindOneAndUpdate().SetReturnDocument(options.After)
	err = s.positions.FindOneAndUpdate(ctx, d("_id", id), raise, after).Decode(&doc)
	return doc, err
}

func (doc *positionDoc) position() (chat.Position, error) {
	p := chat.Position{Acknowledged: doc.Acknowledged, Through: make(map[chat.ThreadID]chat.Seq, len(doc.Through))}
	for thread, seq := range doc.Through {
		id, err := chat.ParseThreadID(thread)
		if err != nil {
			return chat.Position{}, fmt.Errorf("the position has an entry for %q, which is no thread", thread)
		}
		p.Through[id] = seq
	}
	return p, nil
}

// BeginPosition implements [chat.PositionStore].
func (s *Store) BeginPosition(ctx context.Context, user chat.UserID, device chat.DeviceID, p chat.Position) (chat.Position, error) {
	if err := checkName(string(user), string(device)); err != nil {
		return chat.Position{}, err
	}
	stored := p
	stored.Through = maps.Clone(p.Through)
	id := deviceKey(user, device)
	doc := newPositionDoc(id, p, s.now())
	begun, err := s.positions.UpdateOne(ctx, d("_id", id, "through", d("$exists", false), "time", d("$exists", false)),
		d("$set", d("through", doc.Through, "acknowledged", doc.Acknowledged, "used", doc.Used)))
	if err == nil && begun.MatchedCount == 0 { // it has one, or was removed since it was admitted
		doc.First = doc.Used
		if doc.Conn, err = s.firstConn(ctx, id, doc.Used); err == nil { // as AdmitDevice
			_, err = s.positions.InsertOne(ctx, doc)
		}
	}
	if isDuplicate(err) {
		var found bool
		stored, found, err = s.position(ctx, user, device)
		if err == nil && !found {
			err = errors.New("the position was removed at the same time")
		}
	}
	return stored, wrap(fmt.Sprintf("begin the position of %s/%s", user, device), err)
}

// RaisePosition implements [chat.PositionStore]. Under the newest connection it is one write;
// only one that changes nothing looks for a newer connection.
func (s *Store) RaisePosition(ctx context.Context, user chat.UserID, device chat.DeviceID, conn chat.Conn, p chat.Position) error {
	raise := d("used", s.now())
	for thread, seq := range p.Through {
		raise = append(raise, bson.E{Key: "through." + thread.String(), Value: seq})
	}
	change := d("$max", raise)
	if p.Acknowledged {
		change = append(change, bson.E{Key: "$set", Value: d("acknowledged", true)})
	}
	begun := d("_id", deviceKey(user, device), "through", d("$exists", true), "time", d("$exists", false))
	own := begun
	if conn > 0 {
		own = append(slices.Clone(begun), bson.E{Key: "conn", Value: d("$lte", conn)})
	}
	raised, err := s.quickPositions.UpdateOne(ctx, own, change)
	if err == nil && conn > 0 && raised.MatchedCount == 0 {
		err = s.raiseTakenOver(ctx, begun, conn, change)
	}
	return wrap(fmt.Sprintf("store the position of %s/%s", user, device), err)
}

// raiseTakenOver raises a position for a connection that is not the newest, unless it finds
// that it is.
func (s *Store) raiseTakenOver(ctx context.Context, begun bson.D, conn chat.Conn, change bson.D) error {
	if _, err := s.quickPositions.UpdateOne(ctx, begun, change); err != nil {
		return err
	}
	doc, found, err := findOne[positionDoc](ctx, s.quickPositions, begun[:1], options.FindOne().SetProjection(d("conn", 1)))
	if err == nil && found && doc.Conn > conn {
		err = chat.ErrTakenOver
	}
	return err
}

// LastSeen implements [chat.LastSeenStore].
func (s *Store) LastSeen(ctx context.Context, user chat.UserID) (time.Time, error) {
	doc, found, err := findOne[struct {
		At time.Time `bson:"at"`
	}](ctx, s.lastSeen, d("_id", user))
	if err != nil || !found {
		return time.Time{}, wrap(fmt.Sprintf("read when %s was last seen", user), err)
	}
	return doc.At.UTC(), nil
}

// PutLastSeen implements [chat.LastSeenStore].
func (s *Store) PutLastSeen(ctx context.Context, user chat.UserID, at time.Time) error {
	err := onceMore(func() error {
		_, err := s.lastSeen.UpdateByID(ctx, user, d("$max", d("at", at)), options.UpdateOne().SetUpsert(true))
		return err
	})
	return wrap(fmt.Sprintf("store when %s was last seen", user), err)
}

// onceMore repeats an upsert that lost a race to insert the document: the second time
// it finds the other's and updates it.
func onceMore(upsert func() error) error {
	err := upsert()
	if isDuplicate(err) {
		err = upsert()
	}
	return err
}

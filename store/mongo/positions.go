package mongo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/base"
)

// positionDoc is how far a device has acknowledged.
type positionDoc struct {
	ID           string              `bson:"_id"`     // user/device
	Through      map[string]chat.Seq `bson:"through"` // by thread
	Acknowledged bool                `bson:"acknowledged"`
	Used         time.Time           `bson:"used"` // when it was last begun or raised

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
	case err != nil || !found:
		return chat.Position{}, false, err
	case doc.Time.IsZero():
		if s.now().Sub(doc.Used) >= base.NoteUseEvery {
			_ = s.RaisePosition(ctx, user, device, chat.Position{}) // else the next read does
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
	_, err = s.positions.ReplaceOne(ctx, d("_id", id, "time", doc.Time), converted)
	return p, err == nil, err
}

func newPositionDoc(id string, p chat.Position, now time.Time) positionDoc {
	doc := positionDoc{ID: id, Acknowledged: p.Acknowledged, Used: now, Through: make(map[string]chat.Seq, len(p.Through))}
	for thread, seq := range p.Through {
		doc.Through[thread.String()] = seq
	}
	return doc
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
	_, err := s.positions.InsertOne(ctx, newPositionDoc(deviceKey(user, device), p, s.now()))
	if isDuplicate(err) {
		var found bool
		stored, found, err = s.position(ctx, user, device)
		if err == nil && !found {
			err = errors.New("the position was removed at the same time")
		}
	}
	return stored, wrap(fmt.Sprintf("begin the position of %s/%s", user, device), err)
}

// RaisePosition implements [chat.PositionStore].
func (s *Store) RaisePosition(ctx context.Context, user chat.UserID, device chat.DeviceID, p chat.Position) error {
	raise := d("used", s.now())
	for thread, seq := range p.Through {
		raise = append(raise, bson.E{Key: "through." + thread.String(), Value: seq})
	}
	change := d("$max", raise)
	if p.Acknowledged {
		change = append(change, bson.E{Key: "$set", Value: d("acknowledged", true)})
	}
	_, err := s.quickPositions.UpdateOne(ctx, d("_id", deviceKey(user, device), "time", d("$exists", false)), change)
	return wrap(fmt.Sprintf("store the position of %s/%s", user, device), err)
}

// ForgetPositions implements [chat.PositionStore].
func (s *Store) ForgetPositions(ctx context.Context, unusedSince time.Time, count int) (int, error) {
	ids := options.Find().SetProjection(d("_id", 1)).SetLimit(int64(count)).SetHint(byUsed)
	unused, err := findAll[positionDoc](ctx, s.positions, d("used", d("$lt", unusedSince)), ids)
	if err != nil {
		return 0, fmt.Errorf("find positions that are not used: %w", err)
	}
	n := 0
	for _, doc := range unused {
		gone, err := s.positions.DeleteOne(ctx, d("_id", doc.ID, "used", d("$lt", unusedSince)))
		if err != nil {
			return n, fmt.Errorf("forget the position of %s: %w", doc.ID, err)
		}
		n += int(gone.DeletedCount)
	}
	return n, nil
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

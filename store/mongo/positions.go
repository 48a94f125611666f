package mongo

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
)

// positionDoc is how far a device has acknowledged.
type positionDoc struct {
	ID      string       `bson:"_id"` // user/device
	Time    chat.EventID `bson:"time"`
	Cursors []cursorDoc  `bson:"cursors"`
}

type cursorDoc struct {
	Thread chat.ThreadID `bson:"t"`
	Seq    chat.Seq      `bson:"s"`
}

func deviceKey(user chat.UserID, device chat.DeviceID) string {
	return string(user) + "/" + string(device)
}

// Position implements [chat.PositionStore].
func (s *Store) Position(ctx context.Context, user chat.UserID, device chat.DeviceID) (chat.Position, bool, error) {
	doc, found, err := findOne[positionDoc](ctx, s.positions, d("_id", deviceKey(user, device)))
	if err != nil || !found {
		return chat.Position{}, false, wrap(fmt.Sprintf("read the position of %s/%s", user, device), err)
	}
	p := chat.Position{Time: doc.Time, Cursors: make(map[chat.ThreadID]chat.Seq, len(doc.Cursors))}
	for _, c := range doc.Cursors {
		p.Cursors[c.Thread] = c.Seq
	}
	return p, true, nil
}

// PutPosition implements [chat.PositionStore].
func (s *Store) PutPosition(ctx context.Context, user chat.UserID, device chat.DeviceID, p chat.Position) error {
	if err := checkName(string(user), string(device)); err != nil {
		return err
	}
	doc := positionDoc{ID: deviceKey(user, device), Time: p.Time, Cursors: make([]cursorDoc, 0, len(p.Cursors))}
	for thread, seq := range p.Cursors {
		doc.Cursors = append(doc.Cursors, cursorDoc{thread, seq})
	}
	err := onceMore(func() error {
		_, err := s.positions.ReplaceOne(ctx, d("_id", doc.ID), doc, options.Replace().SetUpsert(true))
		return err
	})
	return wrap(fmt.Sprintf("store the position of %s/%s", user, device), err)
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

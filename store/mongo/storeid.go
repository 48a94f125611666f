package mongo

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/parleyhq/parley/chat"
)

// storeIDDoc is the document of meta that names the store.
type storeIDDoc struct {
	ID    string `bson:"_id"` // "store"
	Store string `bson:"store"`
}

const storeIDName = "store"

// readID gets the store's id. A store without one is new, or of a build that gave none: it
// gets one, from the node that is the first to name it.
func (s *Store) readID(ctx context.Context) error {
	ctx, end, err := s.causally(ctx)
	if err != nil {
		return fmt.Errorf("read the store's id: %w", err)
	}
	defer end()
	doc, found, err := findOne[storeIDDoc](ctx, s.meta, d("_id", storeIDName))
	if err == nil && !found {
		doc = storeIDDoc{storeIDName, chat.NewStoreID().String()}
		if _, err = s.meta.InsertOne(ctx, doc); mongo.IsDuplicateKeyError(err) {
			doc, _, err = findOne[storeIDDoc](ctx, s.meta, d("_id", storeIDName))
		}
	}
	if err == nil {
		s.id, err = chat.ParseStoreID(doc.Store)
	}
	return wrap("read the store's id", err)
}

// ID implements [chat.Store].
func (s *Store) ID() chat.StoreID { return s.id }

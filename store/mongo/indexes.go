package mongo

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// The collections, the queries on each, and the index that serves each query. Queries on
// _id need no other index.
//
//	collection          query                                            index
//	log                 a message, or targets, by id                     _id
//	                    head; pages of events and of messages; unread;   thread_seq
//	                    changes not settled yet
//	                    place of an event that may be taken              thread_seq (unique)
//	                    first event at or above an id                    thread_id
//	                    newest use of a sender's idempotency key         thread_key (unique)
//	                    a device's message by client_seq                 client_seq (unique)
//	                    messages whose time is up                        due (sparse)
//	                    what a process appended from an id on            via (covers the query)
//	creations           which creation a user's key is for               _id (user/key)
//	                    keys that may be used again                      until
//	reactions           a user's reactions to a message                  _id (message/user/emoji; a range)
//	                    who gave an emoji; those a message names         message_emoji_order
//	threads             a thread; applied and participants of several    _id
//	                    a thread of two users                            members_user
//	stints              a user in a thread; threads of a user            _id (user/thread; a range)
//	                    who was in a thread                              thread
//	pairs               the 1:1 of two people                            _id (user/user)
//	marks               present marks of users in a thread               _id (thread/kind/user)
//	old_marks           one user's first mark at or above a seq          _id (thread/kind/user/seq; a range)
//	                    all users' marks near a seq                      thread_to
//	positions           a device's position                              _id (user/device)
//	                    positions that are not used any more             used
//	                    a user's devices                                 _id (user/device; a range)
//	removed_devices     whether a device was removed; those of a user    _id (user/device; a range)
//	                    the newest removals                              at
//	last_seen           when a user was last connected                   _id (user)
//	subscriptions       what is kept for a device, for a user's devices  _id (user/device; a range)
//	                    what is kept no longer                           until
//	prekey_users        which devices of a user have keys                _id (user)
//	prekeys             keys of a device, of all a user's devices        _id (user/device; a range)
//	one_time_prekeys    keys by their ids                                _id (user/device/key)
//	                    lowest key not taken; how many there are         owner_taken_key
//	blocks              whether one blocks another; whom one blocks      _id (user/user; a range)
//	reports             newest reports                                   _id (ULID)
//	reported            a user's first report of a message               _id (message/user)
//	denied_attachments  whether an attachment is denied                  _id (SHA-256)
//	spans               when somebody did what is limited                _id (what/who)
//	                    what limits nothing any more                     until
//	strangers           whom a user put into threads without knowing     _id (user)
//	                    what counts no more                              until
//	meta                format and id of the database                    _id
//	nodes               all nodes, which are few                         _id (node)
//
// To shard, log, old_marks, reactions and one_time_prekeys are keyed by what their queries are about
// (docs/operations.md#sharding); every unique index of log begins with that. Of the others
// some are keyed by _id in order, as it begins with the user that queries are about, and some
// by the hash of _id. TestConformance looks whether each query names its shard (shards_test.go).

// Names of the indexes that queries ask for, so that the server does not choose another.
const (
	byThreadSeq = "thread_seq"
	byThreadID  = "thread_id"
	byThreadKey = "thread_key"
	byClientSeq = "client_seq"
	byDue       = "due"
	byVia       = "via"
	byThreadTo  = "thread_to"
	byUsed      = "used"
	byGiving    = "message_emoji_order"
)

// index is one that queries, or promises of uniqueness, depend on.
type index struct {
	name   string
	keys   []string
	unique bool
	sparse bool
}

var wantedIndexes = map[string][]index{
	"log": {
		{name: byThreadSeq, keys: []string{"thread", "seq"}, unique: true},
		{name: byThreadID, keys: []string{"thread", "_id"}},
		{name: byThreadKey, keys: []string{"thread", "by", "key", "gen"}, unique: true},
		{name: byClientSeq, keys: []string{"thread", "by", "device", "client_seq"}, unique: true},
		{name: byDue, keys: []string{"due"}, sparse: true},
		{name: byVia, keys: []string{"via", "_id", "thread", "seq", "kind"}},
	},
	"reactions":        {{name: byGiving, keys: []string{"message", "emoji", "order"}}},
	"threads":          {{name: "members_user", keys: []string{"members.user"}}},
	"subscriptions":    {{name: "until", keys: []string{"until"}}},
	"spans":            {{name: "until", keys: []string{"until"}}},
	"strangers":        {{name: "until", keys: []string{"until"}}},
	"removed_devices":  {{name: "at", keys: []string{"at"}}},
	"creations":        {{name: "until", keys: []string{"until"}}},
	"positions":        {{name: byUsed, keys: []string{"used"}}},
	"stints":           {{name: "thread", keys: []string{"thread"}}},
	"old_marks":        {{name: byThreadTo, keys: []string{"thread", "to"}}},
	"one_time_prekeys": {{name: "owner_taken_key", keys: []string{"owner", "taken", "key"}}},
}

// oldIndexes are those that only builds of the format before used, by collection.
var oldIndexes = map[string][]string{"log": {"sender_key"}}

func (i index) model() mongo.IndexModel {
	opts := options.Index().SetName(i.name)
	if i.unique {
		opts.SetUnique(true)
	}
	if i.sparse {
		opts.SetSparse(true)
	}
	return mongo.IndexModel{Keys: i.document(), Options: opts}
}

func (i index) document() bson.D {
	keys := make(bson.D, len(i.keys))
	for n, key := range i.keys {
		keys[n] = bson.E{Key: key, Value: int32(1)}
	}
	return keys
}

func listIndexes(ctx context.Context, view mongo.IndexView) (map[string]mongo.IndexSpecification, error) {
	specs, err := view.ListSpecifications(ctx)
	found := make(map[string]mongo.IndexSpecification, len(specs))
	for _, spec := range specs {
		found[spec.Name] = spec
	}
	return found, err
}

// check compares an index with the one that is wanted, but for whether it is sparse:
// one that is not is only larger.
func (i index) check(spec mongo.IndexSpecification) error {
	if spec.Name == "" {
		return errors.New("it was made and is not there")
	}
	elements, err := spec.KeysDocument.Elements()
	if err != nil {
		return fmt.Errorf("read its keys: %w", err)
	}
	same := len(elements) == len(i.keys)
	for n := 0; same && n < len(elements); n++ {
		direction, ok := elements[n].Value().AsInt64OK()
		same = elements[n].Key() == i.keys[n] && ok && direction == 1
	}
	if !same {
		return fmt.Errorf("it is on %s and should be on %v", spec.KeysDocument, i.keys)
	}
	if unique := spec.Unique != nil && *spec.Unique; unique != i.unique {
		return fmt.Errorf("that it is unique is %v and should be %v", unique, i.unique)
	}
	return nil
}

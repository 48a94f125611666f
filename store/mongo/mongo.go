// Package mongo is the store for several nodes: a MongoDB replica set of version
// 6 or later that all of them share. It keeps the promises of [chat.Store] without
// transactions: of every operation, one write of one document decides. Writes that
// follow from it are repeated by whoever finds them undone. Times are kept to the
// millisecond.
//
// Read in this order: documents.go (what is stored), indexes.go (which query uses
// which index), append.go (adding to a log), duplicates.go (why an event was refused),
// settle.go (the follow-up writes of an inserted event), onetoone.go (the thread of a
// pair of people), receipts.go (runs of marks). convert.go and bson.go turn documents
// into values of the domain and back; threadcache.go spares reads; every other file
// implements a part of the port.
//
// Which write decides:
//
//	a creation's    insert into creations         by _id, user and key; then the insert into log
//	  key
//	an event        insert into log               by unique indexes: the seq in the thread,
//	                                              the idempotency key, the client_seq
//	  settled by    the reaction in reactions     if its seq is below the event's
//	                its target in log             if overlay is below the event's seq
//	                stints of who came and went   if they are not moved yet
//	                its thread in threads         if applied is below the event's seq; last
//	a 1:1's pair    insert into pairs             by _id, the two users; then the insert into log
//	a mark          findAndModify of marks        if the mark before is below it and the run has room
//	a prekey taken  findAndModify of              from taken = false to true
//	                one_time_prekeys
//	a device with   update of prekey_users        if it is listed, or the list has room
//	  prekeys
//	a block, a      insert into blocks, reports,  by _id
//	  report, …     denied_attachments
//	last seen       update of last_seen           by maximum
//	a position      $max in positions             an entry only rises
//	a device gone   insert into removed_devices, then delete from positions
//	a connection    $inc in positions             the one with the highest number stays
//	subscriptions   replace in subscriptions      if no later connection has written
//	a limited call  update of spans               if its version is the one that was read
//	strangers       update of strangers           likewise
//
// The log is the truth: all else about a thread follows from its log and can be made
// anew from it. No reader is given an event, or a head, before the changes up to there
// are settled: the reader settles what it finds undone. So what a crash left half done
// is completed by the next reader or writer that comes across it.
//
// Writes are acknowledged by a majority and their journals, reads see what a
// majority has. Positions and last-seen times, which need not be durable, are
// what the primary has.
package mongo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/internal/keylock"
	"github.com/parleyhq/parley/store/base"
)

// closeTimeout bounds how long Close waits for the calls under way, for a server that
// does not answer.
const closeTimeout = time.Second

// Options of a store. The zero value is good.
type Options struct {
	IdempotencyWindow time.Duration    // how long a retry is recognised by its key; that of chat.DefaultLimits if 0
	Now               func() time.Time // time.Now if nil
	Log               *slog.Logger     // silent if nil
	Node              chat.NodeID      // this process among those that share the database
	Client            ClientOptions

	unbounded bool                  // calls have the deadlines of their contexts alone
	dialer    options.ContextDialer // for tests that cut connections; the network's if nil
	monitor   *event.CommandMonitor // for tests that count commands
}

// Store implements [chat.Store].
type Store struct {
	client *mongo.Client
	db     *mongo.Database

	log, threads, stints, pairs, reactions  *collection
	quickThreads                            *collection // threads; writes wait for no majority
	marks, oldMarks                         *collection
	positions, quickPositions               *collection // the same collection; writes to the second wait for no majority
	lastSeen                                *collection
	subscriptions                           *collection
	prekeyUsers, prekeys, oneTime           *collection
	blocks, reports, reported, deniedHashes *collection
	spans, strangers                        *collection
	removed                                 *collection
	removals                                *removals
	meta, quickMeta                         *collection // the same; writes to the second wait for no majority
	newSpans, newCreations, newStrangers    atomic.Int64
	creations                               *collection
	nodes                                   *collection // writes wait for no majority
	cache                                   *threadCache
	id                                      chat.StoreID
	// prekeyWriters are the devices, each as user/device, whose prekeys a call of this
	// node writes now: one at a time. What decides which one-time prekey goes to whom is
	// the database. On this lock rest only the number of them that is said to be left, and
	// its bound: uploads of one device on two nodes at the same time may exceed it together.
	prekeyWriters     keylock.Locks
	joins             bool        // the server can look up heads together with a user's threads
	onlyNew           atomic.Bool // no build of an earlier format can run on the store
	idempotencyWindow time.Duration
	now               func() time.Time
	logger            *slog.Logger
	node              chat.NodeID
}

var (
	_ chat.Store      = (*Store)(nil)
	_ chat.Timekeeper = (*Store)(nil)
	_ chat.Register   = (*Store)(nil)
	_ chat.EpochGate  = (*Store)(nil)
)

// Open opens the store of a MongoDB connection string, in the database that its
// path names ("parley" if none). It makes one in an empty database. It refuses one of
// another format, and one whose indexes are not as they must be: [Upgrade] and [Prepare]
// take as long as they need.
// The context bounds the opening, not the store's life. No error tells a password.
func Open(ctx context.Context, uri string, opts Options) (*Store, error) {
	base.Defaults(&opts.IdempotencyWindow, &opts.Now, &opts.Log)
	target, err := parseTarget(uri)
	if err != nil {
		return nil, err
	}
	client, timeout, err := connect(ctx, uri, opts)
	if err != nil {
		return nil, target.failed(err)
	}
	s := newStore(client, target.database, timeout, opts)
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(target.failed(err), s.Close())
	}
	return s, nil
}

func newStore(client *mongo.Client, database string, timeout time.Duration, opts Options) *Store {
	db := client.Database(database)
	named := func(name string, opts ...options.Lister[options.CollectionOptions]) *collection {
		return &collection{db.Collection(name, opts...), timeout}
	}
	quick := options.Collection().SetWriteConcern(&writeconcern.WriteConcern{W: 1}).SetReadConcern(readconcern.Local())
	return &Store{
		client: client, db: db,
		log: named("log"), threads: named("threads"),
		quickThreads: named("threads", quick), stints: named("stints"), pairs: named("pairs"),
		reactions: named("reactions"),
		marks:     named("marks"), oldMarks: named("old_marks"),
		positions: named("positions"), quickPositions: named("positions", quick), lastSeen: named("last_seen", quick),
		subscriptions: named("subscriptions"),
		prekeyUsers:   named("prekey_users"), prekeys: named("prekeys"), oneTime: named("one_time_prekeys"),
		blocks: named("blocks"), reports: named("reports"), reported: named("reported"), deniedHashes: named("denied_attachments"),
		spans: named("spans"), strangers: named("strangers"),
		removed: named("removed_devices"), removals: newRemovals(),
		creations: named("creations"),
		meta:      named("meta"), quickMeta: named("meta", quick),
		nodes: named("nodes", quick),
		cache: newThreadCache(), idempotencyWindow: opts.IdempotencyWindow, now: opts.Now, logger: opts.Log, node: opts.Node,
	}
}

// prepare checks that the server answers and that the database is a store of this
// format, and makes one in an empty database.
func (s *Store) prepare(ctx context.Context) error {
	if err := s.Ping(ctx); err != nil {
		return err
	}
	if err := s.checkFormat(ctx); err != nil {
		return err
	}
	if err := s.readID(ctx); err != nil {
		return err
	}
	return s.probeJoins(ctx)
}

// Ping reports whether the server that takes writes answers.
func (s *Store) Ping(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := s.client.Ping(ctx, readpref.Primary()); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}

// Time implements [chat.Timekeeper]. It is the clock of the server that takes writes or, in
// a sharded cluster, of the router.
func (s *Store) Time(ctx context.Context) (time.Time, error) {
	var hello struct {
		Time time.Time `bson:"localTime"`
	}
	err := s.client.Database("admin").RunCommand(ctx, d("hello", 1), options.RunCmd().SetReadPreference(readpref.Primary())).Decode(&hello)
	if err == nil && hello.Time.IsZero() {
		err = errors.New("the server does not tell it")
	}
	return hello.Time, wrap("ask for the time", err)
}

// Close waits for the calls under way and ends all connections. Calls after it fail.
func (s *Store) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := s.client.Disconnect(ctx); err != nil {
		return fmt.Errorf("close the store: %w", err)
	}
	return nil
}

// causally gives a context in which a read sees the document that made an earlier write
// of the same context fail as a duplicate. Otherwise the read might miss it: it may have
// been inserted a moment ago, and not have reached a majority yet.
func (s *Store) causally(ctx context.Context) (causal context.Context, end func(), err error) {
	if mongo.SessionFromContext(ctx) != nil {
		return ctx, func() {}, nil
	}
	session, err := s.client.StartSession()
	if err != nil {
		return nil, nil, err
	}
	return mongo.NewSessionContext(ctx, session), func() { session.EndSession(context.WithoutCancel(ctx)) }, nil
}

// findAll decodes everything a query finds.
func findAll[T any](ctx context.Context, c *collection, filter bson.D, opts ...options.Lister[options.FindOptions]) ([]T, error) {
	cursor, err := c.Find(ctx, filter, opts...)
	if err != nil {
		return nil, err
	}
	var found []T
	if err := cursor.All(ctx, &found); err != nil {
		return nil, err
	}
	return found, nil
}

// findOne decodes the one document a query finds; found is false if there is none.
func findOne[T any](ctx context.Context, c *collection, filter bson.D, opts ...options.Lister[options.FindOneOptions]) (doc T, found bool, err error) {
	err = c.FindOne(ctx, filter, opts...).Decode(&doc)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return doc, false, nil
	}
	return doc, err == nil, err
}

// checkName refuses ids with a character that would make an _id ambiguous. The domain
// lets no such id through.
func checkName[T ~string](names ...T) error {
	for _, name := range names {
		for i := range len(name) {
			if name[i] == '/' || name[i] < ' ' {
				return fmt.Errorf("the id %q has a character that no id has", name)
			}
		}
	}
	return nil
}

package mongo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"golang.org/x/sync/errgroup"

	"github.com/parleyhq/parley/store/base"
)

// formatVersion is the shape of the documents that this build writes. Raise it when what an
// earlier build wrote has to be changed, or a new index is needed, and add a step to upgrades.
const (
	formatVersion = 5
	oldestFormat  = 2 // from which this build can upgrade
)

// buildsFrom is the oldest format whose builds may run on a store of formatVersion: while
// nodes are replaced one by one, those of two adjoining versions share the store.
const buildsFrom = 4

// formatDoc says of what format a store is.
type formatDoc struct {
	Version int64 `bson:"version"`
	// BuildsFrom is the oldest format whose builds may run on the store; zero is Version.
	BuildsFrom int64 `bson:"builds_from"`
}

// An upgrade turns a store of one format into one of the next while nodes of both use it.
// Each may be repeated, since it may have been interrupted.
type upgrade func(s *Store, ctx context.Context, progress Progress) error

// upgrades has one for each format that this build can upgrade.
var upgrades = map[int64]upgrade{
	2: (*Store).noteUses,
	3: nothingToDo, // what an event of format 3 says of reactions is read as it is
	4: inTurn((*Store).noteDevices, (*Store).keepCreations),
}

// inTurn makes one upgrade of several.
func inTurn(all ...upgrade) upgrade {
	return func(s *Store, ctx context.Context, progress Progress) error {
		for _, one := range all {
			if err := one(s, ctx, progress); err != nil {
				return err
			}
		}
		return nil
	}
}

//nolint:revive // as the other steps are: methods, given as functions
func nothingToDo(*Store, context.Context, Progress) error { return nil }

// noteUses has the positions of format 2, which did not say when they were used, count as
// used now.
func (s *Store) noteUses(ctx context.Context, _ Progress) error {
	_, err := s.positions.UpdateMany(ctx, d("used", d("$exists", false)), d("$set", d("used", s.now())))
	return wrap("convert the positions", err)
}

// Progress is told, in one line each, what is being done and how far it is.
type Progress func(line string)

// Prepare makes the indexes that a store needs, and those of an empty database. It drops those that
// only builds of the format before used, which cannot run on the store any more. The context alone
// bounds how long it takes.
func Prepare(ctx context.Context, uri string, opts Options, progress Progress) error {
	return with(ctx, uri, opts, func(s *Store) error {
		format, found, err := s.format(ctx)
		switch {
		case err != nil:
			return err
		case !found:
			return s.build(ctx, progress)
		}
		if err := format.check(); err != nil {
			return err
		}
		if err := s.ensureIndexes(ctx, progress); err != nil {
			return err
		}
		if err := s.dropOldIndexes(ctx, progress); err != nil {
			return err
		}
		if err := s.keepOldBuildsOut(ctx); err != nil {
			return err
		}
		progress("every index is there")
		return nil
	})
}

// Upgrade makes a store of an earlier format one of this build's, while nodes of the version
// before use it. They can go on, and be replaced one by one. The context alone bounds how long it takes.
func Upgrade(ctx context.Context, uri string, opts Options, progress Progress) error {
	return with(ctx, uri, opts, func(s *Store) error {
		format, found, err := s.format(ctx)
		switch {
		case err != nil:
			return err
		case !found:
			return errors.New("there is no store to upgrade: serve makes one in an empty database")
		case format.Version >= formatVersion:
			progress(fmt.Sprintf("the store has format %d already", format.Version))
			return format.check()
		}
		if err := base.CheckFormat(format.Version, oldestFormat, formatVersion); err != nil {
			return err
		}
		if err := s.ensureIndexes(ctx, progress); err != nil {
			return err
		}
		for from := format.Version; from < formatVersion; from++ {
			progress(fmt.Sprintf("from format %d to %d", from, from+1))
			if err := upgrades[from](s, ctx, progress); err != nil {
				return fmt.Errorf("upgrade from format %d to %d: %w", from, from+1, err)
			}
		}
		_, err = s.meta.UpdateByID(ctx, "format", d("$max", d("version", int64(formatVersion), "builds_from", int64(buildsFrom))))
		if err == nil {
			progress(fmt.Sprintf("the store has format %d", formatVersion))
		}
		return wrap("mark the database with the format", err)
	})
}

// with calls do with a store that is connected and not looked into.
func with(ctx context.Context, uri string, opts Options, do func(*Store) error) error {
	base.Defaults(&opts.IdempotencyWindow, &opts.Now, &opts.Log)
	target, err := parseTarget(uri)
	if err != nil {
		return err
	}
	opts.unbounded = true
	client, timeout, err := connect(ctx, uri, opts)
	if err != nil {
		return target.failed(err)
	}
	s := newStore(client, target.database, timeout, opts)
	err = s.Ping(ctx)
	if err == nil {
		err = do(s)
	}
	if err != nil {
		return errors.Join(target.failed(err), s.Close())
	}
	return s.Close()
}

// checkFormat refuses a database that is no store of a format that this build can use. It
// builds a store in an empty one.
func (s *Store) checkFormat(ctx context.Context) error {
	format, found, err := s.format(ctx)
	switch {
	case err != nil:
		return err
	case !found:
		return s.build(ctx, func(string) {})
	}
	if err := format.check(); err != nil {
		return err
	}
	s.onlyNew.Store(format.BuildsFrom >= formatVersion)
	return s.checkIndexes(ctx)
}

func (s *Store) format(ctx context.Context) (formatDoc, bool, error) {
	format, found, err := findOne[formatDoc](ctx, s.meta, d("_id", "format"))
	return format, found, wrap("read the format version", err)
}

// check refuses a format that this build cannot use.
func (f formatDoc) check() error {
	switch {
	case f.Version > formatVersion && 0 < f.BuildsFrom && f.BuildsFrom <= formatVersion:
		return nil
	case oldestFormat <= f.Version && f.Version < formatVersion:
		return fmt.Errorf("it has format %d and this version needs %d: run parley store upgrade (nodes that use it may go on meanwhile)",
			f.Version, formatVersion)
	}
	return base.CheckFormat(f.Version, oldestFormat, formatVersion)
}

// build makes a store in an empty database. Several nodes may do so at once: that it has a
// format is said last, when everything is there.
func (s *Store) build(ctx context.Context, progress Progress) error {
	_, used, err := findOne[struct{}](ctx, s.threads, d())
	if err != nil {
		return fmt.Errorf("look whether the database is empty: %w", err)
	}
	if used {
		if _, found, err := s.format(ctx); err != nil || found { // another node was faster
			return err
		}
		return errors.New("it has threads, and does not say of what format they are: it is no whole store")
	}
	if err := s.ensureIndexes(ctx, progress); err != nil {
		return err
	}
	s.onlyNew.Store(true)
	_, err = s.meta.InsertOne(ctx, d("_id", "format", "version", int64(formatVersion), "builds_from", int64(formatVersion)))
	if mongo.IsDuplicateKeyError(err) {
		return nil
	}
	return wrap("mark the database with the format", err)
}

// CheckEpochs implements [chat.EpochGate]: a build of format 4 that appends to a log leaves the
// epoch out of its head, and the same could be begun twice. A node that was started before the
// store was prepared finds that out here.
func (s *Store) CheckEpochs(ctx context.Context) error {
	if s.onlyNew.Load() {
		return nil
	}
	format, _, err := s.format(ctx)
	if err != nil {
		return err
	}
	if format.BuildsFrom < formatVersion {
		return errors.New("nodes of an earlier version may run on the database: run parley store prepare once none is left")
	}
	s.onlyNew.Store(true)
	return nil
}

// keepOldBuildsOut has no build of an earlier format run on the store any more.
func (s *Store) keepOldBuildsOut(ctx context.Context) error {
	_, err := s.meta.UpdateOne(ctx, d("_id", "format", "version", int64(formatVersion)), d("$max", d("builds_from", int64(formatVersion))))
	return wrap("mark the database as prepared", err)
}

// checkIndexes refuses a store without its indexes: to make them may take hours. It asks for
// several collections at once, as a start has a few seconds and the database may be far away.
func (s *Store) checkIndexes(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for name, wanted := range wantedIndexes {
		group.Go(func() error { return s.checkIndexesOf(ctx, name, wanted) })
	}
	return group.Wait()
}

func (s *Store) checkIndexesOf(ctx context.Context, collection string, wanted []index) error {
	found, err := listIndexes(ctx, s.db.Collection(collection).Indexes())
	if err != nil {
		return fmt.Errorf("list the indexes of collection %s: %w", collection, err)
	}
	for _, w := range wanted {
		spec, there := found[w.name]
		if !there {
			return fmt.Errorf("index %s of collection %s is missing: run parley store prepare", w.name, collection)
		}
		if err := w.check(spec); err != nil {
			return fmt.Errorf("index %s of collection %s: %w", w.name, collection, err)
		}
	}
	return nil
}

// tellEvery is how often a making of indexes that takes long says so.
const tellEvery = 10 * time.Second

// ensureIndexes makes the indexes that are missing and checks all of them: a server may
// accept one of the same name that is different.
func (s *Store) ensureIndexes(ctx context.Context, progress Progress) error {
	for _, name := range slices.Sorted(maps.Keys(wantedIndexes)) {
		missing, names, err := s.missingIndexes(ctx, name)
		if err != nil {
			return err
		}
		if len(missing) == 0 {
			continue
		}
		progress(fmt.Sprintf("collection %s: making the indexes %v", name, names))
		stop := s.tellOf(ctx, name, progress)
		_, err = s.db.Collection(name).Indexes().CreateMany(ctx, missing)
		stop()
		if err == nil {
			continue
		}
		// Another node may have made some of them meanwhile. Not every server takes that well.
		if missing, _, listed := s.missingIndexes(ctx, name); listed != nil || len(missing) > 0 {
			return fmt.Errorf("make the indexes of collection %s: %w", name, err)
		}
	}
	return s.checkIndexes(ctx)
}

// missingIndexes are the indexes of a collection that are not there, and their names.
func (s *Store) missingIndexes(ctx context.Context, collection string) (missing []mongo.IndexModel, names []string, err error) {
	found, err := listIndexes(ctx, s.db.Collection(collection).Indexes())
	if err != nil {
		return nil, nil, fmt.Errorf("list the indexes of collection %s: %w", collection, err)
	}
	for _, w := range wantedIndexes[collection] {
		if _, there := found[w.name]; !there {
			missing, names = append(missing, w.model()), append(names, w.name)
		}
	}
	return missing, names, nil
}

// dropOldIndexes drops the indexes that only builds of the format before used.
func (s *Store) dropOldIndexes(ctx context.Context, progress Progress) error {
	for name, old := range oldIndexes {
		view := s.db.Collection(name).Indexes()
		found, err := listIndexes(ctx, view)
		if err != nil {
			return fmt.Errorf("list the indexes of collection %s: %w", name, err)
		}
		for _, index := range old {
			if _, there := found[index]; !there {
				continue
			}
			if err := s.keepCreations(ctx, progress); err != nil {
				return err
			}
			progress(fmt.Sprintf("collection %s: dropping the index %s, which the version before used", name, index))
			if err := view.DropOne(ctx, index); err != nil {
				return fmt.Errorf("drop index %s of collection %s: %w", index, name, err)
			}
		}
	}
	return nil
}

// tellOf tells now and then, until stop is called, how far the making of a collection's
// indexes is.
func (s *Store) tellOf(ctx context.Context, collection string, progress Progress) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		began, tick := time.Now(), time.NewTicker(tellEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				line := fmt.Sprintf("collection %s: still at it after %v", collection, time.Since(began).Round(time.Second))
				if far := s.howFar(ctx, collection); far != "" {
					line += ": " + far
				}
				progress(line)
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// buildOp is what a server says of the making of an index.
type buildOp struct {
	Message  string `bson:"msg"`
	Progress struct {
		Done  int64 `bson:"done"`
		Total int64 `bson:"total"`
	} `bson:"progress"`
}

func (op buildOp) String() string {
	if op.Progress.Total == 0 {
		return op.Message
	}
	return fmt.Sprintf("%d of %d", op.Progress.Done, op.Progress.Total)
}

// howFar asks the server; not every server and not every user is told.
func (s *Store) howFar(ctx context.Context, collection string) string {
	ours := d("command.createIndexes", collection, "command.$db", s.db.Name())
	cursor, err := s.client.Database("admin").Aggregate(ctx, []any{d("$currentOp", d("idleConnections", false)), d("$match", ours)})
	if err != nil {
		return ""
	}
	var ops []buildOp
	if err := cursor.All(ctx, &ops); err != nil || len(ops) == 0 {
		return ""
	}
	return ops[0].String()
}

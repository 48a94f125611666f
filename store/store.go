// Package store opens the store that a URL names. It is the only package that
// knows every implementation; [chat.Store] says what each of them promises.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/mongo"
	"github.com/parleyhq/parley/store/pebble"
)

// Options are those that every store takes. The zero value is good.
type Options struct {
	IdempotencyWindow time.Duration    // that of chat.DefaultLimits if 0
	Now               func() time.Time // time.Now if nil
	Log               *slog.Logger     // silent if nil
	OpenTables        int              // how many files the embedded store keeps open; 1,000 if 0
	Node              chat.NodeID      // this process among those that share the store; the embedded one is not shared
	MongoDB           MongoDBOptions   // of a MongoDB alone
}

// MongoDBOptions say how the servers of a MongoDB are reached.
type MongoDBOptions = mongo.ClientOptions

// DefaultMongoDBOptions are what holds where neither the options nor the URL say otherwise.
var DefaultMongoDBOptions = mongo.DefaultClientOptions

// Open opens the store of a URL:
//
//	pebble:DIR             embedded, in the directory DIR, made if it is not there
//	mongodb://HOSTS/NAME   the database NAME ("parley" if none) of a MongoDB replica set, shared by nodes;
//	mongodb+srv://…        a whole connection string, options and all
//
// The context bounds the opening, not the store's life.
func Open(ctx context.Context, url string, opts Options) (chat.Store, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	scheme, rest, found := strings.Cut(url, ":")
	if !found {
		return nil, fmt.Errorf("store URL %q has no scheme: pebble:DIR and mongodb://… have one", url)
	}
	switch scheme {
	case "pebble":
		if rest == "" {
			return nil, errors.New("store URL pebble: names no directory")
		}
		return opened(pebble.Open(rest, pebble.Options{IdempotencyWindow: opts.IdempotencyWindow, Now: opts.Now, Log: opts.Log, OpenTables: opts.OpenTables}))
	case "mongodb", "mongodb+srv":
		return opened(mongo.Open(ctx, url, opts.mongo()))
	default:
		// Not the whole URL: one of another scheme may hold a password.
		return nil, fmt.Errorf("store URL has the unknown scheme %q: pebble:DIR and mongodb://… are known", scheme)
	}
}

// Prepare makes what is missing in a store for which that may take long: the indexes of a
// MongoDB. It tells what it does, line by line. The context bounds how long it takes.
func Prepare(ctx context.Context, url string, opts Options, progress func(line string)) error {
	if err := onMongoDB(url); err != nil {
		return err
	}
	return mongo.Prepare(ctx, url, opts.mongo(), progress)
}

// Upgrade makes a MongoDB store of an earlier version one of this version, while nodes use
// it. It tells what it does, line by line. The context bounds how long it takes.
func Upgrade(ctx context.Context, url string, opts Options, progress func(line string)) error {
	if err := onMongoDB(url); err != nil {
		return err
	}
	return mongo.Upgrade(ctx, url, opts.mongo(), progress)
}

// Restored makes of a MongoDB that was restored from a copy a store with an id of its own. It
// tells what it does, line by line. No node may serve the store meanwhile.
func Restored(ctx context.Context, url string, opts Options, progress func(line string)) error {
	if scheme, _, _ := strings.Cut(url, ":"); scheme == "pebble" {
		return errors.New("the embedded store is restored by parley restore")
	}
	if err := onMongoDB(url); err != nil {
		return err
	}
	return mongo.Restored(ctx, url, opts.mongo(), progress)
}

func (o Options) mongo() mongo.Options {
	return mongo.Options{IdempotencyWindow: o.IdempotencyWindow, Now: o.Now, Log: o.Log, Node: o.Node, Client: o.MongoDB}
}

// onMongoDB refuses the URL of any other store.
func onMongoDB(url string) error {
	switch scheme, _, _ := strings.Cut(url, ":"); scheme {
	case "mongodb", "mongodb+srv":
		return nil
	case "pebble":
		return errors.New("the embedded store prepares and upgrades itself when it is opened")
	default:
		return errors.New("the store URL is no mongodb://…")
	}
}

// opened keeps a nil *Store, which in an interface would not be nil, from the caller.
func opened[S chat.Store](s S, err error) (chat.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Embedded gives the directory of an embedded store's URL, and refuses any other.
func Embedded(url string) (dir string, err error) {
	scheme, rest, _ := strings.Cut(url, ":")
	switch {
	case scheme == "pebble" && rest != "":
		return rest, nil
	case scheme == "mongodb", scheme == "mongodb+srv":
		return "", errors.New("this is for the embedded store (pebble:DIR): back up MongoDB by its own tools")
	}
	return "", errors.New("no store: set --store pebble:DIR")
}

// BackupContents is what a backup was found to have.
type BackupContents = pebble.Contents

// BackupOf makes a backup of the embedded store in a directory, which no process has open, in
// another directory, which is absent or empty.
func BackupOf(from, to string) error { return pebble.BackupOf(from, to) }

// VerifyBackup opens a backup without changing it, and reads all of it.
func VerifyBackup(dir string) (BackupContents, error) { return pebble.Verify(dir) }

// RestoreBackup makes an embedded store of a backup, in a directory that is absent or empty,
// and gives the store's new id.
func RestoreBackup(backup, to string) (chat.StoreID, error) { return pebble.Restore(backup, to) }

package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/peterbourgon/ff/v3"

	"github.com/parleyhq/parley/store"
)

// storeCommands are what `parley store` can do (docs/operations.md#mongodb). None has a
// deadline: they end with the process.
var storeCommands = map[string]func(ctx context.Context, url string, opts store.Options, progress func(string)) error{
	"prepare":  store.Prepare,
	"restored": store.Restored,
	"upgrade":  store.Upgrade,
}

const storeUsage = `parley store looks after a MongoDB store, without a deadline and with progress.

	parley store prepare   make its collections and indexes
	parley store upgrade   bring it to the format of this version
	parley store restored  give it a new store id, after a backup was restored

Each lists its flags with --help.
`

// storeCommand is `parley store …`.
func storeCommand(ctx context.Context, args []string, stdout io.Writer) error {
	const known = "prepare, upgrade and restored"
	if len(args) == 0 {
		return fmt.Errorf("parley store: no command given, there are %s", known)
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		fmt.Fprint(stdout, storeUsage)
		return nil
	}
	do := storeCommands[args[0]]
	if do == nil {
		return fmt.Errorf("parley store: unknown command %q, there are %s", args[0], known)
	}
	var url string
	fs := newFlagSet("parley store " + args[0])
	fs.StringVar(&url, "store", "", "`URL` of the store: mongodb://HOST/DATABASE")
	// The file of --config may be that of serve, with other flags in it.
	if err := parse(fs, args[1:], stdout, ff.WithIgnoreUndefined(true)); err != nil {
		return err
	}
	if url == "" {
		return errors.New("no store: set --store mongodb://HOST/DATABASE")
	}
	return do(ctx, url, store.Options{}, func(line string) { fmt.Fprintln(stdout, line) })
}

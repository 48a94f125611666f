package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/peterbourgon/ff/v3"

	"github.com/parleyhq/parley/store"
)

// backup is `parley backup`: it copies an embedded store, whether or not a server runs on it.
func backup(ctx context.Context, args []string, stdout io.Writer) error {
	var url string
	var verify bool
	flags := newFlagSet("parley backup")
	flags.StringVar(&url, "store", "", "`URL` of the embedded store: pebble:DIR")
	flags.BoolVar(&verify, "verify", false, "open the copy, read all of it and count what it has")
	// The file of --config may be that of serve, with other flags in it.
	if err := parseArgs(flags, args, stdout, "DIR", ff.WithIgnoreUndefined(true)); err != nil {
		return err
	}
	from, err := store.Embedded(url)
	if err != nil {
		return err
	}
	to, err := filepath.Abs(flags.Arg(0)) // the server has another working directory
	if err != nil {
		return err
	}
	served, err := askForBackup(ctx, from, to)
	if !served {
		err = store.BackupOf(from, to)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "a backup of %s is in %s\n", from, to)
	if !verify {
		return nil
	}
	c, err := store.VerifyBackup(to)
	if err != nil {
		return fmt.Errorf("the backup is not sound: %w", err)
	}
	fmt.Fprintf(stdout, "it has %d threads with %d events, of which %d are messages; the store's id is %s\n", c.Threads, c.Events, c.Messages, c.Store)
	return nil
}

// restore is `parley restore`: it makes a store of a backup.
func restore(args []string, stdout io.Writer) error {
	var url string
	flags := newFlagSet("parley restore")
	flags.StringVar(&url, "store", "", "`URL` of the embedded store to make: pebble:DIR, of a directory that is absent or empty")
	if err := parseArgs(flags, args, stdout, "DIR", ff.WithIgnoreUndefined(true)); err != nil {
		return err
	}
	to, err := store.Embedded(url)
	if err != nil {
		return err
	}
	keepFilesPrivate()
	id, err := store.RestoreBackup(flags.Arg(0), to)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "the store in %s is restored; its id is %s\n", to, id)
	return nil
}

// The socket on which a server takes requests for backups of its store. It is in the
// store's directory, and only the server's user may write to it.
const (
	backupSocket  = "backup.sock"
	maxBackupLine = 16 << 10
	requestWithin = 5 * time.Second
)

// backupRequest is a line of JSON, which backupAnswer answers with another.
type (
	backupRequest struct {
		Dir string `json:"dir"`
	}
	backupAnswer struct {
		Error string `json:"error,omitempty"`
	}
)

// askForBackup asks the server that runs on a store for a backup. It is not served if there
// is no such server.
func askForBackup(ctx context.Context, from, to string) (served bool, err error) {
	path, release, err := socketPath(from)
	if err != nil {
		return false, nil // there is no store, which making the backup will tell
	}
	defer release()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return false, nil
	case err != nil:
		return true, fmt.Errorf("ask the server for a backup: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	var answer backupAnswer
	err = json.NewEncoder(conn).Encode(backupRequest{to})
	if err == nil {
		err = json.NewDecoder(conn).Decode(&answer)
	}
	switch {
	case err != nil:
		return true, fmt.Errorf("the server has not made the backup: %w", err)
	case answer.Error != "":
		return true, errors.New(answer.Error)
	}
	return true, nil
}

// socketPath is the path of the socket in a store's directory, until release is called. Of
// a long path Linux takes no socket: there it leads through a descriptor of the directory.
func socketPath(dir string) (path string, release func(), err error) {
	const longest = 100 // a little less than any system takes
	path = filepath.Join(dir, backupSocket)
	if len(path) <= longest || runtime.GOOS != "linux" {
		return path, func() {}, nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), backupSocket), func() { _ = d.Close() }, nil
}

// backups takes requests for backups.
type backups struct {
	ln     net.Listener
	make   func(dir string) error
	log    *slog.Logger
	closed func() // lets go of the socket's path
	wg     sync.WaitGroup
}

// serveBackups has a server take requests for backups of its embedded store. A server that
// cannot does without.
func serveBackups(storeURL string, s any, log *slog.Logger) *backups {
	source, ok := s.(interface{ Backup(dir string) error })
	dir, err := store.Embedded(storeURL)
	if !ok || err != nil {
		return nil
	}
	path, release, err := socketPath(dir)
	if err != nil {
		log.Warn("the server cannot be asked for backups", "error", err)
		return nil
	}
	_ = os.Remove(path) // of a server that was killed: this one has the store
	ln, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		release()
		log.Warn("the server cannot be asked for backups", "error", err)
		return nil
	}
	b := &backups{ln: ln, make: source.Backup, log: log, closed: release}
	b.wg.Go(b.serve)
	return b
}

func (b *backups) serve() {
	for {
		conn, err := b.ln.Accept()
		if err != nil {
			return
		}
		b.wg.Go(func() { b.answer(conn) })
	}
}

func (b *backups) answer(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(requestWithin))
	var asked backupRequest
	if err := json.NewDecoder(io.LimitReader(conn, maxBackupLine)).Decode(&asked); err != nil {
		return
	}
	start := time.Now()
	err := errors.New("the directory of a backup is an absolute path")
	if filepath.IsAbs(asked.Dir) {
		err = b.make(asked.Dir)
	}
	answer := backupAnswer{}
	if err != nil {
		b.log.Error("a backup was not made", "dir", asked.Dir, "error", err)
		answer.Error = strings.Join(strings.Fields(err.Error()), " ")
	} else {
		b.log.Info("a backup was made", "dir", asked.Dir, "took_ms", time.Since(start).Milliseconds())
	}
	_ = json.NewEncoder(conn).Encode(answer)
}

// close takes no more requests. A backup under way is waited for by the store.
func (b *backups) close() {
	if b != nil {
		_ = b.ln.Close()
		b.closed()
	}
}

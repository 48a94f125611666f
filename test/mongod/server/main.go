// Command server is a MongoDB-compatible server for tests: FerretDB on a
// directory, behind a proxy that lets one command through at a time, because
// FerretDB 1 loses concurrent updates of one document. What it has answered survives
// its own end, and not that of the machine: it leaves writing to the disk to the system.
//
//	server -dir DIR [-listen 127.0.0.1:0]
//
// Once it serves it prints its address as one line. It ends on SIGTERM and when
// its standard input does, so that it never outlives a test that died.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	debug.SetGCPercent(400) // it holds little, and makes much garbage
	dir := flag.String("dir", "", "directory of the databases; must exist")
	listen := flag.String("listen", "127.0.0.1:0", "TCP address to serve on")
	flag.Parse()
	if err := run(*dir, *listen); err != nil {
		fmt.Fprintln(os.Stderr, "mongod server:", err)
		os.Exit(1)
	}
}

func run(dir, listen string) error {
	if dir == "" {
		return errors.New("-dir is missing")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()

	backend, err := startBackend(ctx, dir)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	fmt.Println(listener.Addr())
	(&proxy{backend: backend}).serve(listener)
	return nil // whatever is under way ends with the process, as in a crash: what was answered is in the files
}

// startBackend starts a FerretDB that runs until ctx ends, and gives its address.
func startBackend(ctx context.Context, dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	files := url.URL{Scheme: "file", Path: dir + "/", RawQuery: url.Values{"_pragma": {"synchronous(off)"}}.Encode()}
	f, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: "127.0.0.1:0"},
		Logger:    slog.New(slog.DiscardHandler),
		Handler:   "sqlite",
		SQLiteURL: files.String(),
	})
	if err != nil {
		return "", fmt.Errorf("start FerretDB: %w", err)
	}
	go func() { _ = f.Run(ctx) }()       // it never fails
	at, err := url.Parse(f.MongoDBURI()) // waits until it listens
	if err != nil {
		return "", fmt.Errorf("the address of FerretDB: %w", err)
	}
	return at.Host, nil
}

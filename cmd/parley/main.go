// Command parley is the chat server with its small tools: serve runs the server, token prints a
// token for it, chat is a client in the terminal, bench puts load on it, store looks after a
// MongoDB. This is the only package that wires the others together; serve.go does it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
)

const usage = `parley is the backend of a messenger.

	parley serve        run the server (--dev: everything on loopback, ready to try)
	parley token        print a token signed with the server's secret
	parley chat         read and write messages in the terminal, or send what is piped in
	parley bench        put load on a running server and report latency and cost
	parley backup       copy an embedded store, whether or not a server runs on it
	parley restore      make an embedded store of such a copy
	parley store        prepare or upgrade a MongoDB store, or say that it was restored
	parley healthcheck  ask whether the server on this machine is healthy: exit code 0 or 1
	parley version      print the version

Each command lists its flags with --help. A flag can also be set in the environment
(--mqtt-listen as PARLEY_MQTT_LISTEN) or in the YAML file that --config names.
`

// Both are set by the linker for a release; commit only where the build has no git history.
var version, commit = "dev", ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "parley:", err)
		os.Exit(1)
	}
}

// run is the whole program, without the process around it: tests call it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return errors.New("no command given")
	}
	switch command, rest := args[0], args[1:]; command {
	case "serve":
		return serve(ctx, rest, stdout, stderr)
	case "token":
		return printToken(rest, stdout)
	case "chat":
		return chatCommand(ctx, rest, os.Stdin, stdout, stderr)
	case "bench":
		return runBench(ctx, rest, stdout, stderr)
	case "store":
		return storeCommand(ctx, rest, stdout)
	case "backup":
		return backup(ctx, rest, stdout)
	case "restore":
		return restore(rest, stdout)
	case "healthcheck":
		return healthcheck(ctx, rest, stdout)
	case "version", "--version", "-version":
		fmt.Fprintln(stdout, versionLine())
		return nil
	case "help", "-h", "--help":
		fmt.Fprint(stdout, usage)
		return nil
	default:
		return fmt.Errorf("unknown command %q: see parley help", command)
	}
}

// build says which build runs.
type build struct{ commit, goVersion string }

func buildInfo() build {
	b := build{commit, runtime.Version()}
	if b.commit != "" {
		return b
	}
	b.commit = "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.commit = s.Value
			}
		}
	}
	return b
}

// versionLine gives the version, the commit and the version of Go.
func versionLine() string {
	b := buildInfo()
	return fmt.Sprintf("parley %s (commit %s, %s)", version, b.commit, b.goVersion)
}

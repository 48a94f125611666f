// Package process runs the real server as a process, for tests outside the end-to-end suite:
// those of the Go client, of the terminal client and of the examples.
package process

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/chat"
)

// Variable names a server that was just built. Without it the first test that needs one builds it.
const Variable = "PARLEY_BINARY"

// Secret signs the tokens of every server.
const Secret = "the secret of the tests of the Go client"

var built struct {
	once sync.Once
	path string
	err  error
	log  []byte
}

// Binary is the path of the server.
func Binary(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		if built.path = os.Getenv(Variable); built.path != "" {
			return
		}
		var dir string
		//nolint:usetesting // it is for all tests of the package, and Remove removes it
		if dir, built.err = os.MkdirTemp("", "parley-binary-"); built.err != nil {
			return
		}
		built.path = filepath.Join(dir, "parley")
		build := exec.Command("go", "build", "-o", built.path, "github.com/parleyhq/parley/cmd/parley")
		built.log, built.err = build.CombinedOutput()
	})
	if built.err != nil {
		t.Fatalf("building the server: %v\n%s", built.err, built.log)
	}
	return built.path
}

// Remove removes the server that was built. TestMain calls it at the end.
func Remove() {
	if built.path != "" && built.path != os.Getenv(Variable) {
		os.RemoveAll(filepath.Dir(built.path))
	}
}

// Server is one process of the server with a store of its own.
type Server struct {
	HTTP string // host and port, the same after a restart
	MQTT string
	Data string // its directory, with the secret in the file jwt-secret

	binary string
	extra  []string
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start runs a server until the test ends, with these flags beside its own.
func Start(t testing.TB, extra ...string) *Server {
	t.Helper()
	s := &Server{HTTP: "127.0.0.1:0", MQTT: "127.0.0.1:0", Data: t.TempDir(), binary: Binary(t), extra: extra}
	if err := os.WriteFile(filepath.Join(s.Data, "jwt-secret"), []byte(Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Begin(t)
	t.Cleanup(func() { s.Stop(t) })
	return s
}

// URL is the server's, for the client.
func (s *Server) URL() string { return "http://" + s.HTTP }

// Begin starts it, also again after a Stop or a Kill.
func (s *Server) Begin(t testing.TB) {
	t.Helper()
	s.cmd = exec.Command(s.binary, append([]string{
		"serve", "--dev", "--data", s.Data, "--listen", s.HTTP, "--mqtt-listen", s.MQTT, "--drain-delay", "0s",
		"--rate-send", "0", "--rate-read", "0",
	}, s.extra...)...)
	// Its settings are these flags alone.
	s.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PARLEY_") })
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.exited = make(chan struct{})
	heard := make(chan string, 2)
	go func() {
		defer close(s.exited)
		var seen strings.Builder
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var entry struct{ Msg, Service, Addr string }
			if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "listening" {
				heard <- entry.Service + " " + entry.Addr
			} else if seen.Len() < 1<<16 {
				seen.WriteString(lines.Text() + "\n")
			}
		}
		if err := s.cmd.Wait(); err != nil {
			t.Logf("the server ended: %v\n%s", err, seen.String())
		}
	}()
	for range 2 {
		select {
		case line := <-heard:
			if address, found := strings.CutPrefix(line, "http "); found {
				s.HTTP = address
			} else if address, found := strings.CutPrefix(line, "mqtt "); found {
				s.MQTT = address
			}
		case <-s.exited:
			t.Fatal("the server ended as it started")
		}
	}
}

// Stop ends it as operators do.
func (s *Server) Stop(t testing.TB) { s.end(t, syscall.SIGTERM) }

// Kill ends it as a crash does.
func (s *Server) Kill(t testing.TB) { s.end(t, syscall.SIGKILL) }

func (s *Server) end(t testing.TB, signal syscall.Signal) {
	t.Helper()
	select {
	case <-s.exited:
		return
	default:
	}
	if err := s.cmd.Process.Signal(signal); err != nil {
		t.Errorf("ending the server: %v", err)
	}
	<-s.exited
}

// Token is a token of a user, with the scopes of a user unless others are named.
func Token(t testing.TB, user string, life time.Duration, scopes ...chat.Scope) string {
	t.Helper()
	if scopes == nil {
		scopes = []chat.Scope{chat.ScopeRead, chat.ScopeWrite}
	}
	now := time.Now()
	token, err := auth.Mint([]byte(Secret), auth.Claims{User: chat.UserID(user), Scopes: scopes, Issued: now, Expires: now.Add(life)})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

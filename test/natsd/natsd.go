// Package natsd runs a NATS server for tests. It is a process of its own, built from the
// module in the folder server, so that what it depends on never meets the product's
// dependencies, and so that a test can kill it or have it stand still.
package natsd

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/parleyhq/parley/test/program"
)

// TB is what this package needs of *testing.T.
type TB interface {
	Helper()
	Cleanup(func())
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Server is a server at an address of its own, which stays the same when it is killed and
// started again.
type Server struct{ process *program.Process }

// Start starts a server that ends with the test. The arguments are those of the command in
// the folder server.
func Start(tb TB, args ...string) *Server {
	tb.Helper()
	binary, err := build()
	if err != nil {
		tb.Fatalf("build the NATS server: %v", err)
	}
	process, err := program.Start(binary, args...)
	if err != nil {
		tb.Fatalf("a NATS server for tests: %v", err)
	}
	tb.Cleanup(func() {
		if err := process.Kill(); err != nil {
			tb.Logf("ending the NATS server: %v", err)
		}
	})
	return &Server{process}
}

// Addr is the address, as host:port.
func (s *Server) Addr() string { return s.process.Addr }

// Kill ends the server at once; what it had not passed on is gone.
func (s *Server) Kill(tb TB) {
	tb.Helper()
	if err := s.process.Kill(); err != nil {
		tb.Fatalf("kill the NATS server: %v", err)
	}
}

// Restart starts a killed server again, at the same address.
func (s *Server) Restart(tb TB) {
	tb.Helper()
	if err := s.process.Restart(); err != nil {
		tb.Fatalf("restart the NATS server: %v", err)
	}
}

// Pause makes the server stand still until Resume: connections stay open, and nothing
// comes out of them.
func (s *Server) Pause(tb TB) {
	tb.Helper()
	if err := s.process.Pause(); err != nil {
		tb.Fatalf("pause the NATS server: %v", err)
	}
}

// Resume ends Pause.
func (s *Server) Resume(tb TB) {
	tb.Helper()
	if err := s.process.Resume(); err != nil {
		tb.Fatalf("resume the NATS server: %v", err)
	}
}

// build builds the server once for each test process, into a place that stays, where go
// build finds it up to date the next time.
var build = sync.OnceValues(func() (binary string, err error) {
	source, err := program.Beside("server")
	if err != nil {
		return "", err
	}
	cache, unlock, err := program.Cache("parley-natsd")
	if err != nil {
		return "", err
	}
	defer unlock()
	binary = filepath.Join(cache, "server")
	cmd := exec.Command("go", "build", "-o", binary, ".")
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
})

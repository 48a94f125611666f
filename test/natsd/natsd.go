// Package natsd runs a NATS server for tests. It is a process of its own, built from the
// module in the folder server, so that what it depends on never meets the product's
// dependencies, and so that a test can kill it or have it stand still.
package natsd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience bounds every wait for a server. It is generous because a loaded machine is no
// reason to fail.
const patience = 5 * time.Minute

// TB is what this package needs of *testing.T.
type TB interface {
	Helper()
	Cleanup(func())
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Server is a server at an address of its own, which stays the same when it is killed and
// started again.
type Server struct {
	args []string
	addr string // the first start chooses the port

	cmd    *exec.Cmd
	stdin  io.Closer     // its end is the server's
	exited chan struct{} // closed when the process is gone
}

// Start starts a server that ends with the test. The arguments are those of the command in
// the folder server.
func Start(tb TB, args ...string) *Server {
	tb.Helper()
	s := &Server{args: args, addr: "127.0.0.1:0"}
	if err := s.start(); err != nil {
		tb.Fatalf("a NATS server for tests: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.kill(); err != nil {
			tb.Logf("ending the NATS server: %v", err)
		}
	})
	return s
}

// Addr is the address, as host:port.
func (s *Server) Addr() string { return s.addr }

// Kill ends the server at once; what it had not passed on is gone.
func (s *Server) Kill(tb TB) {
	tb.Helper()
	if err := s.kill(); err != nil {
		tb.Fatalf("kill the NATS server: %v", err)
	}
}

// Restart starts a killed server again, at the same address.
func (s *Server) Restart(tb TB) {
	tb.Helper()
	if err := s.start(); err != nil {
		tb.Fatalf("restart the NATS server: %v", err)
	}
}

// Pause makes the server stand still until Resume: connections stay open, and nothing
// comes out of them.
func (s *Server) Pause(tb TB) {
	tb.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		tb.Fatalf("pause the NATS server: %v", err)
	}
}

// Resume ends Pause.
func (s *Server) Resume(tb TB) {
	tb.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		tb.Fatalf("resume the NATS server: %v", err)
	}
}

// build builds the server once for each test process, into a place that stays, where go
// build finds it up to date the next time.
var build = sync.OnceValues(func() (binary string, err error) {
	_, file, _, found := runtime.Caller(0)
	if !found || !filepath.IsAbs(file) {
		return "", errors.New("where the source of the server is cannot be told in a trimmed build")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "parley-natsd")
	unlock, err := lockDir(cache)
	if err != nil {
		return "", fmt.Errorf("wait for other builds of the server: %w", err)
	}
	defer unlock()
	binary = filepath.Join(cache, "server")
	cmd := exec.Command("go", "build", "-o", binary, ".")
	cmd.Dir = filepath.Join(filepath.Dir(file), "server")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
})

// lockDir makes a directory and waits until no other process holds its lock.
func lockDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		if err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return func() { _ = lock.Close() }, nil
}

// start runs the server and waits until it serves.
func (s *Server) start() error {
	binary, err := build()
	if err != nil {
		return err
	}
	cmd := exec.Command(binary, append([]string{"-listen", s.addr}, s.args...)...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.stdin, s.exited = cmd, stdin, make(chan struct{})
	serving, exited := make(chan string, 1), s.exited
	go func() {
		defer close(exited)
		lines := bufio.NewReader(stdout)
		line, _ := lines.ReadString('\n') // an early end is an empty line
		serving <- strings.TrimSpace(line)
		_, _ = io.Copy(io.Discard, lines)
		_ = cmd.Wait() // how it ended is of no interest: it is killed
	}()
	select {
	case addr := <-serving:
		if addr == "" {
			return errors.Join(errors.New("it ended at its start"), s.kill())
		}
		s.addr = addr
		return nil
	case <-time.After(patience):
		return errors.Join(errors.New("it does not come up"), s.kill())
	}
}

func (s *Server) kill() error {
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.exited:
		_ = s.stdin.Close()
		return nil
	case <-time.After(patience):
		return errors.New("the killed server does not end")
	}
}

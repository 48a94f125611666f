// Package program runs the server programs of the tests: each is built once from a module of
// its own, and runs as a process that a test can kill, start again and have stand still. The
// program writes its address to its standard output once it serves, and ends when its
// standard input does, as with the process that started it.
package program

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
	"syscall"
	"time"
)

// patience bounds every wait for a server. It is generous because a loaded machine is no
// reason to fail.
const patience = 5 * time.Minute

// Cache makes a directory of that name that stays, in the user's cache, and waits until no
// other process is in it: tests of several packages build the same program. The lock is given
// back by unlock, or when this process ends.
func Cache(name string) (dir string, unlock func(), err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir = filepath.Join(cache, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", nil, err
	}
	for {
		if err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("wait for other builds: %w", err), lock.Close())
	}
	return dir, func() { _ = lock.Close() }, nil
}

// Beside is the folder of that name beside the file of the caller.
func Beside(folder string) (dir string, err error) {
	_, file, _, found := runtime.Caller(1)
	if !found || !filepath.IsAbs(file) {
		return "", errors.New("where the source of the server is cannot be told in a trimmed build")
	}
	return filepath.Join(filepath.Dir(file), folder), nil
}

// Process is a running program.
type Process struct {
	Addr string // host:port; it stays the same when the program is started again

	binary string
	args   []string
	cmd    *exec.Cmd
	stdin  io.Closer     // its end is the program's
	exited chan struct{} // closed when the process is gone
}

// Start starts a program, with its arguments behind "-listen" and its address.
func Start(binary string, args ...string) (*Process, error) {
	p := &Process{Addr: "127.0.0.1:0", binary: binary, args: args}
	return p, p.Restart()
}

// Restart runs the program, which does not run, and waits until it serves.
func (p *Process) Restart() error {
	cmd := exec.Command(p.binary, append([]string{"-listen", p.Addr}, p.args...)...)
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
		return fmt.Errorf("start the server: %w", err)
	}
	p.cmd, p.stdin, p.exited = cmd, stdin, make(chan struct{})
	serving, exited := make(chan string, 1), p.exited
	go func() {
		defer close(exited)
		lines := bufio.NewReader(stdout)
		line, _ := lines.ReadString('\n') // an early end is an empty line
		serving <- strings.TrimSpace(line)
		_, _ = io.Copy(io.Discard, lines)
		_ = cmd.Wait() // how it ended is of no interest: it is killed
	}()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case addr := <-serving:
		if addr == "" {
			return errors.Join(errors.New("the server ended at its start"), p.Kill())
		}
		p.Addr = addr
		return nil
	case <-timeout.C:
		return errors.Join(errors.New("the server does not come up"), p.Kill())
	}
}

// Kill ends the process at once and waits until it is gone.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-p.exited:
		_ = p.stdin.Close()
		return nil
	case <-timeout.C:
		return errors.New("the killed server does not end")
	}
}

// Pause has the process stand still until Resume, and waits until it does, where /proc tells:
// its connections stay open, new ones are accepted by the system, and nothing comes back.
func (p *Process) Pause() error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	stat := fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); runtime.Gosched() {
		raw, _ := os.ReadFile(stat)
		_, state, told := strings.Cut(string(raw), ") ") // behind the command's name
		if !told || strings.HasPrefix(state, "T") {
			return nil
		}
	}
	return errors.New("the server does not stop")
}

// Resume ends Pause.
func (p *Process) Resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

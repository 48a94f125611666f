package mongod

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// process is a server process on a directory and a port of its own, which stay
// the same when it is killed and started again.
type process struct {
	dir  string
	addr string // the first start chooses the port

	cmd    *exec.Cmd
	stdin  io.Closer     // its end is the server's
	exited chan struct{} // closed when the process is gone
}

func startProcess() (*process, error) {
	dir, err := os.MkdirTemp("", "parley-mongod-")
	if err != nil {
		return nil, err
	}
	p := &process{dir: dir, addr: "127.0.0.1:0"}
	if err := p.start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return p, nil
}

// start runs the server and waits until it serves.
func (p *process) start() error {
	binary, err := build()
	if err != nil {
		return err
	}
	cmd := exec.Command(binary, "-dir", p.dir, "-listen", p.addr)
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
	serving := make(chan string, 1)
	go func() {
		defer close(p.exited)
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
			return errors.Join(errors.New("the server ended at its start"), p.kill())
		}
		p.addr = addr
		return nil
	case <-timeout.C:
		return errors.Join(errors.New("the server does not come up"), p.kill())
	}
}

// kill ends the process at once and waits until it is gone.
func (p *process) kill() error {
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

func (p *process) remove() error {
	return errors.Join(p.kill(), os.RemoveAll(p.dir))
}

// pause stops the process and waits until it has stopped, where /proc tells.
func (p *process) pause() error {
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

func (p *process) resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

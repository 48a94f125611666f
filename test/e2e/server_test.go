package e2e

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// secret signs the tokens of every server the suite starts.
var secret = []byte("a-secret-that-only-the-e2e-suite-knows-0123456789")

// server is one Parley process with a store and two ports of its own. It can be stopped or
// killed, and started again on the same store and ports.
type server struct {
	dir       string
	store     string // URL
	extra     []string
	http, tcp string // addresses, the same over restarts
	mqtts     string // the address of MQTT over TLS; "" if there is no TLS
	plainHTTP bool   // no TLS on http, whatever mqtts says

	binary string // what it runs; "" for parleyBinary
	clock  string // the file in which its clock is set, with the binary of withClock; "" is the machine's
	pause  string // the file that has it stand still at some point, with the same binary; "": it does not
	gogc   string // how much garbage it lets come together, as Go's GOGC; "" is 100
	cmd    *exec.Cmd
	log    *serverLog
	exited chan struct{} // closed when the process is gone
}

// serverLog keeps what the process wrote on standard error, as it comes.
type serverLog struct {
	mu    sync.Mutex
	lines bytes.Buffer
	http  chan string
	tcp   chan string
	mqtts chan string
	done  chan struct{}
}

func (l *serverLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}

func (l *serverLog) follow(r io.Reader) {
	defer close(l.done)
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadString('\n')
		l.mu.Lock()
		l.lines.WriteString(line)
		l.mu.Unlock()
		l.announce(line)
		if err != nil {
			return
		}
	}
}

func (l *serverLog) announce(line string) {
	var entry struct{ Msg, Service, Addr string }
	if !strings.Contains(line, `"listening"`) { // spares parsing the access log
		return
	}
	if json.Unmarshal([]byte(line), &entry) != nil || entry.Msg != "listening" {
		return
	}
	switch entry.Service {
	case "http":
		l.http <- entry.Addr
	case "mqtt":
		l.tcp <- entry.Addr
	case "mqtts":
		l.mqtts <- entry.Addr
	}
}

// startServer runs a server on an empty store until the test ends, and then checks that it
// exits cleanly.
func startServer(t *testing.T, extra ...string) *server {
	t.Helper()
	return startServerOn(t, newStore(t, t.TempDir()), extra...)
}

// startServerOn is startServer on the store of this URL.
func startServerOn(t *testing.T, store string, extra ...string) *server {
	t.Helper()
	s := &server{dir: t.TempDir(), store: store, extra: extra, http: "127.0.0.1:0", tcp: "127.0.0.1:0"}
	s.begin(t)
	return s
}

// startPlainServer is startServer with plainBinary. It also makes what only has to be there
// in a fifth of the time.
func startPlainServer(t *testing.T, extra ...string) *server {
	t.Helper()
	s := plainServer(t, extra...)
	s.begin(t)
	return s
}

// startWeighedServer is startPlainServer for a test of what the server holds: garbage is collected
// soon, so there is little of it in the heap, however late the collector is on a busy machine.
func startWeighedServer(t *testing.T) *server {
	t.Helper()
	s := plainServer(t)
	s.gogc = "10"
	s.begin(t)
	return s
}

func plainServer(t *testing.T, extra ...string) *server {
	t.Helper()
	binary, err := plainBinary()
	if err != nil {
		t.Fatalf("building the server: %v", err)
	}
	dir := t.TempDir()
	return &server{dir: dir, store: newStore(t, dir), extra: extra, http: "127.0.0.1:0", tcp: "127.0.0.1:0", binary: binary}
}

// begin starts the server for the first time; it runs until the test ends.
func (s *server) begin(t testing.TB) {
	t.Helper()
	if err := os.WriteFile(s.secretFile(), append(secret, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	t.Cleanup(func() {
		if s.running() {
			s.stop(t)
		}
	})
}

// url is the server's URL for the scheme http or ws; with TLS it begins with https or wss.
func (s *server) url(scheme string) string {
	if s.mqtts != "" && !s.plainHTTP {
		scheme += "s"
	}
	return scheme + "://" + s.http
}

func (s *server) secretFile() string { return filepath.Join(s.dir, "secret") }

func (s *server) args() []string {
	args := []string{
		"serve", "--listen", s.http, "--mqtt-listen", s.tcp,
		"--store", s.store, "--jwt-secret-file", s.secretFile(),
	}
	for _, rate := range []string{"rate-send", "rate-system", "rate-read", "rate-strangers"} {
		if !slices.Contains(s.extra, "--"+rate) {
			args = append(args, "--"+rate, "0")
		}
	}
	if !slices.Contains(s.extra, "--drain-delay") {
		args = append(args, "--drain-delay", "10ms")
	}
	return append(args, s.extra...)
}

// start runs the process and waits until it listens. A store that was too slow for the time
// of a start is given another one, as a supervisor would.
func (s *server) start(t testing.TB) {
	t.Helper()
	err := s.tryStart()
	for n := 0; n < 10 && err != nil && strings.Contains(err.Error(), "deadline exceeded"); n++ {
		t.Log(err)
		err = s.tryStart()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// tryStart is start for a process that may exit instead.
func (s *server) tryStart() error {
	s.log = &serverLog{http: make(chan string, 1), tcp: make(chan string, 1), mqtts: make(chan string, 1), done: make(chan struct{})}
	s.exited = make(chan struct{})
	s.cmd = exec.Command(cmp.Or(s.binary, parleyBinary), s.args()...)
	// The race detector would have the process linger for a second.
	s.cmd.Env = append(cleanEnvironment(), "GORACE=atexit_sleep_ms=10", "STEPPED_CLOCK="+s.clock, "PAUSE_POINT="+s.pause, "GOGC="+s.gogc)
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	cmd, log, exited := s.cmd, s.log, s.exited
	go log.follow(stderr)
	go func() {
		<-log.done // Wait closes the pipe, so all of it has to be read first
		_ = cmd.Wait()
		close(exited)
	}()
	http, err := s.awaitAddress(log.http)
	if err != nil {
		return err
	}
	tcp, err := s.awaitAddress(log.tcp)
	if err != nil {
		return err
	}
	// The addresses are written at the first start only: clients may be reading them.
	if http != s.http || tcp != s.tcp {
		s.http, s.tcp = http, tcp
	}
	if slices.Contains(s.extra, "--mqtts-listen") {
		s.mqtts, err = s.awaitAddress(log.mqtts)
	}
	return err
}

func (s *server) awaitAddress(addr <-chan string) (string, error) {
	select {
	case a := <-addr:
		return a, nil
	case <-s.exited:
		return "", fmt.Errorf("the server exited while starting (%v):\n%s", s.cmd.ProcessState, s.log)
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.exited
		return "", fmt.Errorf("the server does not listen:\n%s", s.log)
	}
}

func (s *server) running() bool {
	select {
	case <-s.exited:
		return false
	default:
		return true
	}
}

// terminate asks the process to end, as an operator's supervisor does.
func (s *server) terminate(t testing.TB) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// awaitExit waits until the process has exited, and checks that its code is 0 and that its
// log has no race and no panic.
func (s *server) awaitExit(t testing.TB) {
	t.Helper()
	select {
	case <-s.exited:
	case <-time.After(patience):
		_ = s.cmd.Process.Signal(syscall.SIGQUIT)
		<-s.exited
		t.Errorf("the server did not exit after SIGTERM:\n%s", s.log)
		return
	}
	s.checkLog(t)
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the server exited with code %d after SIGTERM:\n%s", code, s.log)
	}
}

func (s *server) stop(t testing.TB) {
	t.Helper()
	s.terminate(t)
	s.awaitExit(t)
}

// kill is kill -9: the process gets no chance to write anything.
func (s *server) kill(t testing.TB) {
	t.Helper()
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	<-s.exited
	s.checkLog(t)
}

func (s *server) checkLog(t testing.TB) {
	t.Helper()
	log := s.log.String()
	if strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") {
		t.Errorf("the server's log has a race or a panic:\n%s", log)
	}
	if t.Failed() || os.Getenv("PARLEY_E2E_LOG") != "" {
		t.Logf("the server's log:\n%s", tail(log, 100))
	}
}

// tail is the end of a log, without the lines of the access log.
func tail(log string, lines int) string {
	all := slices.DeleteFunc(strings.Split(log, "\n"), func(line string) bool {
		return strings.Contains(line, `"msg":"request"`)
	})
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// cleanEnvironment is the environment without PARLEY_ settings of the machine.
func cleanEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PARLEY_") })
}

// status is the HTTP status of a GET without a token, or 0 if nobody answers.
func (s *server) status(path string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url("http")+path, nil)
	if err != nil {
		return 0
	}
	req.Close = true
	resp, err := bulkClient.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

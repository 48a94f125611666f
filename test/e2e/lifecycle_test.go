package e2e

import (
	"context"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// jsonWriter writes frames on a JSON connection that no well-behaved client would send.
type jsonWriter struct{ conn *websocket.Conn }

func (w jsonWriter) write(t testing.TB, text string) {
	t.Helper()
	if err := w.conn.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// dialJSON is a JSON connection that the test may write to.
func dialJSON(t testing.TB, d *device) (*record, jsonWriter) {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), d.realtimeURL("ws", ""), &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + d.token}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := newRecord()
	go readJSON(conn, r, options{})
	t.Cleanup(func() {
		_ = conn.CloseNow()
		r.checkContract(t)
	})
	return r, jsonWriter{conn}
}

func TestTerminationIsOrderly(t *testing.T) {
	s := startServer(t, "--drain-delay", "1s")
	ann, bob, cid := s.device(t, "ann", "a"), s.device(t, "bob", "b"), s.device(t, "cid", "c")
	group := ann.createGroup(t, "bob", "cid")
	json, mqtt, old := jsonProtocol.live(t, ann, options{}), mqtt5TCP.live(t, bob, options{}), mqtt311WS.live(t, cid, options{})
	if got := s.status("/readyz"); got != http.StatusOK {
		t.Fatalf("/readyz is %d before", got)
	}

	s.terminate(t)
	eventually(t, "/readyz says 503", func() bool { return s.status("/readyz") == http.StatusServiceUnavailable })
	if got := s.status("/healthz"); got != http.StatusOK {
		t.Errorf("/healthz is %d while draining", got)
	}
	// Until the listeners stop, the server still serves.
	mqtt.untilMessage(t, ann.send(t, group.ID, "while draining").ID)

	json.awaitEnd(t, 1012)
	mqtt.awaitEnd(t, 0x8B)
	old.watch(patience, func([]frame) bool { return false })
	if !old.over() {
		t.Error("the MQTT 3.1.1 connection is still there")
	}
	s.awaitExit(t)
}

// A process that is asked to end while many people send stores every message that it accepts.
func TestTerminationUnderLoad(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	group := ann.createGroup(t)
	var accepted []message
	reached, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			m, _, err := ann.post(context.Background(), group.ID, outgoing{Ciphertext: []byte("x")})
			if err != nil {
				return
			}
			if accepted = append(accepted, m); len(accepted) == 50 {
				close(reached)
			}
		}
	}()
	<-reached
	s.stop(t)
	<-done
	s.start(t)
	history := ann.history(t, group.ID)
	if len(history) < len(accepted) {
		t.Fatalf("%d messages were accepted, %d are there", len(accepted), len(history))
	}
	for i, m := range accepted {
		if history[i].ID != m.ID {
			t.Fatalf("message %d is %s, 202 said %s", i, history[i].ID, m.ID)
		}
	}
}

// A start that cannot succeed ends soon, with one clear line and exit code 1.
func TestWrongStarts(t *testing.T) {
	running := startServer(t)
	dir := t.TempDir()
	store := "pebble:" + filepath.Join(dir, "store")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	good := []string{"serve", "--listen", "127.0.0.1:0", "--store", store, "--jwt-secret", string(secret)}
	for what, c := range map[string]struct {
		args []string
		says string // what the line has to name
	}{
		"no key":               {[]string{"serve", "--listen", "127.0.0.1:0", "--store", store}, "jwt-secret"},
		"short secret":         {[]string{"serve", "--listen", "127.0.0.1:0", "--store", store, "--jwt-secret", "short"}, "32"},
		"missing file":         {[]string{"serve", "--listen", "127.0.0.1:0", "--store", store, "--jwt-secret-file", filepath.Join(dir, "nothing")}, "nothing"},
		"unknown flag":         {append(good, "--no-such-flag"), "no-such-flag"},
		"bad duration":         {append(good, "--drain-delay", "soon"), "drain-delay"},
		"unknown store":        {append(good, "--store", "paper:"+dir), "paper"},
		"port taken":           {append(good, "--listen", taken.Addr().String()), "in use"},
		"MQTT port taken":      {append(good, "--mqtt-listen", taken.Addr().String()), "in use"},
		"unknown command":      {[]string{"sreve"}, "sreve"},
		"no store to upgrade":  {[]string{"store", "upgrade", "--store", store}, "the embedded store"},
		"config not there":     {append(good, "--config", filepath.Join(dir, "none.yaml")), "none.yaml"},
		"listen is no address": {append(good, "--listen", "nowhere:at:all"), "nowhere"},
	} {
		t.Run(what, func(t *testing.T) { doesNotStart(t, dir, c.says, c.args...) })
	}
	if !onMongo { // several servers may share a MongoDB
		t.Run("store in use", func(t *testing.T) { doesNotStart(t, dir, "use", append(good, "--store", running.store)...) })
	}
	if got := running.status("/readyz"); got != http.StatusOK {
		t.Errorf("the running server's /readyz is %d after the wrong starts", got)
	}
}

// doesNotStart checks that the program says in one line what is wrong and exits with
// code 1. It returns the line.
func doesNotStart(t *testing.T, dir, says string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, parleyBinary, args...)
	cmd.Env, cmd.Dir = cleanEnvironment(), dir
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("still running after 10 s:\n%s", out)
	}
	if err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("it exited with code %d, want 1:\n%s", cmd.ProcessState.ExitCode(), out)
	}
	line := strings.TrimSpace(string(out))
	if strings.Count(line, "\n") != 0 || !strings.Contains(line, says) {
		t.Errorf("it should say in one line what is wrong (naming %q), it says:\n%s", says, line)
	}
	return line
}

func TestVersionAndToken(t *testing.T) {
	beforeTheStore(t)
	out, err := exec.Command(parleyBinary, "version").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "go1.") {
		t.Errorf("parley version: %v\n%s", err, out)
	}
	s := startServer(t)
	cmd := exec.Command(parleyBinary, "token", "--sub", "ann", "--device", "a", "--jwt-secret-file", s.secretFile())
	cmd.Env = cleanEnvironment()
	out, err = cmd.Output()
	if err != nil {
		t.Fatalf("parley token: %v\n%s", err, out)
	}
	d := &device{srv: s, user: "ann", id: "a", token: strings.TrimSpace(string(out))}
	group := d.createGroup(t)
	d.send(t, group.ID, "with a token from the command line")
	jsonProtocol.live(t, d, options{})
}

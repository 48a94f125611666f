package main

import (
	"bufio"
	"bytes"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parleyhq/parley/client"
	"github.com/parleyhq/parley/test/process"
)

// terminal is a `parley chat` that runs, with what it printed.
type terminal struct {
	in    io.WriteCloser
	lines chan string
	cmd   *exec.Cmd
}

func startChat(t *testing.T, s *process.Server, args ...string) *terminal {
	t.Helper()
	cmd := exec.Command(process.Binary(t), append([]string{"chat", "--url", s.URL(), "--data", s.Data}, args...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &terminal{in: in, lines: make(chan string, 1000), cmd: cmd}
	go func() {
		defer close(c.lines)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			c.lines <- lines.Text()
		}
	}()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its exit code is not what these tests are about
		w.Close()
	}()
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-ended
	})
	return c
}

func (c *terminal) types(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

// shows waits for a line that matches.
func (c *terminal) shows(t *testing.T, pattern string) string {
	t.Helper()
	want := regexp.MustCompile(pattern)
	var seen []string
	for end := time.After(time.Minute); ; {
		select {
		case line, open := <-c.lines:
			if !open {
				t.Fatalf("it ended without %q, after:\n%s", pattern, strings.Join(seen, "\n"))
			}
			seen = append(seen, line)
			if want.MatchString(line) {
				return line
			}
		case <-end:
			t.Fatalf("it did not show %q, but:\n%s", pattern, strings.Join(seen, "\n"))
		}
	}
}

// pipe runs `parley chat` with an input and returns what it printed.
func pipeChat(t *testing.T, s *process.Server, input string, args ...string) (out, errors string, err error) {
	t.Helper()
	cmd := exec.Command(process.Binary(t), append([]string{"chat", "--url", s.URL(), "--data", s.Data}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

func TestTwoPeopleChatInTerminals(t *testing.T) {
	s := process.Start(t)
	for way, mqtt := range map[string]string{"json": "", "mqtt": "mqtt://" + s.MQTT, "ws": "ws"} {
		t.Run(way, func(t *testing.T) {
			ann, bob := "ann-"+way, "bob-"+way
			a := startChat(t, s, "--as", ann, "--to", bob, "--interactive", "--mqtt", mqtt)
			a.shows(t, "thread [0-9a-f-]{36}")
			a.types(t, "hello bob")
			a.shows(t, "[0-9:]+ "+ann+": hello bob")
			b := startChat(t, s, "--as", bob, "--interactive", "--mqtt", mqtt)
			b.shows(t, "1  [0-9a-f-]{36}  "+ann+" +1 unread")
			b.types(t, "/open 1")
			b.shows(t, ann+": hello bob")
			a.shows(t, "delivered to "+bob)
			b.types(t, "hello ann")
			a.shows(t, bob+": hello ann")
			b.shows(t, "read by "+ann)
			a.types(t, "/react 👍")
			b.shows(t, ann+" gives 👍")
			b.types(t, "/receipts")
			b.shows(t, ann+" +READ")
			b.types(t, "/nonsense")
			b.shows(t, "no command /nonsense")
			// What strangers send must not steer the terminal.
			b.types(t, "\x1b]0;owned\x07red\x1b[31m")
			a.shows(t, bob+": �]0;owned�red�\\[31m$")
			for _, c := range []*terminal{a, b} {
				c.types(t, "/quit")
				for range c.lines { // until it has ended
				}
			}
		})
	}
}

// A script whose token is refused ends, and does not wait for another one.
func TestPipedInWithATokenThatHasEnded(t *testing.T) {
	s := process.Start(t)
	out, errors, err := pipeChat(t, s, "hello\n", "--token", process.Token(t, "ann", -time.Hour), "--thread", "01893e0c-0000-7000-8000-000000000000")
	if err == nil || out != "" || !strings.Contains(errors, "unauthenticated") {
		t.Errorf("it printed %q and %q, %v", out, errors, err)
	}
}

func TestScriptsPipeIntoChat(t *testing.T) {
	s := process.Start(t)
	out, errors, err := pipeChat(t, s, "one\n/two\n\nthree\n", "--as", "ann", "--to", "bob")
	if err != nil || !regexp.MustCompile(`^(sent [0-9A-Z]{26}\n){3}$`).MatchString(out) {
		t.Fatalf("it printed %q and %q, %v", out, errors, err)
	}
	if _, errors, err = pipeChat(t, s, "a line\nand another\n", "--as", "ann", "--to", "bob", "--whole"); err != nil {
		t.Fatal(errors)
	}
	out, errors, err = pipeChat(t, s, "", "--as", "bob", "--list")
	if err != nil || !regexp.MustCompile(`^ 1  [0-9a-f-]{36}  ann +4 unread, request\n$`).MatchString(out) {
		t.Errorf("the list is %q, %q, %v", out, errors, err)
	}
	b := startChat(t, s, "--as", "bob", "--to", "ann", "--follow")
	for _, text := range []string{"one", "/two", "three", "a line and another"} {
		b.shows(t, "ann: "+text+"$")
	}
	token := process.Token(t, "carol", time.Hour)
	if out, errors, err = pipeChat(t, s, "in a group\n", "--token", token, "--group", "bob,ann", "--title", "Hiking"); err != nil {
		t.Errorf("%q %q %v", out, errors, err)
	}
	b.shows(t, `\[.*\] carol: in a group`)

	for what, c := range map[string]struct{ input, says string }{
		"too large":      {strings.Repeat("x", 65<<10), "ciphertext_too_large"},
		"thread of none": {"hi", "thread_not_found"},
	} {
		args := []string{"--as", "ann", "--to", "bob"}
		if what != "too large" {
			args = []string{"--as", "ann", "--thread", "01970c2e-3c00-7000-8000-000000000001"}
		}
		if _, errors, err := pipeChat(t, s, c.input, args...); err == nil || !strings.Contains(errors, c.says) {
			t.Errorf("%s: %v, %q", what, err, errors)
		}
	}
}

// Wrong uses of chat end with one line that says what is wrong.
func TestChatRefuses(t *testing.T) {
	for args, says := range map[string]string{
		"--as ann":                      "say where to send",
		"--to bob":                      "set --as",
		"--as ann --token x --to bob":   "not both",
		"--as ann --to bob --thread x":  "set one of",
		"--as ann --to bob --title x":   "new --group",
		"--token x --to bob":            "no token with a subject",
		"--as ann --to b --history 101": "--history",
		"--as ann --to b --data /none":  "no secret in /none",
	} {
		cmd := exec.Command(process.Binary(t), append([]string{"chat"}, strings.Fields(args)...)...)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), says) || strings.Count(string(out), "\n") != 1 {
			t.Errorf("parley chat %s: %v, %q, want one line with %q", args, err, out, says)
		}
	}
}

// All of what is piped in is sent as one message, or none of it.
func TestALargeWholeIsNotCut(t *testing.T) {
	s := process.Start(t, "--max-ciphertext", "390144")
	if _, errors, err := pipeChat(t, s, strings.Repeat("x", 200<<10), "--as", "ann", "--to", "bob", "--whole"); err != nil {
		t.Fatal(errors)
	}
	api := client.NewAPI(s.URL(), "laptop", client.StaticToken(process.Token(t, "bob", time.Hour)), nil)
	threads, err := api.AllThreads(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	page, err := api.Messages(t.Context(), threads[0].ID, client.MessageQuery{})
	if err != nil || len(page.Messages) != 1 {
		t.Fatalf("%d messages, %v", len(page.Messages), err)
	}
	m, err := api.Message(t.Context(), threads[0].ID, page.Messages[0].ID)
	if n := len(m.Ciphertext); err != nil || n != 200<<10 {
		t.Errorf("%d bytes were sent, %v", n, err)
	}
	if _, errors, err := pipeChat(t, s, strings.Repeat("x", 600<<10), "--as", "ann", "--to", "bob", "--whole"); err == nil || !strings.Contains(errors, "512 KiB") {
		t.Errorf("%v, %.100q", err, errors)
	}
}

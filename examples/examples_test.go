// Package examples_test runs every example against the real server. That of the page is run by
// client/js/test/examples.test.ts.
package examples_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/client"
	"github.com/parleyhq/parley/test/process"
)

func TestMain(m *testing.M) {
	code := m.Run()
	process.Remove()
	os.Exit(code)
}

const patience = time.Minute

// program is an example that runs, until the test ends at most.
type program struct {
	in    io.WriteCloser
	lines chan string
	stop  func()
}

func start(t *testing.T, env []string, name string, args ...string) *program {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = 5 * time.Second // a child of it could hold its output
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &program{in: in, lines: make(chan string, 1000)}
	go func() {
		defer close(p.lines)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			p.lines <- lines.Text()
		}
	}()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // that it was ended is no fault
		w.Close()
	}()
	p.stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended; nginx ends its workers
		<-ended
	}
	t.Cleanup(p.stop)
	return p
}

func (p *program) types(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

// shows waits for a line that matches.
func (p *program) shows(t *testing.T, pattern string) []string {
	t.Helper()
	want := regexp.MustCompile(pattern)
	var seen []string
	for end := time.After(patience); ; {
		select {
		case line, open := <-p.lines:
			if !open {
				t.Fatalf("it ended without %q, after:\n%s", pattern, strings.Join(seen, "\n"))
			}
			seen = append(seen, line)
			if match := want.FindStringSubmatch(line); match != nil {
				return match
			}
		case <-end:
			t.Fatalf("it did not show %q, but:\n%s", pattern, strings.Join(seen, "\n"))
		}
	}
}

// build compiles a Go example.
func build(t *testing.T, folder string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), folder)
	if out, err := exec.Command("go", "build", "-o", binary, "./"+folder).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// python is an interpreter that has these modules.
func python(t *testing.T, imports string) string {
	t.Helper()
	for _, candidate := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(candidate, "-c", imports).Run() == nil {
			return candidate
		}
	}
	t.Skipf("no Python here that can %q (Debian: python3-paho-mqtt)", imports)
	return ""
}

func thread(t *testing.T, s *process.Server, user string, others ...string) (*client.API, string) {
	t.Helper()
	api := client.NewAPI(s.URL(), "test", client.StaticToken(process.Token(t, user, time.Hour)), nil)
	made, err := api.CreateThread(t.Context(), client.Group, others, "")
	if err != nil {
		t.Fatal(err)
	}
	return api, made.ID
}

// history is what a thread holds, oldest first.
func history(t *testing.T, api *client.API, id string) (all []string) {
	t.Helper()
	page, err := api.Messages(t.Context(), id, client.MessageQuery{PageSize: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range slices.Backward(page.Messages) {
		all = append(all, m.ContentType+" "+m.SenderID+" "+string(m.Ciphertext))
	}
	return all
}

// awaitDelivered waits until a user has acknowledged the first message that others sent it.
func awaitDelivered(t *testing.T, api *client.API, id, user string) {
	t.Helper()
	for end := time.After(time.Minute); ; {
		th, err := api.Thread(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range th.Participants {
			if p.UserID == user && p.DeliveredUpTo != nil {
				return
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-end:
			t.Fatal("the message was not acknowledged")
		}
	}
}

// The client can be built upon from another module, as examples/README.md says.
func TestAModuleOfOnesOwn(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for from, to := range map[string]string{"phone/main.go": "main.go", "../go.sum": "go.sum"} { // with the sums nothing has to be asked for
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, to), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"mod", "init", "example.com/mine"},
		{"mod", "edit", "-require=github.com/parleyhq/parley@v0.0.0", "-replace=github.com/parleyhq/parley=" + root},
		{"build", "-mod=mod", "-o", "mine", "."},
	} {
		run := exec.CommandContext(t.Context(), "go", args...)
		run.Dir = folder
		if text, err := run.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, text)
		}
	}
}

// Both phones send, receive once, and go on after they were ended in the middle.
func TestPhones(t *testing.T) {
	s := process.Start(t)
	host, port, _ := net.SplitHostPort(s.MQTT)
	for name, command := range map[string]func(t *testing.T, user, token, file, thread string) (string, []string){
		"go": func(t *testing.T, user, token, file, thread string) (string, []string) {
			return build(t, "phone"), []string{s.URL(), "mqtt://" + s.MQTT, user, token, "phone", file, thread}
		},
		"python": func(t *testing.T, user, token, file, thread string) (string, []string) {
			return python(t, "import paho.mqtt.client"), []string{"phone/phone.py", host, port, user, token, "phone", file, thread}
		},
	} {
		t.Run(name, func(t *testing.T) {
			user := "bob-" + name
			api, id := thread(t, s, "ann", user)
			program, args := command(t, user, process.Token(t, user, time.Hour), filepath.Join(t.TempDir(), "phone"), id)
			phone := start(t, nil, program, args...)
			phone.shows(t, "· (online|caught_up)")
			phone.types(t, "hello from a phone")
			say := func(text string) {
				t.Helper()
				sender, err := client.New(client.Options{
					URL: s.URL(), UserID: "ann", DeviceID: "desk", Token: client.StaticToken(process.Token(t, "ann", time.Hour)), SendOnly: true,
				})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := sender.Send(t.Context(), id, client.Draft{Ciphertext: []byte(text)}); err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- sender.Run(ctx) }()
				if err := sender.Flush(ctx); err != nil {
					t.Fatal(err)
				}
				stop()
				<-ended
			}
			say("one")
			phone.shows(t, "ann: one")
			awaitDelivered(t, api, id, user) // what is not acknowledged comes again
			phone.stop()
			say("two")
			phone = start(t, nil, program, args...)
			if seen := phone.shows(t, "ann: (one|two)"); seen[1] != "two" {
				t.Error("what it had came again")
			}
			phone.types(t, "back again")
			eventually(t, func() bool { return len(history(t, api, id)) == 4 })
			want := []string{"text ann one", "text ann two", "text " + user + " back again", "text " + user + " hello from a phone"}
			got := history(t, api, id)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("the thread has %q", got)
			}
		})
	}
}

func TestJobs(t *testing.T) {
	s := process.Start(t)
	token := process.Token(t, "billing", time.Hour, chat.ScopeSystem)
	for name, command := range map[string]func(t *testing.T, thread string) *exec.Cmd{
		"go": func(t *testing.T, thread string) *exec.Cmd {
			return exec.Command(build(t, "job"), "mqtt://"+s.MQTT, "billing", token, thread)
		},
		"python": func(t *testing.T, thread string) *exec.Cmd {
			return exec.Command(python(t, "import urllib.request"), "job/job.py", s.URL(), token, thread)
		},
	} {
		t.Run(name, func(t *testing.T) {
			api, id := thread(t, s, "ann", "bob")
			run := command(t, id)
			run.Stdin = strings.NewReader("the invoice is ready\nit is paid\n")
			if out, err := run.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			want := []string{"system billing the invoice is ready", "system billing it is paid"}
			if got := history(t, api, id); !slices.Equal(got, want) {
				t.Errorf("the thread has %q", got)
			}
			refused := command(t, "01970c2e-3c00-7000-8000-000000000001")
			refused.Stdin = strings.NewReader("to nobody\n")
			if out, err := refused.CombinedOutput(); err == nil || !strings.Contains(string(out), "thread_not_found") {
				t.Errorf("to a thread that is not there: %v\n%s", err, out)
			}
		})
	}
}

// freePort is one that nobody listens on now, for programs that cannot choose one themselves.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// Each token endpoint behind each proxy: a token is given to who is logged in, and with it the
// client talks through the proxy.
func TestTokenEndpointsAndProxies(t *testing.T) {
	s := process.Start(t)
	proxies := map[string]func(file string) []string{
		"caddy": func(file string) []string { return []string{"run", "--adapter", "caddyfile", "--config", file} },
		"nginx": func(file string) []string {
			return []string{"-c", file, "-e", "stderr", "-g", "daemon off; pid " + file + ".pid;"}
		},
	}
	endpoints := map[string]func(t *testing.T) []string{
		"node": func(t *testing.T) []string {
			if _, err := exec.LookPath("node"); err != nil {
				t.Fatalf("this test needs Node.js: %v", err)
			}
			return []string{"node", "token/token.mjs"}
		},
		"go": func(t *testing.T) []string { return []string{build(t, "token")} },
	}
	for proxy, args := range proxies {
		for endpoint, command := range endpoints {
			t.Run(proxy+" "+endpoint, func(t *testing.T) {
				if _, err := exec.LookPath(proxy); err != nil {
					t.Skipf("no %s here", proxy)
				}
				line := command(t)
				tokens := start(t, []string{"PARLEY_JWT_SECRET=" + process.Secret, "PORT=0"}, line[0], line[1:]...)
				port := tokens.shows(t, `listening on (\d+)`)[1]
				address := "127.0.0.1:" + freePort(t)
				throughProxy(t, s, proxy, address, "127.0.0.1:"+port, args)
				url := "http://" + address
				token := tokenOf(t, url, "session-of-alice")
				if refused := tokenOf(t, url, "of nobody"); token == "" || refused != "" {
					t.Fatalf("alice got %q, nobody %q", token, refused)
				}
				talkThrough(t, url, token)
			})
		}
	}
}

// throughProxy runs a proxy with the example's file, but for the addresses.
func throughProxy(t *testing.T, s *process.Server, name, address, tokens string, args func(string) []string) {
	t.Helper()
	source := map[string]string{"caddy": "proxy/Caddyfile", "nginx": "proxy/nginx.conf"}[name]
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer("127.0.0.1:8080", s.HTTP, "127.0.0.1:3000", tokens, "listen 8000", "listen "+address, ":8000 {", "http://"+address+" {").Replace(string(text))
	if name == "caddy" {
		config = "{\n\tadmin off\n\tauto_https off\n}\n" + config
	}
	file := filepath.Join(t.TempDir(), filepath.Base(source))
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	start(t, []string{"XDG_DATA_HOME=" + home, "XDG_CONFIG_HOME=" + home}, name, args(file)...)
	eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// tokenOf asks the endpoint as a browser with this session would.
func tokenOf(t *testing.T, url, session string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/token", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.AddCookie(&http.Cookie{Name: "session", Value: strings.ReplaceAll(session, " ", "-")})
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	token, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

// talkThrough connects and sends by way of a proxy.
func talkThrough(t *testing.T, url, token string) {
	t.Helper()
	taken := make(chan string, 10)
	talker, err := client.New(client.Options{
		URL: url, UserID: "alice", DeviceID: "web", Token: client.StaticToken(token),
		OnEvent: func(_ context.Context, e client.Frame) error { taken <- string(e.Ciphertext); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	ended := make(chan error)
	go func() { ended <- talker.Run(ctx) }()
	if err := talker.AwaitOnline(ctx); err != nil {
		t.Fatal(err)
	}
	made, err := talker.API.CreateThread(ctx, client.OneToOne, []string{"bob"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := talker.Send(ctx, made.ID, client.Draft{Ciphertext: []byte("through a proxy")}); err != nil {
		t.Fatal(err)
	}
	for text := range taken {
		if text == "through a proxy" {
			break
		}
	}
	stop()
	<-ended
}

// eventually polls for what nothing announces.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatal("it never came to be so")
		}
	}
}

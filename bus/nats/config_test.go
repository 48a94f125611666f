package nats

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/natsd"
)

func TestParseURL(t *testing.T) {
	for text, want := range map[string][2]string{
		"nats://one":                                  {"nats://one:4222", ""},
		"nats://one:1,two:2,nats://three":             {"nats://one:1,nats://two:2,nats://three:4222", ""},
		"tls://ann:pass@one, two/":                    {"tls://one:4222,tls://two:4222", "ann:pass"},
		"nats://to%2Fken@one,to%2Fken@[::1]:5":        {"nats://one:4222,nats://[::1]:5", "to%2Fken"},
		"nats://ann:p%40ss@one:1,nats://ann:p%40ss@b": {"nats://one:1,nats://b:4222", "ann:p%40ss"},
	} {
		servers, user, err := parseURL(text)
		if err != nil || servers != want[0] || user.String() != want[1] && (user != nil || want[1] != "") {
			t.Errorf("%s is read as %s, %v, %v", text, servers, user, err)
		}
	}
	for _, text := range []string{
		"", "nats", "nats:", "nats://", "nats://one,", "http://one", "ws://one", "nats://one/path", "nats://one?x=secret", "nats://ann:secret@one:no",
		"nats://ann:secret@one,bob:secret@two", "nats://one,http://two",
	} {
		if _, _, err := parseURL(text); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s is read: %v", text, err)
		}
	}
}

func TestBadConfigurations(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	const url = "nats://localhost"
	for want, cfg := range map[string]Config{
		"bus URL":            {URL: "nats://u:secret@h:x", Prefix: "p"},
		"prefix":             {URL: url, Prefix: "a b"},
		`prefix ""`:          {URL: url},
		"prefix \"a.*\"":     {URL: url, Prefix: "a.*"},
		"credentials":        {URL: url, Prefix: "p", Credentials: file + "x"},
		"NKey":               {URL: url, Prefix: "p", NKey: file},
		"authorities":        {URL: url, Prefix: "p", CA: file + "x"},
		"more than one way ": {URL: "nats://secret@localhost", Prefix: "p", Credentials: file},
	} {
		b, err := Open(cfg)
		if b != nil || err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v, want an error with %q", cfg, err, want)
		}
	}
}

// heardLog keeps what is logged.
type heardLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *heardLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *heardLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Two nodes log in by each way and hear each other; with a wrong secret a bus opens and is
// not connected. No log has a secret.
func TestWaysToLogIn(t *testing.T) {
	dir := t.TempDir()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, _ := key.PublicKey()
	seed, _ := key.Seed()
	other, _ := nkeys.CreateUser()
	otherSeed, _ := other.Seed()
	write := func(name string, content []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	seedFile, otherFile := write("seed", seed), write("other", otherSeed)
	web := httptest.NewTLSServer(nil) // for its certificate
	web.Close()
	pair := web.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert := write("cert", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))
	certKey := write("key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	for name, way := range map[string]struct {
		server      []string
		right, from Config
	}{
		"user":  {[]string{"-user", "ann", "-password", "secret"}, Config{URL: "nats://ann:secret@"}, Config{URL: "nats://ann:wrongsecret@"}},
		"token": {[]string{"-token", "secret"}, Config{URL: "nats://secret@"}, Config{URL: "nats://wrongsecret@"}},
		"TLS":   {[]string{"-token", "secret", "-cert", cert, "-key", certKey}, Config{URL: "tls://secret@", CA: cert}, Config{URL: "tls://wrongsecret@", CA: cert}},
		"nkey":  {[]string{"-nkey", public}, Config{URL: "nats://", NKey: seedFile}, Config{URL: "nats://", NKey: otherFile}},
	} {
		t.Run(name, func(t *testing.T) {
			s := natsd.Start(t, way.server...)
			log := &heardLog{}
			with := func(cfg Config) Config {
				cfg.URL += s.Addr()
				cfg.Prefix, cfg.Log = "p", slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
				return cfg
			}
			a, b := join(t, with(way.right)), join(t, with(way.right))
			defer a.Close()
			defer b.Close()
			heard := make(chan chat.Notice, 1)
			b.Subscribe(handlerFunc(func(n chat.Notice) { heard <- n }))
			a.Publish(chat.Notice{Typing: &chat.Typing{User: "ann"}})
			<-heard

			wrong := with(way.from)
			wrong.Node = chat.NewNodeID()
			refused, err := Open(wrong)
			if err != nil {
				t.Fatal(err)
			}
			defer refused.Close()
			for deadline := time.Now().Add(time.Minute); ; <-time.After(time.Millisecond) {
				err := refused.Ping(t.Context())
				if err == nil || time.Now().After(deadline) {
					t.Fatalf("with a wrong secret: %v", err)
				}
				if strings.Contains(strings.ToLower(err.Error()), "authorization violation") {
					break
				}
			}
			if strings.Contains(log.String(), "secret") || strings.Contains(log.String(), string(seed)) {
				t.Errorf("the log has a secret:\n%s", log)
			}
		})
	}
}

type handlerFunc func(chat.Notice)

func (f handlerFunc) HandleNotice(n chat.Notice) { f(n) }
func (f handlerFunc) HandleLoss()                {}

// Two deployments on one NATS hear nothing of each other.
func TestPrefixesAreApart(t *testing.T) {
	s := natsd.Start(t)
	url := "nats://" + s.Addr()
	a, b, other := join(t, Config{URL: url, Prefix: "one"}), join(t, Config{URL: url, Prefix: "one"}), join(t, Config{URL: url, Prefix: "one.two"})
	defer a.Close()
	defer b.Close()
	defer other.Close()
	heard := make(chan chat.Notice, 10)
	b.Subscribe(handlerFunc(func(n chat.Notice) { heard <- n }))
	other.Publish(chat.Notice{Typing: &chat.Typing{User: "stranger"}})
	if err := other.conn.Load().FlushTimeout(time.Minute); err != nil {
		t.Fatal(err)
	}
	a.Publish(chat.Notice{Typing: &chat.Typing{User: "ann"}})
	if n := <-heard; n.Typing.User != "ann" {
		t.Errorf("heard of %s", n.Typing.User)
	}
}

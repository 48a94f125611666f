package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/rest/demo"
)

const devSecretFile = "jwt-secret"

// devSecret reads the secret that the first `serve --dev` wrote to the data directory dir.
func devSecret(dir string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(dir, devSecretFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no secret in %s: run parley serve --dev first, or set --jwt-secret or --jwt-secret-file", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("read the secret: %w", err)
	}
	return trimNewline(b), nil
}

// makeDevSecret writes a new secret to the data directory dir, if dir has none yet.
func makeDevSecret(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, devSecretFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make the secret: %w", err)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	_, err = fmt.Fprintln(f, base64.RawURLEncoding.EncodeToString(secret))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the secret: %w", err)
	}
	return nil
}

// demoPage gives the routes of the demo page, nil if the server has none. Only with --dev does
// the page get tokens without asking its user.
func (n *node) demoPage() (func(add func(method, path string, handle fiber.Handler)), error) {
	if !n.set.dev && !n.set.demo {
		return nil, nil
	}
	var secret []byte
	if n.set.dev {
		secret = n.secret
	}
	page, err := demo.New(secret, n.now)
	if err != nil {
		return nil, err
	}
	return page.Routes, nil
}

// welcome prints tokens and commands with which a newcomer can try the server.
func welcome(out io.Writer, secret []byte, httpAddr net.Addr, secure bool, mqttAddr net.Addr) error {
	now := time.Now()
	var tokens [2]string
	for i, user := range []chat.UserID{devUserOne, devUserTwo} {
		var err error
		tokens[i], err = auth.Mint(secret, auth.Claims{
			User: user, Scopes: []chat.Scope{chat.ScopeRead, chat.ScopeWrite}, Issued: now, Expires: now.Add(24 * time.Hour),
		})
		if err != nil {
			return err
		}
	}
	s := "" // the s of https and wss
	if secure {
		s = "s"
	}
	if _, err := fmt.Fprintf(out, welcomeText, httpAddr, tokens[0], tokens[1], s); err != nil {
		return err
	}
	if mqttAddr == nil {
		return nil
	}
	host, port, err := net.SplitHostPort(mqttAddr.String())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, welcomeMQTT, host, port)
	return err
}

const welcomeText = `
Parley is ready: REST and realtime on http%[4]s://%[1]s

Open http%[4]s://%[1]s/ in a browser: two people, side by side, in a demo page.

Tokens for two demo users, valid for 24 hours (for others: parley token --sub NAME --device NAME):

export ALICE=%[2]s
export BOB=%[3]s

Make a thread and send a message:

THREAD=$(curl -s http%[4]s://%[1]s/v1/threads -H "Authorization: Bearer $ALICE" -H 'X-Device-Id: laptop' -H 'Content-Type: application/json' \
  -d '{"type":"1_TO_1","participants":["bob"]}' | grep -oE '[0-9a-f-]{36}' | head -1)
curl -s http%[4]s://%[1]s/v1/threads/$THREAD/messages -H "Authorization: Bearer $ALICE" -H 'X-Device-Id: laptop' -H 'Content-Type: application/json' \
  -H "Idempotency-Key: first" -d '{"client_seq":1,"ciphertext":"aGVsbG8="}'

Receive messages as JSON frames:

npx --yes wscat -c ws%[4]s://%[1]s/v1/realtime?device_id=browser -H "Authorization: Bearer $BOB"

`

const welcomeMQTT = `Or receive them with any MQTT client. The token is the password, the client id is the device:

mosquitto_sub -h %[1]s -p %[2]s -V 5 -q 1 -i phone -u bob -P "$BOB" -t 'v1/#'
npx --yes mqtt sub -h %[1]s -p %[2]s -V 5 -q 1 -i tablet -u bob -P "$BOB" -t 'v1/#'

`

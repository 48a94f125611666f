package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/peterbourgon/ff/v3"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/client"
	"github.com/parleyhq/parley/client/mqtt"
	"github.com/parleyhq/parley/contracts"
)

const chatUsage = `parley chat reads and writes messages in the terminal. It encrypts nothing.

	parley chat --as alice                     the threads of alice, and what comes
	parley chat --as alice --to bob            talk with bob
	parley chat --as alice --group bob,carol --title Hiking
	echo hi | parley chat --as alice --to bob  send a line and end; exit code 1 if it was refused
	parley chat --as bob --list                print the threads and end
	parley chat --as bob --to alice --follow </dev/null   print what comes until it is interrupted

While it talks, a line is a message, and these are commands: /list, /open N or USER, /history [N],
/receipts, /react EMOJI, /help, /quit. In what is piped in, each line is a message whatever it
begins with, or with --whole all of it is one.

It logs in with --token, or as anybody with the server's secret, which is looked for in --data
as serve --dev leaves it.

`

// chatSettings are the flags of `parley chat`.
type chatSettings struct {
	keys                          keySettings
	url, as, token, data, device  string
	to, thread, group, title      string
	mqtt, state                   string
	list, follow, whole, terminal bool
	history                       int
}

func (s *chatSettings) register(fs *flag.FlagSet) {
	fs.StringVar(&s.url, "url", "http://127.0.0.1:8080", "`URL` of the server")
	fs.StringVar(&s.as, "as", "", "`user` to be, with the server's secret")
	fs.StringVar(&s.token, "token", "", "`token` to log in with, instead of --as")
	fs.StringVar(&s.data, "data", "./data", "`directory` in which serve --dev keeps its secret")
	fs.StringVar(&s.device, "device", "", "`device` id to be (default terminal, script for what is piped in)")
	fs.StringVar(&s.to, "to", "", "`user` to talk with, in the 1:1 of both, which is made if there is none")
	fs.StringVar(&s.thread, "thread", "", "`id` of the thread to talk in")
	fs.StringVar(&s.group, "group", "", "`users`, separated by commas, to make a new group with")
	fs.StringVar(&s.title, "title", "", "`name` of the new group")
	fs.StringVar(&s.mqtt, "mqtt", "", "speak MQTT 5 with this `address` (mqtt://host:1883), or with ws over the --url, rather than JSON")
	fs.StringVar(&s.state, "state", "", "`file` that keeps what was not sent yet for the next time")
	fs.BoolVar(&s.list, "list", false, "print the threads and end")
	fs.BoolVar(&s.follow, "follow", false, "go on printing what comes after the end of the input")
	fs.BoolVar(&s.whole, "whole", false, "send all of what is piped in as one message")
	fs.BoolVar(&s.terminal, "interactive", false, "take the input as that of a terminal, with commands")
	fs.IntVar(&s.history, "history", 20, "`number` of messages to show from before, 100 at most")
	s.keys.register(fs)
	usage := fs.Usage
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), chatUsage)
		if usage != nil {
			usage()
			return
		}
		fs.PrintDefaults()
	}
}

// chatCommand is `parley chat`.
func chatCommand(ctx context.Context, args []string, stdin *os.File, stdout, stderr io.Writer) error {
	var s chatSettings
	fs := newFlagSet("parley chat")
	s.register(fs)
	// The file of --config may be that of serve, with other flags in it.
	if err := parse(fs, args, stdout, ff.WithIgnoreUndefined(true)); err != nil {
		return err
	}
	s.terminal = s.terminal || isTerminal(stdin)
	if err := s.check(); err != nil {
		return err
	}
	user, provider, err := s.login()
	if err != nil {
		return err
	}
	if s.device == "" {
		s.device = "script"
		if s.terminal || s.follow {
			s.device = "terminal"
		}
	}
	options := client.Options{URL: s.url, UserID: user, DeviceID: s.device, Token: provider}
	switch {
	case s.mqtt == "ws":
		options.Transport = mqtt.Transport{}
	case s.mqtt != "":
		options.Transport = mqtt.Transport{Address: s.mqtt}
	}
	if s.state != "" {
		store, err := client.OpenFileStore(s.state)
		if err != nil {
			return err
		}
		defer store.Close()
		options.Store = store
	}
	c := &conversation{out: stdout, notes: stderr, user: user, history: s.history, shown: make(map[string]uint64)}
	switch {
	case s.list:
		c.api = client.NewAPI(s.url, s.device, provider, nil)
		return c.list(ctx)
	case s.terminal || s.follow:
		return c.talk(ctx, s, options, stdin)
	default:
		return c.pipe(ctx, s, options, stdin)
	}
}

func (s *chatSettings) check() error {
	named := slices.DeleteFunc([]string{s.to, s.thread, s.group}, func(target string) bool { return target == "" })
	switch {
	case len(named) > 1:
		return errors.New("set one of --to, --thread and --group")
	case s.title != "" && s.group == "":
		return errors.New("--title is for a new --group")
	case s.history < 0 || s.history > 100:
		return errors.New("--history must be 0 to 100")
	case !s.list && !s.terminal && !s.follow && len(named) == 0:
		return errors.New("set --to, --thread or --group to say where to send what is piped in")
	case s.whole && (s.terminal || s.follow):
		return errors.New("--whole is for what is piped in")
	case (s.as == "") == (s.token == ""):
		return errors.New("set --as to say who to be, or --token, and not both")
	}
	return nil
}

// chatTokenLife is the life of a token that is made for --as. The client asks for the next one.
const chatTokenLife = 15 * time.Minute

// login says who the user is, and gives the user's tokens.
func (s *chatSettings) login() (string, client.TokenProvider, error) {
	if s.token != "" {
		user, err := subjectOf(s.token)
		return user, client.StaticToken(s.token), err
	}
	secret, err := s.keys.readSecret(s.data)
	if err != nil {
		return "", nil, err
	}
	return s.as, func(context.Context) (string, error) {
		now := time.Now()
		return auth.Mint(secret, auth.Claims{
			User: chat.UserID(s.as), Scopes: []chat.Scope{chat.ScopeRead, chat.ScopeWrite},
			Issuer: s.keys.issuer, Audience: s.keys.audience, Issued: now, Expires: now.Add(chatTokenLife),
		})
	}, nil
}

// subjectOf reads whose token it is. The server checks it.
func subjectOf(token string) (string, error) {
	parts := strings.Split(token, ".")
	var claims struct {
		Subject string `json:"sub"`
	}
	if len(parts) == 3 {
		if text, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			_ = json.Unmarshal(text, &claims) // what cannot be read has no subject
		}
	}
	if claims.Subject == "" {
		return "", errors.New("--token is no token with a subject")
	}
	return claims.Subject, nil
}

// open finds or makes the thread that the flags name; "" if they name none.
func (s *chatSettings) open(ctx context.Context, api *client.API) (string, error) {
	switch {
	case s.to != "":
		thread, err := api.CreateThread(ctx, client.OneToOne, []string{s.to}, "")
		return thread.ID, err
	case s.group != "":
		thread, err := api.CreateThread(ctx, client.Group, strings.FieldsFunc(s.group, func(r rune) bool { return r == ',' || r == ' ' }), s.title)
		return thread.ID, err
	default:
		return s.thread, nil
	}
}

// pipe sends what is piped in and ends when the server has it.
func (c *conversation) pipe(ctx context.Context, s chatSettings, options client.Options, stdin io.Reader) error {
	var refused error
	options.SendOnly = true
	options.OnEvent = func(_ context.Context, event client.Frame) error {
		_, err := fmt.Fprintln(c.out, "sent", event.ID)
		return err
	}
	options.OnPoisoned = func(_ context.Context, item client.Outgoing) {
		refused = errors.Join(refused, fmt.Errorf("%q was refused: %s (%s)", item.Body.Ciphertext, item.Problem.Detail, item.Problem.Code))
	}
	ctx, stop := context.WithCancelCause(ctx)
	options.OnError = func(err error) {
		if client.IsCode(err, string(contracts.CodeUnauthenticated)) { // nothing here gets another token
			stop(err)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.note("%v; trying again", err)
	}
	sender, err := client.New(options)
	if err != nil {
		return err
	}
	thread, err := s.open(ctx, sender.API)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = sender.Run(ctx) // it ends with ctx
	}()
	err = eachMessage(stdin, s.whole, func(text string) error {
		_, err := sender.Send(ctx, thread, client.Draft{Ciphertext: []byte(text)})
		return err
	})
	if err == nil {
		err = sender.Flush(ctx)
	}
	stop(nil)
	<-ended
	return errors.Join(err, refused)
}

// inputLimit is more than any message may have; the server says what is too much.
const inputLimit = 512 << 10

// eachMessage reads messages: each line that is not empty, or the whole.
func eachMessage(in io.Reader, whole bool, send func(string) error) error {
	if whole {
		text, err := io.ReadAll(io.LimitReader(in, inputLimit+1))
		switch {
		case err != nil || len(text) == 0:
			return err
		case len(text) > inputLimit:
			return fmt.Errorf("what is piped in has over %d KiB", inputLimit>>10)
		}
		return send(string(text))
	}
	lines := bufio.NewScanner(in)
	for lines.Buffer(nil, inputLimit); lines.Scan(); {
		if text := strings.TrimRight(lines.Text(), "\r"); text != "" {
			if err := send(text); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/parleyhq/parley/client"
	"github.com/parleyhq/parley/contracts"
)

// conversation is what a terminal shows: one thread in full, and a line for what comes in
// others.
type conversation struct {
	out, notes io.Writer
	user       string
	history    int
	api        *client.API

	mu     sync.Mutex // of what is written, too
	thread string     // the open one; "" for none
	listed []string   // thread ids, as /list numbered them
	names  map[string]string
	shown  map[string]uint64 // by thread, the newest seq that was shown
	newest string            // the last message of the open thread
	own    string            // one's own last one
}

// plain makes text of strangers safe for a terminal, which obeys control characters.
func plain(text []byte) string {
	if !utf8.Valid(text) {
		return fmt.Sprintf("(%d bytes that are no text)", len(text))
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) && r != '\u200d':
			return '�'
		}
		return r
	}, strings.TrimRight(string(text), "\r\n"))
}

func (c *conversation) printf(format string, args ...any) {
	fmt.Fprintf(c.out, format+"\n", args...)
}

// note tells something about the connection, apart from what is said.
func (c *conversation) note(format string, args ...any) {
	fmt.Fprintf(c.notes, "· "+format+"\n", args...)
}

// name is what a thread is called: its title, or who else is in it.
func (c *conversation) name(ctx context.Context, t contracts.Thread) string {
	if t.Title != nil {
		return plain([]byte(*t.Title))
	}
	full, err := c.api.Thread(ctx, t.ID)
	if err != nil {
		return t.ID
	}
	var others []string
	for _, p := range full.Participants {
		if p.UserID != c.user {
			others = append(others, p.UserID)
		}
	}
	if len(others) == 0 {
		return "(only you)"
	}
	return strings.Join(others, ", ")
}

// list prints the threads, numbered, latest activity first.
func (c *conversation) list(ctx context.Context) error {
	threads, err := c.api.AllThreads(ctx, "")
	if err != nil {
		return err
	}
	names := make(map[string]string)
	for _, t := range threads {
		names[t.ID] = c.name(ctx, t)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listed, c.names = nil, names
	for i, t := range threads {
		c.listed = append(c.listed, t.ID)
		var marks []string
		switch {
		case t.UnreadCount > 99:
			marks = append(marks, "99+ unread")
		case t.UnreadCount > 0:
			marks = append(marks, strconv.Itoa(t.UnreadCount)+" unread")
		}
		if !t.Me.Accepted {
			marks = append(marks, "request")
		}
		if t.Me.Archived {
			marks = append(marks, "archived")
		}
		c.printf("%2d  %s  %-24s %s", i+1, t.ID, names[t.ID], strings.Join(marks, ", "))
	}
	if len(threads) == 0 {
		c.note("no threads yet: parley chat --to USER begins one")
	}
	return nil
}

// enter opens a thread and shows its newest messages.
func (c *conversation) enter(ctx context.Context, id string) error {
	t, err := c.api.Thread(ctx, id)
	if err != nil {
		return err
	}
	name := c.name(ctx, t)
	var messages []contracts.Message
	if c.history > 0 {
		page, err := c.api.Messages(ctx, id, client.MessageQuery{PageSize: c.history})
		if err != nil {
			return err
		}
		messages = page.Messages
		slices.Reverse(messages)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.thread, c.newest, c.own = id, "", ""
	c.note("%s, thread %s", name, id)
	for _, m := range messages {
		c.shown[id] = max(c.shown[id], m.Seq)
		text := plain(m.Ciphertext)
		if m.Deleted {
			text = "(deleted)"
		}
		c.line(m.CreatedAt, m.SenderID, text)
		c.newest = m.ID
		if m.SenderID == c.user {
			c.own = m.ID
		}
	}
	return nil
}

// line prints one message. The caller has the lock.
func (c *conversation) line(at, sender, text string) {
	clock := at
	if when, err := time.Parse(time.RFC3339, at); err == nil {
		clock = when.Local().Format("15:04")
	}
	c.printf("%s %s: %s", clock, sender, text)
}

// event shows an event of a thread.
func (c *conversation) event(ctx context.Context, f client.Frame) error {
	c.mu.Lock()
	read := c.show(f)
	c.mu.Unlock()
	if !read {
		return nil
	}
	// Best done, and no reason to hold anything up: the next one says it again.
	if err := c.api.MarkRead(ctx, f.ThreadID, f.ID); err != nil && ctx.Err() == nil {
		c.mu.Lock()
		c.note("not marked as read: %v", err)
		c.mu.Unlock()
	}
	return nil
}

// show prints an event, and reports whether its message has been read by that. The caller has
// the lock.
func (c *conversation) show(f client.Frame) (read bool) {
	if f.Seq <= c.shown[f.ThreadID] {
		return false
	}
	c.shown[f.ThreadID] = f.Seq
	if f.ThreadID != c.thread {
		if f.Type == client.EventMessage && f.SenderID != c.user && f.ContentType != "control" {
			name := c.names[f.ThreadID]
			if name == "" {
				name = f.ThreadID
			}
			c.printf("[%s] %s: %s", name, f.SenderID, plain(f.Ciphertext))
		}
		return false
	}
	switch f.Type {
	case client.EventMessage:
		if f.ContentType == "control" {
			return false
		}
		c.line(f.CreatedAt.Format(time.RFC3339), f.SenderID, plain(f.Ciphertext))
		c.newest = f.ID
		if f.SenderID == c.user {
			c.own = f.ID
			return false
		}
		return true
	case client.EventEdit:
		c.line(f.EditedAt.Format(time.RFC3339), f.SenderID, plain(f.Ciphertext)+" (edited)")
	case client.EventDelete:
		c.note("a message was deleted")
	case client.EventReaction:
		verb := map[string]string{"add": "gives", "remove": "takes back"}[f.Op]
		c.note("%s %s %s", f.By, verb, plain([]byte(f.Emoji)))
	case client.EventThread:
		c.note("%s: %s %s", f.By, strings.ReplaceAll(f.Event, "_", " "), f.UserID)
	}
	return false
}

// frame shows receipts and typing in the open thread.
func (c *conversation) frame(_ context.Context, f client.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.ThreadID != c.thread || c.thread == "" || f.By == c.user {
		return
	}
	switch f.Type {
	case contracts.FrameDelivered:
		c.note("delivered to %s", f.By)
	case contracts.FrameRead:
		c.note("read by %s", f.By)
	case contracts.FrameFailed:
		c.note("a message did not reach %s (%s)", f.By, f.Reason)
	case contracts.FrameTyping:
		c.note("%s is writing", f.UserID)
	}
}

// talk connects, shows what comes and sends what is typed.
func (c *conversation) talk(ctx context.Context, s chatSettings, options client.Options, stdin io.Reader) error {
	options.OnEvent, options.OnFrame = c.event, c.frame
	options.OnState = func(state client.ConnState) {
		if state == client.Waiting {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.note("the connection is gone; what you write is sent when it is back")
		}
	}
	options.OnPoisoned = func(_ context.Context, item client.Outgoing) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.note("not sent: %q: %s (%s)", item.Body.Ciphertext, item.Problem.Detail, item.Problem.Code)
	}
	talker, err := client.New(options)
	if err != nil {
		return err
	}
	c.api = talker.API
	id, err := s.open(ctx, talker.API)
	if err != nil {
		return err
	}
	if id == "" {
		err = c.list(ctx)
	} else {
		err = c.enter(ctx, id)
	}
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- talker.Run(running) }()
	typed := make(chan error, 1)
	go func() { typed <- c.read(running, talker, s, stdin) }()
	select {
	case err = <-ended: // it has ended for good; what reads the input ends with the process
		stop()
		return unlessOver(ctx, err)
	case err = <-typed:
	}
	if err == nil && s.follow {
		err = <-ended
		stop()
		return unlessOver(ctx, err)
	}
	if err == nil {
		err = talker.Flush(running)
	}
	stop()
	if final := <-ended; err == nil && !errors.Is(final, context.Canceled) {
		err = final
	}
	return unlessOver(ctx, err)
}

// unlessOver is err, or nil if somebody has interrupted the command.
func unlessOver(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// errQuit ends the reading of the input.
var errQuit = errors.New("quit")

func (c *conversation) read(ctx context.Context, talker *client.Client, s chatSettings, stdin io.Reader) error {
	lines := bufio.NewScanner(stdin)
	for lines.Buffer(nil, inputLimit); lines.Scan(); {
		text := strings.TrimRight(lines.Text(), "\r")
		if text == "" {
			continue
		}
		var err error
		if s.terminal && strings.HasPrefix(text, "/") {
			err = c.command(ctx, text)
		} else {
			err = c.say(ctx, talker, text)
		}
		switch {
		case errors.Is(err, errQuit):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			c.mu.Lock()
			c.note("%v", err)
			c.mu.Unlock()
		}
	}
	return lines.Err()
}

func (c *conversation) say(ctx context.Context, talker *client.Client, text string) error {
	c.mu.Lock()
	thread := c.thread
	c.mu.Unlock()
	if thread == "" {
		return errors.New("no thread is open: /open N or /open USER opens one")
	}
	_, err := talker.Send(ctx, thread, client.Draft{Ciphertext: []byte(text)})
	return err
}

func (c *conversation) command(ctx context.Context, text string) error {
	name, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	c.mu.Lock()
	thread, newest, own := c.thread, c.newest, c.own
	c.mu.Unlock()
	switch name {
	case "/quit", "/q":
		return errQuit
	case "/list":
		return c.list(ctx)
	case "/open":
		return c.openNamed(ctx, rest)
	case "/history":
		if n, err := strconv.Atoi(rest); err == nil && n > 0 && n <= 100 {
			c.history = n
		}
		if thread == "" {
			return errors.New("no thread is open")
		}
		return c.enter(ctx, thread)
	case "/receipts":
		return c.receipts(ctx, own)
	case "/react":
		if newest == "" || rest == "" {
			return errors.New("/react EMOJI is for the last message")
		}
		_, err := c.api.React(ctx, newest, rest)
		return err
	case "/help":
		c.mu.Lock()
		defer c.mu.Unlock()
		c.note("/list, /open N or USER, /history [N], /receipts, /react EMOJI, /quit; another line is a message")
		return nil
	default:
		return fmt.Errorf("there is no command %s: see /help", name)
	}
}

// openNamed opens the thread with that number of the list, or that id, or the 1:1 with a user.
func (c *conversation) openNamed(ctx context.Context, name string) error {
	if name == "" {
		return errors.New("/open N or /open USER")
	}
	c.mu.Lock()
	listed := c.listed
	c.mu.Unlock()
	if n, err := strconv.Atoi(name); err == nil && n >= 1 && n <= len(listed) {
		return c.enter(ctx, listed[n-1])
	}
	if slices.Contains(listed, name) {
		return c.enter(ctx, name)
	}
	thread, err := c.api.CreateThread(ctx, client.OneToOne, []string{name}, "")
	if err != nil {
		return err
	}
	return c.enter(ctx, thread.ID)
}

// receipts shows who has one's own last message.
func (c *conversation) receipts(ctx context.Context, id string) error {
	if id == "" {
		return errors.New("there is no message of yours here")
	}
	r, err := c.api.Receipts(ctx, id)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, state := range r.States {
		at := ""
		switch {
		case state.ReadAt != nil:
			at = *state.ReadAt
		case state.DeliveredAt != nil:
			at = *state.DeliveredAt
		}
		c.printf("%-16s %-9s %s", state.RecipientID, state.State, at)
	}
	return nil
}

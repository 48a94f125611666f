package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/client"
	"github.com/parleyhq/parley/client/mqtt"
	"github.com/parleyhq/parley/contracts"
	"github.com/parleyhq/parley/test/process"
)

func TestMain(m *testing.M) {
	code := m.Run()
	process.Remove()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// patience bounds every wait; a test that passes does not wait that long.
const patience = 60 * time.Second

// log is what one user was given, in order.
type record struct {
	mu      sync.Mutex
	events  []client.Frame
	frames  []client.Frame
	changed chan struct{}
	fail    func(client.Frame) error // nil: it takes everything
}

func newRecord() *record { return &record{changed: make(chan struct{})} }

func (l *record) event(_ context.Context, f client.Frame) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		if err := l.fail(f); err != nil {
			return err
		}
	}
	l.events = append(l.events, f)
	l.tell()
	return nil
}

func (l *record) frame(_ context.Context, f client.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frames = append(l.frames, f)
	l.tell()
}

func (l *record) tell() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// await waits until what was given holds.
func (l *record) await(t testing.TB, what string, holds func(events, frames []client.Frame) bool) {
	t.Helper()
	for end := time.After(patience); ; {
		l.mu.Lock()
		held, changed := holds(l.events, l.frames), l.changed
		l.mu.Unlock()
		if held {
			return
		}
		select {
		case <-changed:
		case <-end:
			l.mu.Lock()
			defer l.mu.Unlock()
			t.Fatalf("not seen: %s; %d events, the last %s", what, len(l.events), last(l.events))
		}
	}
}

func last(events []client.Frame) string {
	if len(events) == 0 {
		return "none"
	}
	return string(events[len(events)-1].Raw)
}

// texts are the messages of a thread.
func texts(events []client.Frame, thread string) (all []string) {
	for _, e := range events {
		if e.Type == client.EventMessage && e.ThreadID == thread {
			all = append(all, string(e.Ciphertext))
		}
	}
	return all
}

// person is a client with what it was given.
type person struct {
	*client.Client
	*record
	stop func()
	done chan error
}

// transports are tried by every test that is about a connection.
func transports(s *process.Server) map[string]client.Transport {
	return map[string]client.Transport{
		"json": client.JSON{}, "mqtt": mqtt.Transport{Address: "mqtt://" + s.MQTT}, "mqttws": mqtt.Transport{},
	}
}

func join(t testing.TB, s *process.Server, user string, transport client.Transport, change ...func(*client.Options)) *person {
	t.Helper()
	p := &person{record: newRecord(), done: make(chan error, 1)}
	options := client.Options{
		URL: s.URL(), UserID: user, DeviceID: "laptop", Transport: transport, FromStart: true,
		Token:   func(context.Context) (string, error) { return process.Token(t, user, time.Hour), nil },
		OnEvent: p.event, OnFrame: p.frame,
		OnError: func(err error) { t.Logf("%s: %v", user, err) },
	}
	for _, c := range change {
		c(&options)
	}
	var err error
	if p.Client, err = client.New(options); err != nil {
		t.Fatal(err)
	}
	p.run(t)
	return p
}

// run connects and waits until the client is caught up.
func (p *person) run(t testing.TB) {
	t.Helper()
	p.start(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.AwaitOnline(ctx); err != nil {
		t.Fatal("not online:", err)
	}
}

func (p *person) start(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.done <- p.Run(ctx)
	}()
	p.stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(p.stop)
}

func (p *person) say(t testing.TB, thread, text string) client.Outgoing {
	t.Helper()
	item, err := p.Send(t.Context(), thread, client.Draft{Ciphertext: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return item
}

func (p *person) flush(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Flush(ctx); err != nil {
		t.Fatalf("%v: still to send: %+v", err, p.Outgoing())
	}
}

func (p *person) create(t testing.TB, kind string, others ...string) string {
	t.Helper()
	thread, err := p.API.CreateThread(t.Context(), kind, others, "")
	if err != nil {
		t.Fatal(err)
	}
	return thread.ID
}

func TestTwoPeopleTalk(t *testing.T) {
	s := process.Start(t)
	for name, transport := range transports(s) {
		t.Run(name, func(t *testing.T) {
			bobID := "bob-" + name
			ann, bob := join(t, s, "ann-"+name, transport), join(t, s, bobID, transport)
			thread := ann.create(t, client.OneToOne, bobID)
			for i := range 20 {
				ann.say(t, thread, fmt.Sprint("ann ", i))
				bob.say(t, thread, fmt.Sprint("bob ", i))
			}
			ann.flush(t)
			bob.flush(t)
			for _, p := range []*person{ann, bob} {
				p.await(t, "40 messages", func(events, _ []client.Frame) bool { return len(texts(events, thread)) >= 40 })
				inOrder(t, p.events)
				for _, who := range []string{"ann", "bob"} {
					var own []string
					for _, text := range texts(p.events, thread) {
						if text[:3] == who {
							own = append(own, text)
						}
					}
					for i, text := range own {
						if text != fmt.Sprint(who, " ", i) {
							t.Errorf("message %d of %s is %q", i, who, text)
						}
					}
				}
			}
			if !slices.Equal(texts(ann.events, thread), texts(bob.events, thread)) {
				t.Error("the two have other logs")
			}
			ann.await(t, "delivery", func(_, frames []client.Frame) bool {
				return slices.ContainsFunc(frames, func(f client.Frame) bool { return f.Type == contracts.FrameDelivered && f.By == bobID })
			})
			if err := bob.Typing(t.Context(), thread); err != nil {
				t.Error(err)
			}
			if err := bob.Signal(t.Context(), thread, "hello", []byte{1}); err != nil {
				t.Error(err)
			}
			ann.await(t, "typing and a signal", func(_, frames []client.Frame) bool {
				return slices.ContainsFunc(frames, func(f client.Frame) bool { return f.Type == contracts.FrameTyping }) &&
					slices.ContainsFunc(frames, func(f client.Frame) bool {
						return f.Type == contracts.FrameSignal && f.Name == "hello" && bytes.Equal(f.Data, []byte{1})
					})
			})
			// A change of one's own is told to its owner as well, once it is asked for.
			first := ann.events[slices.IndexFunc(ann.events, func(f client.Frame) bool { return f.Type == client.EventMessage })].ID
			if _, err := bob.API.React(t.Context(), first, "👍"); err != nil {
				t.Fatal(err)
			}
			bob.Sync(thread)
			for _, p := range []*person{ann, bob} {
				p.await(t, "the reaction", func(events, _ []client.Frame) bool {
					e := events[len(events)-1]
					return e.Type == client.EventReaction && e.ID == first && e.Emoji == "👍" && e.Op == "add"
				})
			}
		})
	}
}

// inOrder checks that no event came twice, and each thread's in order from its first to its last.
func inOrder(t testing.TB, events []client.Frame) {
	t.Helper()
	at := make(map[string]uint64)
	for _, e := range events {
		if e.Seq != at[e.ThreadID]+1 {
			t.Errorf("event %d of thread %s came after %d", e.Seq, e.ThreadID, at[e.ThreadID])
		}
		at[e.ThreadID] = e.Seq
	}
}

// What an owner does not take is not acknowledged, and comes again.
func TestAnEventThatIsNotTakenComesAgain(t *testing.T) {
	s := process.Start(t)
	for name, transport := range transports(s) {
		t.Run(name, func(t *testing.T) {
			user := "bob-" + name
			ann := join(t, s, "ann-"+name, client.JSON{})
			refused := 0
			bob := join(t, s, user, transport)
			bob.mu.Lock()
			bob.fail = func(f client.Frame) error {
				if string(f.Ciphertext) == "two" && refused < 2 {
					refused++
					return errors.New("the disk is full")
				}
				return nil
			}
			bob.mu.Unlock()
			thread := ann.create(t, client.OneToOne, user)
			for _, text := range []string{"one", "two", "three"} {
				ann.say(t, thread, text)
			}
			bob.await(t, "three messages", func(events, _ []client.Frame) bool { return len(texts(events, thread)) == 3 })
			inOrder(t, bob.events)
			if refused != 2 {
				t.Errorf("it was offered %d times before it was taken", refused)
			}
		})
	}
}

// The position and the outbox survive the process, and what happened meanwhile comes once.
func TestAFileStoreGoesOn(t *testing.T) {
	s := process.Start(t)
	path := filepath.Join(t.TempDir(), "bob.jsonl")
	withStore := func(o *client.Options) {
		store, err := client.OpenFileStore(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		o.Store = store
	}
	ann := join(t, s, "ann", client.JSON{})
	bob := join(t, s, "bob", client.JSON{}, withStore)
	thread := ann.create(t, client.OneToOne, "bob")
	ann.say(t, thread, "before")
	bob.await(t, "the first", func(events, _ []client.Frame) bool { return len(texts(events, thread)) == 1 })
	bob.stop()
	unsent := bob.say(t, thread, "written offline")
	ann.say(t, thread, "meanwhile")
	ann.flush(t)

	again := join(t, s, "bob", client.JSON{}, withStore)
	again.flush(t)
	again.await(t, "both", func(events, _ []client.Frame) bool { return len(texts(events, thread)) == 2 })
	if got := texts(again.events, thread); !slices.Equal(got, []string{"meanwhile", "written offline"}) {
		t.Errorf("it was given %q", got)
	}
	for _, e := range again.events {
		if string(e.Ciphertext) == "written offline" && e.ClientSeq != unsent.Body.ClientSeq {
			t.Errorf("it was sent with client_seq %d, kept was %d", e.ClientSeq, unsent.Body.ClientSeq)
		}
	}
}

// What was left in a store is there for a client that was not run yet.
func TestTheOutboxOfAClientThatHasNotRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ann.jsonl")
	with := func(work func(*client.Client)) {
		store, err := client.OpenFileStore(path)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		ann, err := client.New(client.Options{
			URL: "http://127.0.0.1:1", UserID: "ann", DeviceID: "laptop", Token: client.StaticToken("none"), Store: store,
		})
		if err != nil {
			t.Fatal(err)
		}
		work(ann)
	}
	var left client.Outgoing
	with(func(ann *client.Client) {
		var err error
		if left, err = ann.Send(t.Context(), "01JZZZZZZZZZZZZZZZZZZZZZZZ", client.Draft{Ciphertext: []byte("left")}); err != nil {
			t.Fatal(err)
		}
	})
	over, cancel := context.WithCancel(t.Context())
	cancel()
	with(func(ann *client.Client) {
		if err := ann.Flush(over); !errors.Is(err, context.Canceled) {
			t.Errorf("with a message to send, Flush ends with %v", err)
		}
	})
	with(func(ann *client.Client) {
		if err := ann.Discard(t.Context(), left.N); err != nil {
			t.Fatal(err)
		}
	})
	with(func(ann *client.Client) {
		if err := ann.Flush(over); err != nil {
			t.Errorf("with nothing to send, Flush ends with %v: %+v", err, ann.Outgoing())
		}
	})
}

// A message that fits no MQTT packet, and one to a thread whose name is no part of a topic, end
// no connection and hold up nothing.
func TestWhatMQTTCannotCarryGoesByHTTP(t *testing.T) {
	s := process.Start(t)
	for name, transport := range transports(s) {
		t.Run(name, func(t *testing.T) {
			ann := join(t, s, "ann-"+name, transport)
			thread := ann.create(t, client.OneToOne, "bob")
			large := bytes.Repeat([]byte("x"), 200<<10)
			for _, d := range []client.Draft{{Ciphertext: large, ContentType: "control"}, {Ciphertext: []byte("soon gone"), TTL: time.Millisecond}} {
				if _, err := ann.Send(t.Context(), thread, d); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := ann.Send(t.Context(), "a/+/#", client.Draft{Ciphertext: []byte("to nowhere")}); err != nil {
				t.Fatal(err)
			}
			ann.await(t, "the second message, which disappears", func(events, _ []client.Frame) bool {
				return slices.ContainsFunc(events, func(e client.Frame) bool { return string(e.Ciphertext) == "soon gone" && !e.ExpiresAt.IsZero() })
			})
			if _, err := ann.Send(t.Context(), thread, client.Draft{Ciphertext: []byte("x"), TTL: -time.Second}); err == nil {
				t.Error("a negative TTL is taken")
			}
			ann.flush(t)
			if left := ann.Outgoing(); len(left) != 1 || left[0].Problem == nil {
				t.Errorf("the outbox has %+v", left)
			}
		})
	}
}

// A message that can never be sent is told, and those behind it go on.
func TestAPoisonousMessageHoldsUpNothing(t *testing.T) {
	s := process.Start(t)
	for name, transport := range transports(s) {
		t.Run(name, func(t *testing.T) {
			poisoned := make(chan client.Outgoing, 1)
			ann := join(t, s, "ann-"+name, transport, func(o *client.Options) {
				o.OnPoisoned = func(_ context.Context, item client.Outgoing) { poisoned <- item }
			})
			thread := ann.create(t, client.OneToOne, "bob")
			item, err := ann.Send(t.Context(), thread, client.Draft{Ciphertext: []byte("to nothing"), ReplyTo: "01KSWZNAH2E1GQ4V35F5PQ6SVK"})
			if err != nil {
				t.Fatal(err)
			}
			ann.say(t, thread, "after it")
			ann.flush(t)
			told := <-poisoned
			if told.N != item.N || told.Problem == nil || told.Problem.Code != chat.CodeInvalidRequest {
				t.Errorf("told was %+v with %+v", told, told.Problem)
			}
			ann.await(t, "the message behind it", func(events, _ []client.Frame) bool {
				return slices.Equal(texts(events, thread), []string{"after it"})
			})
			if left := ann.Outgoing(); len(left) != 1 || left[0].Problem == nil {
				t.Errorf("the outbox has %+v", left)
			}
			if err := ann.Discard(t.Context(), item.N); err != nil {
				t.Fatal(err)
			}
			if left := ann.Outgoing(); len(left) != 0 {
				t.Errorf("after Discard the outbox has %+v", left)
			}
		})
	}
}

// A connection outlives its first token.
func TestATokenIsRenewedInPlace(t *testing.T) {
	s := process.Start(t)
	for name, transport := range transports(s) {
		t.Run(name, func(t *testing.T) {
			asked := 0
			var states []client.ConnState
			ann := join(t, s, "ann-"+name, transport, func(o *client.Options) {
				o.Token = func(context.Context) (string, error) {
					asked++
					return process.Token(t, o.UserID, 4*time.Second), nil
				}
				o.OnState = func(state client.ConnState) { states = append(states, state) }
			})
			ann.await(t, "three tokens taken", func(_, frames []client.Frame) bool {
				taken := 0
				for _, f := range frames {
					if f.Type == contracts.FrameAuth {
						taken++
					}
				}
				return taken >= 3
			})
			ann.stop()
			want := []client.ConnState{client.Connecting, client.CatchingUp, client.Online, client.Stopped}
			if !slices.Equal(states, want) || asked < 4 {
				t.Errorf("the states were %v after %d tokens", states, asked)
			}
		})
	}
}

func TestEndsThatAreFinal(t *testing.T) {
	s := process.Start(t)
	for name, transport := range transports(s) {
		t.Run(name, func(t *testing.T) {
			user := "ann-" + name
			first := join(t, s, user, transport)
			second := join(t, s, user, transport)
			if err := <-first.done; !errors.Is(err, client.ErrTakenOver) {
				t.Errorf("taken over, it ends with %v", err)
			}
			if err := second.API.RemoveDevice(t.Context(), "laptop"); err != nil {
				t.Fatal(err)
			}
			if err := <-second.done; !errors.Is(err, client.ErrRemoved) {
				t.Errorf("removed, it ends with %v", err)
			}
		})
	}
}

// A client that is busy when it is taken over ends with that, and does not take the device back.
func TestTakenOverWhileTheOwnerIsBusy(t *testing.T) {
	s := process.Start(t)
	for name, transport := range transports(s) {
		t.Run(name, func(t *testing.T) {
			user := "ann-" + name
			busy, release := make(chan struct{}), make(chan struct{})
			first := join(t, s, user, transport, func(o *client.Options) {
				o.OnEvent = func(context.Context, client.Frame) error {
					close(busy)
					<-release
					return nil
				}
			})
			bob := join(t, s, "bob-"+name, client.JSON{})
			bob.create(t, client.OneToOne, user)
			<-busy
			second := join(t, s, user, transport)
			close(release)
			if err := <-first.done; !errors.Is(err, client.ErrTakenOver) {
				t.Errorf("taken over, it ends with %v", err)
			}
			if state := second.State(); state != client.Online {
				t.Errorf("the newer one is %v", state)
			}
		})
	}
}

// Another store of the server voids what is known of the old one, and the outbox stays.
func TestAnotherStore(t *testing.T) {
	s := process.Start(t)
	for name, transport := range transports(s) {
		t.Run(name, func(t *testing.T) {
			user := "ann-" + name
			store := client.NewMemoryStore()
			told := make(chan string, 1)
			first := join(t, s, user, transport, func(o *client.Options) { o.Store = store })
			thread := first.create(t, client.OneToOne, "bob")
			first.say(t, thread, "hello")
			first.flush(t)
			first.stop()
			state, err := store.Load(t.Context())
			if err != nil || state.StoreID == "" || state.Positions[thread] != 2 {
				t.Fatalf("it kept %+v, %v", state, err)
			}
			// As after a restore: the positions are of a store that is no more.
			_ = store.Reset(t.Context(), "11111111-2222-4333-8444-555555555555")
			_ = store.SavePosition(t.Context(), thread, 700)
			second := join(t, s, user, transport, func(o *client.Options) {
				o.Store = store
				o.OnStoreChanged = func(_ context.Context, id string) error { told <- id; return nil }
			})
			if id := <-told; id != state.StoreID {
				t.Errorf("told was store %s, it is %s", id, state.StoreID)
			}
			second.await(t, "everything anew", func(events, _ []client.Frame) bool { return len(events) == 2 })
			inOrder(t, second.events)
		})
	}
}

func TestAClientSurvivesARestart(t *testing.T) {
	s := process.Start(t)
	ann, bob := join(t, s, "ann", client.JSON{}), join(t, s, "bob", mqtt.Transport{Address: "mqtt://" + s.MQTT})
	thread := ann.create(t, client.OneToOne, "bob")
	ann.say(t, thread, "before")
	ann.flush(t)
	s.Kill(t)
	ann.say(t, thread, "while it is down")
	s.Begin(t)
	ann.Hurry()
	bob.Hurry()
	ann.flush(t)
	for _, p := range []*person{ann, bob} {
		p.await(t, "both", func(events, _ []client.Frame) bool { return len(texts(events, thread)) == 2 })
		inOrder(t, p.events)
	}
}

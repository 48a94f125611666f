package client_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/parleyhq/parley/client"
	"github.com/parleyhq/parley/test/process"
)

const otherStore = "11111111-2222-4333-8444-555555555555"

// restored is the way to a server that is restored while a client is connected: pages of events
// name another store from then on. It tells of the first that is asked for, and answers none
// before it may.
type restored struct {
	asked, may chan struct{}
	name       string // of the server's store as it was
}

func (r restored) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil || !strings.HasSuffix(request.URL.Path, "/events") {
		return answer, err
	}
	select {
	case <-r.asked:
	default:
		close(r.asked)
	}
	<-r.may
	text, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	text = bytes.ReplaceAll(text, []byte(r.name), []byte(otherStore))
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	answer.Header.Del("Content-Length")
	return answer, err
}

// observed tells of each delivery before the client takes it.
type observed struct {
	client.Transport
	came func(client.Frame)
}

func (o observed) Connect(ctx context.Context, to client.Target) (client.Link, error) {
	link, err := o.Transport.Connect(ctx, to)
	return observedLink{link, o.came}, err
}

type observedLink struct {
	client.Link
	came func(client.Frame)
}

func (l observedLink) Receive(ctx context.Context) (client.Delivery, error) {
	d, err := l.Link.Receive(ctx)
	if err == nil {
		l.came(d.Frame)
	}
	return d, err
}

// What waits of an old store, when a call finds another one, is not given to the owner: it has
// begun anew.
func TestFramesOfTheOldStoreAreNotTaken(t *testing.T) {
	s := process.Start(t)
	for name, transport := range transports(s) {
		t.Run(name, func(t *testing.T) {
			user := "ann-" + name
			bob := client.NewAPI(s.URL(), "laptop", client.StaticToken(process.Token(t, "bob-"+name, patience)), nil)
			store := client.NewMemoryStore()
			join(t, s, user, transport, func(o *client.Options) { o.Store = store }).stop()
			state, err := store.Load(t.Context())
			if err != nil || state.StoreID == "" {
				t.Fatalf("it kept %+v, %v", state, err)
			}
			var (
				busy, release, changed = make(chan struct{}), make(chan struct{}), make(chan struct{})
				asked, late            = make(chan struct{}), make(chan struct{})
				mu                     sync.Mutex
				taken                  []string
				begun                  bool
			)
			ctx, end := context.WithCancel(t.Context())
			defer end()
			ann, err := client.New(client.Options{
				URL: s.URL(), UserID: user, DeviceID: "laptop", Token: client.StaticToken(process.Token(t, user, patience)), Store: store,
				HTTP: &http.Client{Transport: restored{asked: asked, may: late, name: state.StoreID}},
				Transport: observed{transport, func(f client.Frame) {
					if string(f.Ciphertext) == "late" {
						<-asked // so the call has the log, and this frame waits for it
						close(late)
					}
				}},
				OnEvent: func(_ context.Context, f client.Frame) error {
					if f.Seq == 1 {
						close(busy)
						<-release
					}
					mu.Lock()
					defer mu.Unlock()
					if begun {
						taken = append(taken, fmt.Sprint(f.Seq, f.Type, string(f.Ciphertext)))
					}
					return nil
				},
				OnStoreChanged: func(_ context.Context, id string) error {
					mu.Lock()
					defer mu.Unlock()
					begun = true
					return nil
				},
				OnState: func(state client.ConnState) {
					if state == client.Waiting {
						close(changed)
						end()
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- ann.Run(ctx) }()
			if err := ann.AwaitOnline(ctx); err != nil {
				t.Fatal(err)
			}
			thread, err := bob.CreateThread(t.Context(), client.OneToOne, []string{user}, "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := bob.Do(t.Context(), client.Request{
				Method: http.MethodPost, Path: "/v1/threads/" + thread.ID + "/messages", IdempotencyKey: "late",
				Body: client.SendBody{ClientSeq: 1, Ciphertext: []byte("late")},
			}, nil); err != nil {
				t.Fatal(err)
			}
			<-busy
			ann.Sync(thread.ID) // it waits for its turn, behind the first event
			close(release)
			<-changed
			<-done
			if len(taken) > 0 {
				t.Errorf("of the new store it was given %q", taken)
			}
		})
	}
}

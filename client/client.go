package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/parleyhq/parley/contracts"
)

// Options make a Client. URL, UserID, DeviceID and Token are required.
type Options struct {
	URL      string // of the server, as https://chat.example.com
	UserID   string
	DeviceID string // one for each installation, kept for good
	Token    TokenProvider

	// OnEvent is given every event of the user's threads, one's own included: those of a thread in
	// the order of its log, each at least once, one at a time. An event counts as taken when it
	// returns nil: then it is acknowledged, and does not come again. After an error the connection
	// is made anew, and the event comes again. It may call the Client's methods, but must not wait for
	// the Client: not by Run, Flush or AwaitOnline, nor for the end of Run. The same holds for the
	// functions below.
	OnEvent func(ctx context.Context, event Frame) error
	// OnFrame is given everything else that the server tells: receipts, presence, typing, signals.
	OnFrame func(ctx context.Context, frame Frame)
	// OnState is told of each change of the connection.
	OnState func(ConnState)
	// OnPoisoned is given a message that can never be sent as it is. Retry or Discard it.
	OnPoisoned func(ctx context.Context, item Outgoing)
	// OnStoreChanged is called before anything of another store of the server is given to OnEvent:
	// what was kept of the old one means nothing any more (docs/contract.md#resuming). After an
	// error it is called again.
	OnStoreChanged func(ctx context.Context, storeID string) error
	// OnError is told of what the client mends by itself: connections that ended, failed tries.
	OnError func(error)

	// SendOnly has Run make no realtime connection: the outbox goes over HTTP, and OnEvent is given
	// what was sent alone. For jobs, which need no device id of their own then.
	SendOnly bool
	// FromStart has OnEvent get what each thread holds from its beginning. Without it a thread of
	// which nothing was taken before begins with the first event that comes of it.
	FromStart bool

	Store     Store        // nil: NewMemoryStore
	Transport Transport    // nil: JSON{}
	HTTP      *http.Client // nil: one that gives up after 30 s
	TLS       *tls.Config  // of the realtime connection; nil: the system's
}

// ConnState is how a Client is connected.
type ConnState int

// The states of a Client.
const (
	Stopped    ConnState = iota // Run does not run
	Connecting                  //
	CatchingUp                  // what was missed is coming
	Online                      //
	Waiting                     // for the next try
)

func (s ConnState) String() string {
	return [...]string{"stopped", "connecting", "catching up", "online", "waiting"}[s]
}

// Draft is a message to send (docs/contract.md#sending). What it contains was encrypted before,
// or is plain.
type Draft struct {
	Ciphertext       []byte
	ContentType      string // "" is text
	ReplyTo          string
	AttachmentID     string
	AttachmentSHA256 string
	TTL              time.Duration // a part of a second counts as one; 0: it does not disappear
	Epoch            uint64        // of a control message
}

// Client is one user on one device. Its methods may be called from several goroutines.
type Client struct {
	API *API

	options Options
	store   Store
	outbox  *outbox

	// Held while an event is given to the owner, so that there is one at a time.
	log sync.Mutex
	// What is known of the log. Guarded by log.
	storeID   string // changed with mu too
	positions map[string]uint64
	ahead     map[string]map[uint64]bool // own messages above what is known of a thread

	mu      sync.Mutex
	loaded  bool
	running bool
	state   ConnState
	changed chan struct{} // closed when the state changes
	link    Link          // nil while there is none
	early   chan struct{} // closed to end the pause before the next connection
	stale   map[string]bool
	sync    chan struct{} // has a value while stale may have threads
}

// New makes a client. Run connects it.
func New(o Options) (*Client, error) {
	if o.URL == "" || o.UserID == "" || o.DeviceID == "" || o.Token == nil {
		return nil, errors.New("URL, UserID, DeviceID and Token are required")
	}
	if !strings.HasPrefix(o.URL, "http://") && !strings.HasPrefix(o.URL, "https://") {
		return nil, fmt.Errorf("the URL %q begins with neither http:// nor https://", o.URL)
	}
	if o.Store == nil {
		o.Store = NewMemoryStore()
	}
	if o.Transport == nil {
		o.Transport = JSON{}
	}
	c := &Client{
		API: NewAPI(o.URL, o.DeviceID, o.Token, o.HTTP), options: o, store: &oneAtATime{store: o.Store}, ahead: make(map[string]map[uint64]bool),
		changed: make(chan struct{}), early: make(chan struct{}), stale: make(map[string]bool), sync: make(chan struct{}, 1),
	}
	c.outbox = newOutbox(c)
	return c, nil
}

// load reads the store, once.
func (c *Client) load(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loaded {
		return nil
	}
	state, err := c.store.Load(ctx)
	if err != nil {
		return fmt.Errorf("read the client's store: %w", err)
	}
	c.storeID, c.positions = state.StoreID, state.Positions
	if c.positions == nil {
		c.positions = make(map[string]uint64)
	}
	c.outbox.load(state.Outgoing)
	c.loaded = true
	return nil
}

// Send puts a message into the outbox. When it returns nil the store has the message, and it
// will be sent, with the same Idempotency-Key whatever happens, after those before it of the
// same thread. OnEvent is given it when the server has it.
func (c *Client) Send(ctx context.Context, thread string, d Draft) (Outgoing, error) {
	if err := c.load(ctx); err != nil {
		return Outgoing{}, err
	}
	return c.outbox.add(ctx, thread, d)
}

// Flush waits until the server has every message of the outbox, but for those that can never be
// sent.
func (c *Client) Flush(ctx context.Context) error {
	if err := c.load(ctx); err != nil {
		return err
	}
	return c.outbox.flush(ctx)
}

// Outgoing lists the messages of the outbox; before Run, Send, Flush, Retry or Discard has read
// the store, none.
func (c *Client) Outgoing() []Outgoing { return c.outbox.list() }

// Retry tries a message again that could not be sent.
func (c *Client) Retry(ctx context.Context, n uint64) error {
	if err := c.load(ctx); err != nil {
		return err
	}
	return c.outbox.retry(ctx, n)
}

// Discard takes a message out of the outbox. One that is under way may be sent yet.
func (c *Client) Discard(ctx context.Context, n uint64) error {
	if err := c.load(ctx); err != nil {
		return err
	}
	return c.outbox.drop(ctx, n)
}

// post sends a message once, over the realtime connection if it can. It reports whether the
// answer is another message, which had the same client_seq before.
func (c *Client) post(ctx context.Context, item Outgoing) (m contracts.Message, differs bool, err error) {
	if link := c.onlineLink(); link != nil {
		m, differs, err = link.Send(ctx, item.ThreadID, item.Key, item.Body)
		if !errors.Is(err, errors.ErrUnsupported) {
			return m, differs, err
		}
	}
	header, err := c.API.Do(ctx, Request{
		Method: http.MethodPost, Path: threadPath(item.ThreadID) + "/messages", Body: item.Body, IdempotencyKey: item.Key, once: true,
	}, &m)
	if err == nil && m.ID == "" {
		err = errors.New("what was answered to a message is none")
	}
	return m, err == nil && header.Get("Idempotency-Content-Differs") == "true", err
}

// Typing says that the user is writing. The server passes it on every 3 s at most.
func (c *Client) Typing(ctx context.Context, thread string) error {
	if link := c.onlineLink(); link != nil {
		return link.Typing(ctx, thread)
	}
	return nil // nobody would see it
}

// Signal tells the others who are here something of the moment (docs/contract.md#signals).
func (c *Client) Signal(ctx context.Context, thread, name string, data []byte) error {
	if link := c.onlineLink(); link != nil {
		return link.Signal(ctx, thread, name, data)
	}
	return errors.New("there is no connection")
}

// State tells how the client is connected.
func (c *Client) State() ConnState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// AwaitOnline waits until the client has been caught up with what it missed.
func (c *Client) AwaitOnline(ctx context.Context) error {
	for {
		c.mu.Lock()
		state, changed := c.state, c.changed
		c.mu.Unlock()
		if state == Online {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Hurry tries at once what waits for its next try, as when the network is back.
func (c *Client) Hurry() {
	c.mu.Lock()
	close(c.early)
	c.early = make(chan struct{})
	c.mu.Unlock()
	c.outbox.hurry()
}

func (c *Client) become(state ConnState) {
	c.mu.Lock()
	same := c.state == state
	if !same {
		c.state = state
		close(c.changed)
		c.changed = make(chan struct{})
	}
	c.mu.Unlock()
	if !same && c.options.OnState != nil {
		c.options.OnState(state)
	}
}

func (c *Client) setLink(link Link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = link
}

// onlineLink is the connection once it is caught up, else nil.
func (c *Client) onlineLink() Link {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != Online {
		return nil
	}
	return c.link
}

func (c *Client) failed(err error) {
	if err != nil && c.options.OnError != nil {
		c.options.OnError(err)
	}
}

package rest

import (
	"bytes"
	"context"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/internal/admission"
)

// Bounds of what the requests of one user hold at once (docs/contract.md#rates). One that
// would exceed them waits until others of the user have ended; it is not refused. A request
// ends when its answer has been handed to the socket, so a client that does not read its
// answers holds up only further requests of its own user.
const (
	maxFlights     = 16
	maxFlightBytes = 8 << 20
)

// What a request holds until its answer is known, besides its body: a page of messages or
// events may be of 1 MiB of ciphertext in base64, and its first message may exceed that.
const (
	pageBytes   = 3 << 19
	answerBytes = 64 << 10
)

// smallAnswer is the size up to which an answer fits the buffers of the socket, so that the
// request ends before it is written.
const smallAnswer = 16 << 10

// flights are the requests under way, by user.
type flights struct {
	seed   maphash.Seed
	shards [16]flightShard
}

type flightShard struct {
	mu    sync.Mutex
	users map[chat.UserID]*userFlights
}

// userFlights are the requests of one user. Its shard's lock guards it.
type userFlights struct {
	requests int
	bytes    int
	waiting  []*flight // in the order in which they came
}

// flight is one request under way.
type flight struct {
	of    *flights
	user  chat.UserID
	bytes int
	begun chan struct{} // closed when it may begin; nil if it never had to wait
}

func newFlights() *flights {
	f := &flights{seed: maphash.MakeSeed()}
	for i := range f.shards {
		f.shards[i].users = make(map[chat.UserID]*userFlights)
	}
	return f
}

func (f *flights) shard(user chat.UserID) *flightShard {
	return &f.shards[maphash.String(f.seed, string(user))%uint64(len(f.shards))]
}

// begin begins a request that holds so many bytes, or has it wait. The caller waits, and
// ends it.
func (f *flights) begin(user chat.UserID, bytes int) *flight {
	r := &flight{of: f, user: user, bytes: bytes}
	sh := f.shard(user)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.users[user]
	if u == nil {
		u = new(userFlights)
		sh.users[user] = u
	}
	if len(u.waiting) == 0 && u.mayBegin(bytes) {
		u.add(bytes)
		return r
	}
	r.begun = make(chan struct{})
	u.waiting = append(u.waiting, r)
	return r
}

func (r *flight) waits() bool {
	if r.begun == nil {
		return false
	}
	select {
	case <-r.begun:
		return false
	default:
		return true
	}
}

// wait waits until the request, which waits, may begin. After an error it does not.
func (r *flight) wait(ctx context.Context) error {
	select {
	case <-r.begun:
		return nil
	case <-ctx.Done():
	}
	sh := r.of.shard(r.user)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.users[r.user]
	for i, w := range u.waiting {
		if w == r {
			u.waiting = append(u.waiting[:i], u.waiting[i+1:]...)
			u.beginWaiting()
			return chat.Unavailable("wait for other requests of the user", context.Cause(ctx))
		}
	}
	return nil // it began at the same moment
}

// mayBegin reports whether there is room for a request. One alone always has.
func (u *userFlights) mayBegin(bytes int) bool {
	return u.requests == 0 || u.requests < maxFlights && u.bytes+bytes <= maxFlightBytes
}

func (u *userFlights) add(bytes int) {
	u.requests++
	u.bytes += bytes
}

// beginWaiting lets those that wait begin, as far as there is room.
func (u *userFlights) beginWaiting() {
	for len(u.waiting) > 0 && u.mayBegin(u.waiting[0].bytes) {
		u.add(u.waiting[0].bytes)
		close(u.waiting[0].begun)
		u.waiting = u.waiting[1:]
	}
}

// holds says how many bytes the request holds from here on.
func (r *flight) holds(bytes int) {
	r.change(func(u *userFlights) {
		u.bytes += bytes - r.bytes
		r.bytes = bytes
	})
}

func (r *flight) end() {
	r.change(func(u *userFlights) {
		u.requests--
		u.bytes -= r.bytes
	})
}

func (r *flight) change(how func(*userFlights)) {
	sh := r.of.shard(r.user)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.users[r.user]
	how(u)
	u.beginWaiting()
	if u.requests == 0 && len(u.waiting) == 0 {
		delete(sh.users, r.user)
	}
}

// inFlight calls a handler when the user has room for one more request, and has the request
// end when its answer is written.
func (s *server) inFlight(c *fiber.Ctx, user chat.UserID, handle func() error) error {
	r := s.flights.begin(user, s.flightBytes(c))
	if r.waits() {
		if err := s.waitTurn(c, r); err != nil {
			return err
		}
	}
	done := false
	defer func() { // also after a panic
		if !done {
			r.end()
		}
	}()
	if err := handle(); err != nil {
		return err
	}
	if answer := c.Response().Body(); len(answer) > smallAnswer {
		r.holds(len(answer))
		done = true
		c.Response().SetBodyStream(&endingBody{bytes.NewReader(answer), r}, len(answer))
	}
	return nil
}

// waitTurn waits until a request may begin. Until then its connection makes room for
// others, or one user could hold them all; and then the request has its time to arrive.
func (s *server) waitTurn(c *fiber.Ctx, r *flight) error {
	ex, conn := exchangeOf(c), connOf(c)
	ex.release()
	ctx, cancel := context.WithTimeout(context.Background(), s.limits.TurnTimeout)
	defer cancel()
	if err := r.wait(ctx); err != nil {
		return err
	}
	ex.release = admission.Admit(conn)
	return conn.SetReadDeadline(time.Now().Add(s.limits.ReadTimeout))
}

// flightBytes is about what a request may hold in memory: its body, and its answer.
func (s *server) flightBytes(c *fiber.Ctx) int {
	held := s.limits.BodyBytes
	if n := connOf(c).request.length; n != chunked {
		held = int(min(n, int64(held)))
	}
	if route := c.Route().Path; c.Method() == fiber.MethodGet && (strings.HasSuffix(route, "/messages") || strings.HasSuffix(route, "/events")) {
		return held + pageBytes
	}
	return held + answerBytes
}

// endingBody is the body of an answer that ends its request when it is written, or when the
// connection is gone.
type endingBody struct {
	*bytes.Reader
	flight *flight
}

// Close implements io.Closer. fasthttp calls it once.
func (b *endingBody) Close() error {
	b.flight.end()
	return nil
}

// answerSize is the size of the answer's body.
func answerSize(c *fiber.Ctx) int {
	if c.Response().IsBodyStream() { // its length is set, and to read it would end it
		return c.Response().Header.ContentLength()
	}
	return len(c.Response().Body())
}

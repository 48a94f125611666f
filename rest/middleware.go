package rest

import (
	"crypto/rand"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/chat"
)

// exchange is what the log and the metrics record of one request and its answer. The
// goroutine that serves the request owns it.
type exchange struct {
	requestID string
	start     time.Time
	route     string        // the pattern, never the path: paths are unbounded and hold ids
	identity  auth.Identity // what the token proves; the zero Identity before that
	body      []byte        // of a call that has one, once it was read
	release   func()        // has the connection make room for others again, until its next request; nil: it does
	err       error         // why the answer is a 5xx; nil if it is not one
	code      chat.Code     // of the refusal; "" if there is none
	reason    auth.Reason   // what was wrong with the token, if that is why
}

type exchangeKey struct{}

// unmatched is the route of a request that matched none.
const unmatched = "unmatched"

const requestIDHeader = "X-Request-Id"

// observe is the middleware around every request that Fiber has read: it gives the request
// an id, answers errors and panics with a problem, and logs and counts the exchange.
func (s *server) observe(c *fiber.Ctx) error {
	ex := s.begin(c)
	if err := s.recovered(c); err != nil {
		s.refuse(c, ex, err)
	}
	s.end(c, ex)
	if ex.release != nil {
		ex.release()
	}
	return nil
}

// refuseUnrouted answers a request whose head fasthttp could not read, because it is
// malformed, too large or too slow. Such a request does not pass observe, and fasthttp closes
// its connection.
func (s *server) refuseUnrouted(c *fiber.Ctx, err error) error {
	ex := s.begin(c)
	connOf(c).lingers.Store(true)
	s.refuse(c, ex, err)
	s.end(c, ex)
	return nil
}

func (s *server) begin(c *fiber.Ctx) *exchange {
	ex := &exchange{requestID: requestID(c), start: time.Now(), route: unmatched}
	c.Locals(exchangeKey{}, ex)
	c.Set(requestIDHeader, ex.requestID)
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderCacheControl, "no-store")
	s.share(c)
	return ex
}

// exchangeOf gives the exchange that begin made for the request.
func exchangeOf(c *fiber.Ctx) *exchange {
	ex, _ := c.Locals(exchangeKey{}).(*exchange)
	return ex
}

// requestID is the client's request id if that has 1 to 128 visible ASCII characters, which
// can do no harm in a header or a log, else a new one (docs/contract.md#requests).
func requestID(c *fiber.Ctx) string {
	id := c.Get(requestIDHeader)
	if len(id) == 0 || len(id) > 128 {
		return rand.Text()
	}
	for i := range len(id) {
		if id[i] < '!' || id[i] > '~' {
			return rand.Text()
		}
	}
	return id
}

// connOf gives the connection that the request came on.
func connOf(c *fiber.Ctx) *conn { return c.Context().Conn().(*conn) }

// recovered lets the request in, calls its handler and turns a panic into an error.
func (s *server) recovered(c *fiber.Ctx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if err := s.admit(c); err != nil {
		return err
	}
	if isPreflight(c) {
		return answerPreflight(c)
	}
	return c.Next()
}

// routed notes the route of the request and calls the handler.
func routed(handle fiber.Handler) fiber.Handler {
	return func(c *fiber.Ctx) error {
		exchangeOf(c).route = c.Route().Path
		return handle(c)
	}
}

package rest

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// handler answers a request of an authenticated caller. The context ends when the time for
// the call is over.
type handler func(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error

// demands are what a call asks of a request before its handler runs.
type demands struct {
	scopes []chat.Scope // the token has to have one of these
	query  []string     // the parameters that there are, besides device_id
	body   bool         // whether there is one; else what is sent is not read
}

var (
	reading   = demands{scopes: []chat.Scope{chat.ScopeRead}}
	writing   = demands{scopes: []chat.Scope{chat.ScopeWrite}}
	sending   = demands{scopes: []chat.Scope{chat.ScopeWrite, chat.ScopeSystem}} // the use case knows which of them
	operating = demands{scopes: []chat.Scope{chat.ScopeAdmin}}
)

// with is the same with these parameters in the query.
func (d demands) with(query ...string) demands { d.query = query; return d }

// withBody is the same with a body.
func (d demands) withBody() demands { d.body = true; return d }

// paged is the same for a page.
func (d demands) paged() demands { return d.with("cursor", "page_size") }

// call makes a route of a handler. It makes the checks that all calls have in common, in the
// order of docs/contract.md#requests. What a handler checks comes after them.
func (s *server) call(d demands, handle handler) fiber.Handler {
	return routed(func(c *fiber.Ctx) error {
		caller, malformed, err := s.caller(c, d)
		if err != nil {
			return err
		}
		return s.inFlight(c, caller.User, func() error {
			if d.body {
				if err := s.receiveBody(c); err != nil {
					return err
				}
			}
			if malformed != nil {
				return malformed
			}
			if err := checkQuery(c, d.query); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(context.Background(), s.limits.CallTimeout)
			defer cancel()
			return handle(ctx, c, caller)
		})
	})
}

// caller gives the user and device that make the request, if the token allows the call
// (docs/contract.md#authentication). That the device is malformed is told of after the
// body's type and size.
func (s *server) caller(c *fiber.Ctx, d demands) (caller chat.Caller, malformed, err error) {
	id := exchangeOf(c).identity
	caller, err = id.Caller(c.Get(deviceHeader), c.Query(deviceParameter))
	if chat.CodeOf(err) == contracts.CodeDeviceMismatch {
		return chat.Caller{}, nil, err
	}
	if !slices.ContainsFunc(d.scopes, id.Has) {
		return chat.Caller{}, nil, chat.Refuse(chat.CodeMissingScope, "the token lacks the scope "+string(d.scopes[0]))
	}
	caller.User = id.User
	return caller, err, nil
}

const (
	deviceHeader    = "X-Device-Id"
	deviceParameter = "device_id"
	threadParameter = "thread_id"
)

// checkQuery refuses parameters that the call does not have, and one that came twice.
func checkQuery(c *fiber.Ctx, known []string) (err error) {
	seen := make(map[string]bool)
	c.Context().QueryArgs().VisitAll(func(key, _ []byte) {
		name := string(key)
		switch {
		case err != nil:
		case seen[name]:
			err = chat.Invalid(name, "is in the query twice")
		case name != deviceParameter && !slices.Contains(known, name):
			err = chat.Invalid(name, "is not a parameter of this call")
		}
		seen[name] = true
	})
	return err
}

// onThread makes a route of a handler about the thread that the path names. A malformed id
// is the zero id, which names no thread.
func (s *server) onThread(d demands, handle func(context.Context, *fiber.Ctx, chat.Caller, chat.ThreadID) error) fiber.Handler {
	return s.call(d, func(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
		id, err := chat.ParseThreadID(pathValue(c, "id"))
		if err != nil {
			id = chat.ThreadID{}
		}
		return handle(ctx, c, caller, id)
	})
}

// onMessage makes a route of a handler about the message that the path names. A malformed id
// is the zero id, which names no message. The query may say in which thread the message is.
func (s *server) onMessage(d demands, handle func(context.Context, *fiber.Ctx, chat.Caller, chat.MessageID) error) fiber.Handler {
	d.query = append(slices.Clone(d.query), threadParameter)
	return s.call(d, func(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
		if hasQuery(c, threadParameter) {
			hint, err := chat.ParseThreadID(c.Query(threadParameter))
			if err != nil {
				hint = chat.ThreadID{} // which no message is in
			}
			ctx = chat.WithThreadHint(ctx, hint)
		}
		return handle(ctx, c, caller, messageInPath(c, "id"))
	})
}

// messageInPath is the message that a segment of the path names, zero if it is malformed.
func messageInPath(c *fiber.Ctx, segment string) chat.MessageID {
	id, err := chat.ParseMessageID(pathValue(c, segment))
	if err != nil {
		return chat.MessageID{}
	}
	return id
}

// receiveBody reads the body of a call that has one.
func (s *server) receiveBody(c *fiber.Ctx) (err error) {
	mediaType, _, _ := strings.Cut(c.Get(fiber.HeaderContentType), ";")
	if !strings.EqualFold(strings.TrimSpace(mediaType), fiber.MIMEApplicationJSON) {
		return chat.Refuse(contracts.CodeUnsupportedMediaType, "the Content-Type must be application/json")
	}
	if c.Get(fiber.HeaderContentEncoding) != "" {
		return chat.Refuse(contracts.CodeUnsupportedMediaType, "the body must not be compressed")
	}
	exchangeOf(c).body, err = connOf(c).readBody(s.limits.BodyBytes)
	return err
}

// body gives the request's JSON. The bytes are valid until the handler returns.
func body(c *fiber.Ctx) []byte { return exchangeOf(c).body }

// decode reads the request's body with a decoder of package contracts.
func decode[T any](c *fiber.Ctx, decoder func(body []byte) (T, error)) (decoded T, err error) {
	return decoder(body(c))
}

// pathValue is one segment of the path with its percent-encoding undone. Fiber matches the
// path as it was sent, so an encoded slash does not end a segment.
func pathValue(c *fiber.Ctx, name string) string {
	value, err := url.PathUnescape(c.Params(name))
	if err != nil {
		return "" // which is no valid id
	}
	return value
}

// page reads the query parameters cursor and page_size.
func page(c *fiber.Ctx) (chat.PageRequest, error) {
	p := chat.PageRequest{Cursor: c.Query("cursor")}
	if !hasQuery(c, "page_size") {
		return p, nil
	}
	size, err := strconv.Atoi(c.Query("page_size"))
	if err != nil || size < 1 { // package chat knows the upper bound
		return p, chat.Invalid("page_size", "must be an integer from 1 to the limit")
	}
	p.Size = size
	return p, nil
}

func hasQuery(c *fiber.Ctx, name string) bool { return c.Context().QueryArgs().Has(name) }

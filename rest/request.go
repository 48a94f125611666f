package rest

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// handler answers a request of an authenticated caller. The context ends when the time for
// the call is over.
type handler func(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error

// call makes a route of a handler.
func (s *server) call(handle handler) fiber.Handler {
	return routed(func(c *fiber.Ctx) error {
		caller, err := s.authenticate(c)
		if err != nil {
			return err
		}
		exchangeOf(c).user = caller.User
		ctx, cancel := context.WithTimeout(context.Background(), s.limits.CallTimeout)
		defer cancel()
		return handle(ctx, c, caller)
	})
}

// onThread makes a route of a handler about the thread that the path names. A malformed id
// is answered like an unknown thread.
func (s *server) onThread(handle func(context.Context, *fiber.Ctx, chat.Caller, chat.ThreadID) error) fiber.Handler {
	return s.call(func(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
		id, err := chat.ParseThreadID(pathValue(c, "id"))
		if err != nil {
			return chat.Refuse(chat.CodeThreadNotFound, "no such thread")
		}
		return handle(ctx, c, caller, id)
	})
}

// onMessage makes a route of a handler about the message that the path names. A malformed
// id is answered like an unknown message.
func (s *server) onMessage(handle func(context.Context, *fiber.Ctx, chat.Caller, chat.MessageID) error) fiber.Handler {
	return s.call(func(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
		id, err := chat.ParseMessageID(pathValue(c, "id"))
		if err != nil {
			return chat.Refuse(chat.CodeMessageNotFound, "no such message")
		}
		return handle(ctx, c, caller, id)
	})
}

// authenticate gives the user and device that make the request
// (docs/contract.md#authentication).
func (s *server) authenticate(c *fiber.Ctx) (chat.Caller, error) {
	scheme, credentials, _ := strings.Cut(c.Get(fiber.HeaderAuthorization), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return chat.Caller{}, chat.Refuse(contracts.CodeUnauthenticated, "the header Authorization must be Bearer and a token")
	}
	identity, err := s.verifier.Verify(strings.TrimSpace(credentials))
	if err != nil {
		return chat.Caller{}, err
	}
	exchangeOf(c).accepted = &chat.Caller{User: identity.User, Scopes: identity.Scopes}
	return identity.Caller(c.Get("X-Device-Id"), c.Query("device_id"))
}

// body gives the request's JSON. The bytes are valid until the handler returns.
func body(c *fiber.Ctx) ([]byte, error) {
	mediaType, _, _ := strings.Cut(c.Get(fiber.HeaderContentType), ";")
	if !strings.EqualFold(strings.TrimSpace(mediaType), fiber.MIMEApplicationJSON) {
		return nil, chat.Refuse(contracts.CodeUnsupportedMediaType, "the Content-Type must be application/json")
	}
	if c.Get(fiber.HeaderContentEncoding) != "" {
		return nil, chat.Refuse(contracts.CodeUnsupportedMediaType, "the body must not be compressed")
	}
	// c.Body would also unpack a compressed body, to any size.
	return c.Request().Body(), nil
}

// decode reads the request's body with a decoder of package contracts.
func decode[T any](c *fiber.Ctx, decoder func(body []byte) (T, error)) (decoded T, err error) {
	b, err := body(c)
	if err != nil {
		return decoded, err
	}
	return decoder(b)
}

// participantID reads the participant that the path names. A malformed user id is answered
// like an unknown participant.
func participantID(c *fiber.Ctx) (chat.UserID, error) {
	id, err := chat.ParseUserID(pathValue(c, "uid"))
	if err != nil {
		return id, chat.Refuse(chat.CodeParticipantNotFound, "no such participant")
	}
	return id, nil
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

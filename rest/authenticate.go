package rest

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
	"github.com/parleyhq/parley/internal/admission"
)

// admit makes the first checks of a request, which come before its route
// (docs/contract.md#requests): its framing, then the token of whoever calls the API.
func (s *server) admit(c *fiber.Ctx) error {
	if fault := connOf(c).request.fault; fault != "" {
		return chat.Refuse(chat.CodeInvalidRequest, fault)
	}
	if admission.Over(c.Context().Conn()) {
		c.Context().SetConnectionClose()
		if !isProbe(c.Path()) {
			return chat.Refuse(chat.CodeUnavailable, "the server has as many connections as it takes")
		}
	}
	if !asksForToken(c) {
		return nil
	}
	scheme, credentials, _ := strings.Cut(c.Get(fiber.HeaderAuthorization), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return chat.Refuse(contracts.CodeUnauthenticated, "the header Authorization must be Bearer and a token").Because(auth.NoToken)
	}
	identity, err := s.verifier.Verify(strings.TrimSpace(credentials))
	exchangeOf(c).identity = identity
	if err == nil {
		exchangeOf(c).release = admission.Admit(c.Context().Conn())
	}
	return err
}

// isProbe reports whether a path is one of those that say how the server is.
func isProbe(path string) bool { return path == "/healthz" || path == "/readyz" || path == "/metrics" }

const realtimePath = "/v1/realtime"

// asksForToken reports whether a request is one to the API. An upgrade to realtime is not:
// there, the token may come otherwise than in a header, or later
// (docs/contract.md#connecting). Neither is a browser's question before a page's request.
func asksForToken(c *fiber.Ctx) bool {
	path := c.Path()
	if path == realtimePath && c.Method() == fiber.MethodGet || isPreflight(c) {
		return false
	}
	return path == "/v1" || strings.HasPrefix(path, "/v1/")
}

package rest

import (
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// What pages of allowed origins may send and read (docs/contract.md#browsers).
var (
	sharedMethods = strings.Join([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}, ", ")
	sharedHeaders = strings.Join([]string{
		fiber.HeaderAuthorization, fiber.HeaderContentType, idempotencyKeyHeader, deviceHeader, requestIDHeader,
	}, ", ")
	exposedHeaders = strings.Join([]string{
		fiber.HeaderLocation, fiber.HeaderRetryAfter, requestIDHeader, idempotencyReplayedHeader, contentDiffersHeader,
		rateLimitHeader, rateLimitPolicyHeader,
	}, ", ")
)

const preflightMaxAge = "600" // seconds

// share lets a page of an allowed origin read the answer, whatever that will be. To others the
// answer is the same without these headers, and their browser keeps it from the page.
func (s *server) share(c *fiber.Ctx) {
	c.Set(fiber.HeaderVary, fiber.HeaderOrigin)
	from := c.Get(fiber.HeaderOrigin)
	if from == "" || !s.origins.Admits(from, string(c.Request().Header.Host())) {
		return
	}
	c.Set(fiber.HeaderAccessControlAllowOrigin, from)
	c.Set(fiber.HeaderAccessControlExposeHeaders, exposedHeaders)
	if isPreflight(c) {
		c.Set(fiber.HeaderAccessControlAllowMethods, sharedMethods)
		c.Set(fiber.HeaderAccessControlAllowHeaders, sharedHeaders)
		c.Set(fiber.HeaderAccessControlMaxAge, preflightMaxAge)
	}
}

// isPreflight reports whether a browser asks what a page may send, before it sends that.
func isPreflight(c *fiber.Ctx) bool {
	return c.Method() == fiber.MethodOptions && c.Get(fiber.HeaderOrigin) != "" &&
		c.Get(fiber.HeaderAccessControlRequestMethod) != ""
}

func answerPreflight(c *fiber.Ctx) error {
	exchangeOf(c).route = "preflight"
	c.Status(http.StatusNoContent)
	return nil
}

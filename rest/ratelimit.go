package rest

import (
	"math"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/chat"
)

// The headers of draft-ietf-httpapi-ratelimit-headers-11, as
// docs/contract.md#rates has them.
const (
	rateLimitHeader       = "RateLimit"
	rateLimitPolicyHeader = "RateLimit-Policy"
)

// tellRates says in the answer to an accepted token what the user may do, and what of that
// is left: q (quota) at once, given back in w (window) seconds; r is what remains of it, and
// in t seconds it is whole again.
//
//	RateLimit-Policy: "write";q=40;w=2, "read";q=200;w=4
//	RateLimit: "write";r=39;t=1, "read";r=200;t=0
func (s *server) tellRates(c *fiber.Ctx, ex *exchange) {
	if ex.identity.User == "" {
		return
	}
	var policy, left []byte
	for i, r := range s.chat.Rates(chat.Caller{User: ex.identity.User, Scopes: ex.identity.Scopes}) {
		if i > 0 {
			policy, left = append(policy, ", "...), append(left, ", "...)
		}
		policy = appendRate(policy, r.Name, 'q', r.Quota, 'w', r.Window)
		left = appendRate(left, r.Name, 'r', r.Left, 't', r.Whole)
	}
	if len(policy) > 0 {
		c.Response().Header.SetBytesV(rateLimitPolicyHeader, policy)
		c.Response().Header.SetBytesV(rateLimitHeader, left)
	}
}

// appendRate appends one item of either header.
func appendRate(b []byte, name string, countName byte, count int, timeName byte, span time.Duration) []byte {
	b = strconv.AppendQuote(b, name)
	b = strconv.AppendInt(append(b, ';', countName, '='), int64(count), 10)
	return strconv.AppendInt(append(b, ';', timeName, '='), int64(math.Ceil(span.Seconds())), 10)
}

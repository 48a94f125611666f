package rest

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"
)

// Which requests the access log has. What the server failed to serve (5xx) it always has.
const (
	LogOff    = "off"
	LogErrors = "errors" // those that were refused, and slow ones
	LogAll    = "all"
)

// slow is how long a request takes that is logged under LogErrors.
const slow = time.Second

// denialsPerSecond is how many requests without a good token are logged in a second, except
// under LogAll: anybody can send them. The lines say how many there were besides.
const denialsPerSecond = 10

// end counts and logs a finished exchange. It logs neither token nor body nor path.
func (s *server) end(c *fiber.Ctx, ex *exchange) {
	s.tellRates(c, ex)
	took := time.Since(ex.start)
	method, status := methodName(c.Method()), c.Response().StatusCode()
	s.metrics.observe(method, ex.route, status, took)
	level, skipped, ok := s.logs(ex, status, took)
	if !ok || !s.log.Enabled(context.Background(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", method), slog.String("route", ex.route), slog.Int("status", status),
		slog.Float64("took_ms", float64(took.Microseconds())/1000), slog.Int("bytes", answerSize(c)),
		slog.String("user", string(ex.identity.User)), slog.String("addr", s.clientAddr(c)), slog.String("request_id", ex.requestID),
	}
	if ex.code != "" {
		attrs = append(attrs, slog.String("code", string(ex.code)))
	}
	if ex.reason != "" {
		attrs = append(attrs, slog.String("reason", string(ex.reason)))
	}
	if skipped > 0 {
		attrs = append(attrs, slog.Int("not_shown", skipped))
	}
	if ex.err != nil {
		attrs = append(attrs, slog.Any("error", ex.err))
	}
	s.log.LogAttrs(context.Background(), level, "request", attrs...)
}

// logs decides whether an exchange is logged, and at which level. skipped is how many like it
// were not.
func (s *server) logs(ex *exchange, status int, took time.Duration) (level slog.Level, skipped int, ok bool) {
	switch {
	case status == http.StatusInternalServerError: // a bug; 503 is none
		return slog.LevelError, 0, true
	case ex.err != nil:
		return slog.LevelWarn, 0, true
	case s.accessLog == LogOff:
		return 0, 0, false
	case ex.route == "/healthz" || ex.route == "/readyz" || ex.route == "/metrics":
		return slog.LevelDebug, 0, true // probes come every few seconds
	case s.accessLog != LogErrors:
		return slog.LevelInfo, 0, true
	case status >= http.StatusBadRequest && ex.route == realtimePath: // the broker has told why
		return 0, 0, false
	case status == http.StatusUnauthorized:
		skipped, ok = s.denials.Pass(time.Now())
		return slog.LevelInfo, skipped, ok
	}
	return slog.LevelInfo, 0, status >= http.StatusBadRequest || took > slow
}

// clientAddr is where the request came from.
func (s *server) clientAddr(c *fiber.Ctx) string {
	return s.proxies.Of(c.Context().RemoteAddr(), c.Request().Header.PeekAll(fiber.HeaderXForwardedFor))
}

// Package rest serves the HTTP side of the contract
// (docs/contract.md#requests): it turns requests into calls of the use cases
// and their results into JSON. The rules are in package chat, the spelling of
// bodies and problems is in package contracts; this package knows HTTP.
//
// [New] makes the application of a [Config]. A request passes the middleware (request id,
// log, metrics, panics; middleware.go), is routed (routes.go), is authenticated and read
// (request.go), calls one use case (usecases.go lists them) and is answered (response.go).
// Read in this order: rest.go, routes.go, request.go, messages.go, response.go,
// middleware.go.
package rest

import (
	"cmp"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/parleyhq/parley/auth"
)

// Config is what [New] needs. Chat and Verifier are required.
type Config struct {
	Chat     Chat
	Verifier *auth.Verifier
	Log      *slog.Logger

	// Realtime answers GET /v1/realtime. It authenticates the request itself and may
	// hijack the connection. If it is nil, there is no such route.
	Realtime fiber.Handler

	Metrics      *prometheus.Registry // where the request metrics are registered; nil: in a registry of the application's own
	ServeMetrics bool                 // whether the application has the route /metrics
	Draining     func() bool          // whether /readyz answers 503; nil: never

	Limits Limits // a zero field stands for that of DefaultLimits
}

// Limits bound what one connection may cost.
type Limits struct {
	BodyBytes    int           // size of a request's body (docs/contract.md#requests)
	HeaderBytes  int           // size of the request line and all headers
	ReadTimeout  time.Duration // until a request has arrived whole
	WriteTimeout time.Duration // until the client has received the response
	IdleTimeout  time.Duration // between two requests of a connection
	CallTimeout  time.Duration // until the use case has ended
}

// DefaultLimits are wide enough for a slow phone that sends a message of full size.
var DefaultLimits = Limits{
	BodyBytes:    256 << 10,
	HeaderBytes:  16 << 10,
	ReadTimeout:  30 * time.Second,
	WriteTimeout: 30 * time.Second,
	IdleTimeout:  2 * time.Minute,
	CallTimeout:  10 * time.Second,
}

func (l Limits) orDefaults() Limits {
	d := DefaultLimits
	l.BodyBytes = cmp.Or(l.BodyBytes, d.BodyBytes)
	l.HeaderBytes = cmp.Or(l.HeaderBytes, d.HeaderBytes)
	l.ReadTimeout = cmp.Or(l.ReadTimeout, d.ReadTimeout)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, d.WriteTimeout)
	l.IdleTimeout = cmp.Or(l.IdleTimeout, d.IdleTimeout)
	l.CallTimeout = cmp.Or(l.CallTimeout, d.CallTimeout)
	return l
}

// server holds what the handlers share. Nothing in it changes after New.
type server struct {
	chat     Chat
	verifier *auth.Verifier
	log      *slog.Logger
	metrics  *metrics
	draining func() bool
	limits   Limits
}

// New makes the application. The caller lets it listen and shuts it down. New panics if the
// registry already holds the request metrics.
func New(cfg Config) *fiber.App {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = prometheus.NewRegistry()
	}
	if cfg.Draining == nil {
		cfg.Draining = func() bool { return false }
	}
	s := &server{
		chat: cfg.Chat, verifier: cfg.Verifier, log: cfg.Log, metrics: newMetrics(cfg.Metrics),
		draining: cfg.Draining, limits: cfg.Limits.orDefaults(),
	}
	app := newApp(s)
	app.Use(s.observe)
	s.routes(app, cfg)
	return app
}

// otherMethod stands for every method that HTTP does not define, so that a request with
// such a method is routed (and refused), logged and counted like any other.
const otherMethod = "OTHER"

func newApp(s *server) *fiber.App {
	app := fiber.New(fiber.Config{
		BodyLimit:         s.limits.BodyBytes,
		ReadBufferSize:    s.limits.HeaderBytes,
		ReadTimeout:       s.limits.ReadTimeout,
		WriteTimeout:      s.limits.WriteTimeout,
		IdleTimeout:       s.limits.IdleTimeout,
		ErrorHandler:      s.refuseUnrouted,
		RequestMethods:    append([]string{otherMethod}, fiber.DefaultMethods...),
		CaseSensitive:     true,
		StrictRouting:     true,
		Network:           fiber.NetworkTCP, // IPv4 and IPv6
		ReduceMemoryUsage: true,             // idle and hijacked connections hold no read buffer

		// Fiber's strings are views into buffers that it reuses for the next request. Use
		// cases and the log may keep page cursors, keys and names, so Fiber has to copy
		// them. Bodies are not copied here: decoding does it.
		Immutable: true,

		DisableStartupMessage:        true,
		DisableDefaultContentType:    true,
		DisablePreParseMultipartForm: true, // no call accepts a form
	})
	limitConnections(app, s.limits)
	return app
}

// limitConnections configures what Fiber has no option for in the fasthttp server below it.
func limitConnections(app *fiber.App, l Limits) {
	server := app.Server()
	server.KeepHijackedConns = true // the broker owns them and closes them
	// Under ReduceMemoryUsage, fasthttp sets no deadline for the first byte of a connection.
	server.ConnState = func(conn net.Conn, state fasthttp.ConnState) {
		if state == fasthttp.StateNew {
			// An error means that the connection is gone; the next read will return that too.
			_ = conn.SetReadDeadline(time.Now().Add(l.ReadTimeout))
		}
	}
	// Fiber would answer an unknown method itself, without any middleware.
	route := server.Handler
	server.Handler = func(ctx *fasthttp.RequestCtx) {
		if sent := string(ctx.Method()); methodName(sent) != sent {
			ctx.Request.Header.SetMethod(otherMethod)
		}
		route(ctx)
	}
}

// methodName is the method, or otherMethod if HTTP does not define it.
func methodName(method string) string {
	if slices.Contains(fiber.DefaultMethods, method) {
		return method
	}
	return otherMethod
}

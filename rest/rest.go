// Package rest serves the HTTP side of the contract (section 3): it turns
// requests into calls of the use cases and their results into JSON. The rules
// live in package chat, the spelling in package contracts; what is here is HTTP.
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

// Config is what New needs. Chat and Verifier are required.
type Config struct {
	Chat     Chat
	Verifier *auth.Verifier
	Log      *slog.Logger

	// Realtime answers GET /v1/realtime. It authenticates by itself and may hijack
	// the connection. Without it there is no such route.
	Realtime fiber.Handler

	Metrics      *prometheus.Registry // where the request metrics go; an own one if nil
	ServeMetrics bool                 // whether /metrics is a route here
	Draining     func() bool          // whether /readyz turns clients away; never if nil

	Limits Limits // zero fields take DefaultLimits
}

// Limits bound what one connection may cost.
type Limits struct {
	BodyBytes    int           // contract 3
	HeaderBytes  int           // of the request line and all headers
	ReadTimeout  time.Duration // for a whole request to arrive
	WriteTimeout time.Duration // for a response to be taken
	IdleTimeout  time.Duration // between two requests of a connection
	CallTimeout  time.Duration // for a use case to finish
}

// DefaultLimits fit a slow phone with a message of full size.
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

// server is what the handlers share. Nothing in it changes after New.
type server struct {
	chat     Chat
	verifier *auth.Verifier
	log      *slog.Logger
	metrics  *metrics
	draining func() bool
	limits   Limits
}

// New makes the application. The caller listens with it and shuts it down. It
// panics if the registry already holds the request metrics.
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

// otherMethod stands for every method that HTTP does not define, so that such a
// request is routed (and refused), logged and counted like any other.
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
		Network:           fiber.NetworkTCP, // both families, not only IPv4
		ReduceMemoryUsage: true,             // an idle connection, and a hijacked one, keeps no read buffer

		// Fiber hands out strings that alias buffers it reuses for the next request.
		// Cursors, keys and names go on into the use cases and the log, which may
		// keep them, so all are copied. Bodies are read raw: decoding copies.
		Immutable: true,

		DisableStartupMessage:        true,
		DisableDefaultContentType:    true,
		DisablePreParseMultipartForm: true, // no call takes a form
	})
	limitConnections(app, s.limits)
	return app
}

// limitConnections settles what Fiber leaves open in the server below it.
func limitConnections(app *fiber.App, l Limits) {
	server := app.Server()
	server.KeepHijackedConns = true // they are the broker's, which closes them
	// Without a read buffer, fasthttp waits for the very first byte of a
	// connection without a deadline.
	server.ConnState = func(conn net.Conn, state fasthttp.ConnState) {
		if state == fasthttp.StateNew {
			// An error means that the connection is gone, which the read will tell.
			_ = conn.SetReadDeadline(time.Now().Add(l.ReadTimeout))
		}
	}
	// Fiber answers a method it does not know by itself, past all of ours.
	route := server.Handler
	server.Handler = func(ctx *fasthttp.RequestCtx) {
		if sent := string(ctx.Method()); knownMethod(sent) != sent {
			ctx.Request.Header.SetMethod(otherMethod)
		}
		route(ctx)
	}
}

func knownMethod(method string) string {
	if slices.Contains(fiber.DefaultMethods, method) {
		return method
	}
	return otherMethod
}

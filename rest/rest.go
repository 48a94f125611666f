// Package rest serves the HTTP side of the contract
// (docs/contract.md#requests): it turns requests into calls of the use cases
// and their results into JSON. The rules are in package chat, the spelling of
// bodies and problems is in package contracts; this package knows HTTP.
//
// [New] makes the [Server] of a [Config]. The head of a request is received and its framing
// judged before anything else (conn.go, framing.go). The request passes the middleware (request
// id, metrics, panics; middleware.go; the log, accesslog.go), has its token checked (authenticate.go), is
// routed (routes.go), checked and read (request.go, readbody.go), calls one use case
// (usecases.go lists them) and is answered (response.go).
// Read in this order: rest.go, conn.go, authenticate.go, routes.go, request.go, messages.go,
// response.go, middleware.go.
package rest

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/internal/clientaddr"
	"github.com/parleyhq/parley/internal/origin"
	"github.com/parleyhq/parley/internal/sampling"
)

// Config is what [New] needs. Chat and Verifier are required.
type Config struct {
	Chat     Chat
	Verifier *auth.Verifier
	Log      *slog.Logger

	// Realtime answers GET /v1/realtime. It authenticates the request itself and may
	// hijack the connection. If it is nil, there is no such route.
	Realtime fiber.Handler

	// Pages adds routes that are no part of the API, and ask for no token; nil: there are none.
	Pages func(add func(method, path string, handle fiber.Handler))

	Origins *origin.Policy // whose pages may use the API from a browser; nil: those of the server's own origin

	Metrics      *prometheus.Registry // where the request metrics are registered; nil: in a registry of the application's own
	ServeMetrics bool                 // whether the application has the route /metrics
	Draining     func() bool          // whether /readyz answers 503; nil: never
	Dead         func() bool          // whether /healthz does: only a restart can help; nil: never

	Refused   func(chat.Code)    // counts a refusal; may be nil
	Failed    func(Failure)      // counts a call that failed for the store; may be nil
	Proxies   clientaddr.Proxies // whose X-Forwarded-For is believed
	AccessLog string             // LogAll, LogErrors or LogOff; "" is LogAll

	Limits Limits // a zero field stands for that of DefaultLimits
}

// Limits bound what one connection may cost.
type Limits struct {
	BodyBytes    int           // size of a request's body (docs/contract.md#requests)
	HeaderBytes  int           // size of the request line and all headers
	ReadTimeout  time.Duration // until the head of a request has arrived whole, and then its body
	WriteTimeout time.Duration // until the client has received the response
	IdleTimeout  time.Duration // between two requests of a connection
	CallTimeout  time.Duration // until the use case has ended
	TurnTimeout  time.Duration // until a request begins of a user with too many under way
}

// DefaultLimits are wide enough for a slow phone that sends a message of full size.
var DefaultLimits = Limits{
	BodyBytes:    512 << 10,
	HeaderBytes:  16 << 10,
	ReadTimeout:  30 * time.Second,
	WriteTimeout: 30 * time.Second,
	IdleTimeout:  2 * time.Minute,
	CallTimeout:  10 * time.Second,
	TurnTimeout:  time.Minute,
}

func (l Limits) orDefaults() Limits {
	d := DefaultLimits
	l.BodyBytes = cmp.Or(l.BodyBytes, d.BodyBytes)
	l.HeaderBytes = cmp.Or(l.HeaderBytes, d.HeaderBytes)
	l.ReadTimeout = cmp.Or(l.ReadTimeout, d.ReadTimeout)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, d.WriteTimeout)
	l.IdleTimeout = cmp.Or(l.IdleTimeout, d.IdleTimeout)
	l.CallTimeout = cmp.Or(l.CallTimeout, d.CallTimeout)
	l.TurnTimeout = cmp.Or(l.TurnTimeout, d.TurnTimeout)
	return l
}

// server holds what the handlers share. Nothing in it changes after New.
type server struct {
	chat     Chat
	verifier *auth.Verifier
	origins  *origin.Policy
	log      *slog.Logger
	metrics  *metrics
	draining func() bool
	dead     func() bool
	limits   Limits
	flights  *flights

	refused   func(chat.Code)
	failed    func(Failure)
	proxies   clientaddr.Proxies
	accessLog string
	denials   *sampling.Sampler // of the lines about requests without a good token
	illness   *sampling.Sampler // of the lines about health
}

// Server serves HTTP on listeners.
type Server struct {
	app    *fiber.App
	limits Limits
}

// Serve accepts connections until Shutdown, or until somebody else closes the listener. Then
// it returns nil.
func (s *Server) Serve(ln net.Listener) error { return s.app.Listener(listener{ln, s.limits}) }

// Shutdown closes the listeners and waits for the requests that are being served, but not
// longer than ctx.
func (s *Server) Shutdown(ctx context.Context) error { return s.app.ShutdownWithContext(ctx) }

// New makes the server. The caller lets it serve and shuts it down. New panics if the
// registry already holds the request metrics.
func New(cfg Config) *Server {
	if cfg.Metrics == nil {
		cfg.Metrics = prometheus.NewRegistry()
	}
	s := newServer(cfg, newMetrics(cfg.Metrics))
	app := newApp(fiber.Config{ErrorHandler: s.refuseUnrouted}, s.limits)
	app.Use(s.observe)
	s.routes(app, cfg)
	return &Server{app, s.limits}
}

func newServer(cfg Config, m *metrics) *server {
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	if cfg.Origins == nil {
		cfg.Origins, _ = origin.Parse(cfg.Log) // an empty list has no bad entry
	}
	if cfg.Draining == nil {
		cfg.Draining = func() bool { return false }
	}
	if cfg.Dead == nil {
		cfg.Dead = func() bool { return false }
	}
	if cfg.Failed == nil {
		cfg.Failed = func(Failure) {}
	}
	if cfg.Refused == nil {
		cfg.Refused = func(chat.Code) {}
	}
	return &server{
		chat: cfg.Chat, verifier: cfg.Verifier, origins: cfg.Origins, log: cfg.Log, metrics: m,
		draining: cfg.Draining, dead: cfg.Dead, limits: cfg.Limits.orDefaults(), flights: newFlights(),
		refused: cfg.Refused, failed: cfg.Failed, proxies: cfg.Proxies, accessLog: cfg.AccessLog,
		denials: sampling.New(denialsPerSecond), illness: sampling.New(1),
	}
}

// otherMethod stands for every method that HTTP does not define, so that a request with
// such a method is routed (and refused), logged and counted like any other.
const otherMethod = "OTHER"

// newApp makes an application with these limits, whose connections have to be of type *conn.
func newApp(cfg fiber.Config, l Limits) *fiber.App {
	cfg.ReadBufferSize = l.HeaderBytes
	cfg.ReadTimeout, cfg.WriteTimeout, cfg.IdleTimeout = l.ReadTimeout, l.WriteTimeout, l.IdleTimeout
	cfg.RequestMethods = append([]string{otherMethod}, fiber.DefaultMethods...)
	cfg.CaseSensitive, cfg.StrictRouting = true, true
	cfg.Network = fiber.NetworkTCP // IPv4 and IPv6
	cfg.ReduceMemoryUsage = true   // idle and hijacked connections hold no read buffer

	// Fiber's strings are views into buffers that it reuses for the next request. Use
	// cases and the log may keep page cursors, keys and names, so Fiber has to copy
	// them. Bodies are not copied here: decoding does it.
	cfg.Immutable = true

	cfg.DisableStartupMessage = true
	cfg.DisableDefaultContentType = true
	cfg.DisablePreParseMultipartForm = true // no call accepts a form
	app := fiber.New(cfg)
	configure(app.Server(), l)
	return app
}

// configure sets what Fiber has no option for in the fasthttp server below it.
func configure(server *fasthttp.Server, l Limits) {
	server.KeepHijackedConns = true // the broker owns them and closes them
	// Under ReduceMemoryUsage, fasthttp sets no deadline for the first byte of a connection.
	server.ConnState = func(conn net.Conn, state fasthttp.ConnState) {
		if state == fasthttp.StateNew {
			// An error means that the connection is gone; the next read will return that too.
			_ = conn.SetReadDeadline(time.Now().Add(l.ReadTimeout))
		}
	}
	// Bodies are not fasthttp's to read: it would allocate them as announced, before anybody
	// has looked at the token.
	server.HeaderReceived = func(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
		h.SetContentLength(0) // and no Transfer-Encoding
		h.Del(fiber.HeaderExpect)
		return fasthttp.RequestConfig{}
	}
	route := server.Handler
	server.Handler = func(ctx *fasthttp.RequestCtx) {
		// Fiber would answer an unknown method itself, without any middleware.
		if sent := string(ctx.Method()); methodName(sent) != sent {
			ctx.Request.Header.SetMethod(otherMethod)
		}
		route(ctx)
		conn := ctx.Conn().(*conn)
		if ctx.Hijacked() {
			conn.taken = true
			return
		}
		if !conn.finish(ctx.Response.StatusCode() != fasthttp.StatusUnauthorized) {
			ctx.SetConnectionClose()
		}
	}
}

// methodName is the method, or otherMethod if HTTP does not define it.
func methodName(method string) string {
	if slices.Contains(fiber.DefaultMethods, method) {
		return method
	}
	return otherMethod
}

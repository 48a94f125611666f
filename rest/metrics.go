package rest

import (
	"net/http/pprof" //nolint:gosec // G108: its routes in the default mux are served nowhere
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewOperations makes a server for operators, for an address of its own: /metrics,
// /healthz and /readyz, and with debug the profiles under /debug/pprof/. Of cfg it uses Chat,
// Log, Metrics and Draining.
func NewOperations(cfg Config, debug bool) *Server {
	app := newApp(fiber.Config{}, DefaultLimits)
	s := newServer(cfg, nil)
	app.Get("/metrics", metricsHandler(cfg.Metrics))
	app.Get("/healthz", s.healthz)
	app.Get("/readyz", s.readyz)
	if debug {
		app.Get("/debug/pprof/cmdline", adaptor.HTTPHandlerFunc(pprof.Cmdline))
		app.Get("/debug/pprof/profile", adaptor.HTTPHandlerFunc(pprof.Profile))
		app.Get("/debug/pprof/symbol", adaptor.HTTPHandlerFunc(pprof.Symbol))
		app.Get("/debug/pprof/trace", adaptor.HTTPHandlerFunc(pprof.Trace))
		app.Get("/debug/pprof/*", adaptor.HTTPHandlerFunc(pprof.Index)) // serves the others by their names
	}
	return &Server{app, DefaultLimits}
}

// metrics are the figures of the requests. REST registers them; the others come with the
// registry.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(registry *prometheus.Registry) *metrics {
	labels := []string{"route", "method", "status"}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_http_requests_total", Help: "HTTP requests answered.",
		}, labels),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "parley_http_request_duration_seconds", Help: "Time from a request's arrival to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .2, .5, 1, 2.5, 5, 10}, // 0.1 and 0.2 are the aims
		}, labels),
	}
	registry.MustRegister(m.requests, m.duration)
	return m
}

func (m *metrics) observe(method, route string, status int, took time.Duration) {
	code := strconv.Itoa(status)
	m.requests.WithLabelValues(route, method, code).Inc()
	m.duration.WithLabelValues(route, method, code).Observe(took.Seconds())
}

func metricsHandler(registry *prometheus.Registry) fiber.Handler {
	return adaptor.HTTPHandler(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
}

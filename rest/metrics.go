package rest

import (
	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// NewMetrics makes an application that serves /metrics and nothing else, for an
// address of its own.
func NewMetrics(registry *prometheus.Registry) *fiber.App {
	l := DefaultLimits
	app := fiber.New(fiber.Config{
		DisableStartupMessage: true, Network: fiber.NetworkTCP,
		ReadTimeout: l.ReadTimeout, WriteTimeout: l.WriteTimeout, IdleTimeout: l.IdleTimeout,
	})
	app.Get("/metrics", metricsHandler(registry))
	return app
}

package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/parleyhq/parley/auth/jwks"
	"github.com/parleyhq/parley/broker"
	"github.com/parleyhq/parley/broker/session"
)

// newMetrics makes the registry of /metrics with the figures of the process and of the
// realtime connections. Package rest adds those of requests.
func newMetrics(sessions *session.Registry, b *broker.Broker) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauge("parley_sessions", "Devices connected now.",
			func() float64 { return float64(sessions.Stats().Sessions) }),
		counter("parley_frames_sent_total", "Durable and receipt frames handed to connections.",
			func() float64 { return float64(sessions.Stats().Frames) }),
		counter("parley_receipts_dropped_total", "Receipt frames not sent to sessions that are too far behind.",
			func() float64 { return float64(sessions.Stats().ReceiptsDropped) }),
		counter("parley_mqtt_replies_dropped_total", "Answers to MQTT publishes dropped because their client does not read.",
			func() float64 { return float64(sessions.Stats().RepliesDropped) }),
		counter("parley_mqtt_panics_total", "MQTT connections ended by a panic of mochi, the MQTT library.",
			func() float64 { return float64(b.Panics()) }),
	)
	return r
}

// addKeyMetrics adds the figures of a key set.
func addKeyMetrics(r *prometheus.Registry, keys *jwks.Source) {
	r.MustRegister(
		gauge("parley_jwks_keys", "Keys in use of the set of --jwks.",
			func() float64 { return float64(keys.Stats().Keys) }),
		counter("parley_jwks_fetches_total", "Fetches of the key set.",
			func() float64 { return float64(keys.Stats().Fetches) }),
		counter("parley_jwks_fetch_failures_total", "Fetches that brought no usable key set, so that the last good one stays.",
			func() float64 { return float64(keys.Stats().Failures) }),
		gauge("parley_jwks_last_success_timestamp_seconds", "Time of the last fetch that brought a usable key set.",
			func() float64 { return float64(keys.Stats().Succeeded.Unix()) }),
	)
}

// addCertificateMetrics adds the figures of the certificate.
func addCertificateMetrics(r *prometheus.Registry, c *certificate) {
	r.MustRegister(
		gauge("parley_tls_certificate_not_after_timestamp_seconds", "Time at which the certificate in use expires.",
			func() float64 { return float64(c.notAfter().Unix()) }),
		counter("parley_tls_renewal_failures_total", "Renewed certificates that could not be used, so that the last good one stays.",
			func() float64 { return float64(c.failures.Load()) }),
	)
}

func gauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
}

func counter(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value)
}

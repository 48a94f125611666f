package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/parleyhq/parley/auth/jwks"
	"github.com/parleyhq/parley/broker"
	"github.com/parleyhq/parley/broker/session"
)

// newMetrics makes the registry of /metrics with the figures of the process and
// of the realtime side. REST adds its own.
func newMetrics(sessions *session.Registry, b *broker.Broker) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "parley_sessions", Help: "Devices connected now.",
		}, func() float64 { return float64(sessions.Stats().Sessions) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "parley_frames_sent_total", Help: "Durable and receipt frames handed to connections.",
		}, func() float64 { return float64(sessions.Stats().Frames) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "parley_receipts_dropped_total", Help: "Receipt frames not told to sessions too far behind.",
		}, func() float64 { return float64(sessions.Stats().ReceiptsDropped) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "parley_mqtt_replies_dropped_total", Help: "Answers to publishes whose client does not read them.",
		}, func() float64 { return float64(sessions.Stats().RepliesDropped) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "parley_mqtt_panics_total", Help: "MQTT connections ended by a panic of the protocol front.",
		}, func() float64 { return float64(b.Panics()) }),
	)
	return r
}

// addKeyMetrics adds the figures of a key set.
func addKeyMetrics(r *prometheus.Registry, keys *jwks.Source) {
	r.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "parley_jwks_keys", Help: "Keys of the set of --jwks in use.",
		}, func() float64 { return float64(keys.Stats().Keys) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "parley_jwks_fetches_total", Help: "Fetches of the key set.",
		}, func() float64 { return float64(keys.Stats().Fetches) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "parley_jwks_fetch_failures_total", Help: "Fetches that brought no usable key set; the last good one stays.",
		}, func() float64 { return float64(keys.Stats().Failures) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "parley_jwks_last_success_timestamp_seconds", Help: "When the key set was last fetched well.",
		}, func() float64 { return float64(keys.Stats().Succeeded.Unix()) }),
	)
}

// addCertificateMetrics adds the figures of the certificate.
func addCertificateMetrics(r *prometheus.Registry, c *certificate) {
	r.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "parley_tls_certificate_not_after_timestamp_seconds", Help: "When the certificate in use ends.",
		}, func() float64 { return float64(c.notAfter().Unix()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "parley_tls_renewal_failures_total", Help: "Renewed certificates that could not be used; the last good one stays.",
		}, func() float64 { return float64(c.failures.Load()) }),
	)
}

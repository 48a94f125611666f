package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

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
			Name: "parley_mqtt_panics_total", Help: "MQTT connections ended by a panic of the protocol front.",
		}, func() float64 { return float64(b.Panics()) }),
	)
	return r
}

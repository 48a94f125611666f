package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/parleyhq/parley/auth/jwks"
	"github.com/parleyhq/parley/broker"
	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/bus"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/internal/admission"
	"github.com/parleyhq/parley/internal/measure"
	"github.com/parleyhq/parley/rest"
	"github.com/parleyhq/parley/store/base"
)

// newMetrics makes the registry of /metrics with the figures of the process, of the use cases
// and of the realtime connections. Package rest adds those of requests. docs/operations.md
// lists them all.
func newMetrics(n *node) *prometheus.Registry {
	r := prometheus.NewRegistry()
	build := buildInfo()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		tallies("parley_build_info", "The build that runs: the value is always 1.", prometheus.GaugeValue, []string{"version", "commit", "goversion"},
			func(yield func(int64, ...string)) { yield(1, version, build.commit, build.goVersion) }),
	)
	for _, operation := range []string{"read", "receipts", string(rest.ReadFailed), string(rest.WriteFailed)} {
		n.sessions.Stats().StoreErrors.Add(operation, 0) // all are shown from the start
	}
	addChatMetrics(r, n.chat)
	addSessionMetrics(r, n.sessions.Stats())
	addConnectionMetrics(r, n.broker)
	addAdmissionMetrics(r, n.gate)
	addBusMetrics(r, bus.FiguresOf(n.bus))
	r.MustRegister(
		tallies("parley_store_errors_total", "Failures of the store, by what it failed to do.", prometheus.CounterValue, []string{"operation"},
			func(yield func(int64, ...string)) {
				yield(n.chat.Stats().AppendErrors.Load(), "append")
				ofTally(&n.sessions.Stats().StoreErrors)(yield)
			}),
		tallies("parley_mqtt_publishes_total", "Messages that MQTT clients published, by what became of them: stored, known or the code of the problem.",
			prometheus.CounterValue, []string{"result"}, ofTally(&n.publishes)),
		tallies("parley_mqtt_subscribes_refused_total", "Filters of MQTT subscriptions that were refused, by the reason code of MQTT 5.",
			prometheus.CounterValue, []string{"code"}, ofTally(&n.subscribes)),
		tallies("parley_refusals_total", "Refusals told to clients, by protocol and problem code.", prometheus.CounterValue, []string{"protocol", "code"},
			func(yield func(int64, ...string)) {
				ofPairs(&n.refusals)(yield)
				ofPairs(&n.sessions.Stats().Errors)(yield)
			}),
	)
	if s, ok := n.store.(interface{ Stats() base.Stats }); ok {
		addStoreMetrics(r, s.Stats())
	}
	if n.keys != nil {
		addKeyMetrics(r, n.keys)
	}
	if n.cert != nil {
		addCertificateMetrics(r, n.cert)
	}
	return r
}

// addChatMetrics adds the figures of the use cases.
func addChatMetrics(r *prometheus.Registry, svc *chat.Service) {
	s := svc.Stats()
	r.MustRegister(
		histogram("parley_send_to_ack_seconds", "Time from the begin of a send to its commit, of new messages.", s.SendToAck),
		counter("parley_clock_steps_total", "How often the wall clock was found to have been set.", func() float64 { return float64(svc.ClockSteps()) }),
		gauge("parley_clock_skew_seconds", "How far the clock is ahead of the database's, as last compared.", func() float64 { return svc.ClockSkew().Seconds() }),
		histogram("parley_store_commit_seconds", "Time that the store took for an append to a log.", s.Commits),
		tallies("parley_rate_limited_total", "What was refused as too fast, by what it was.", prometheus.CounterValue, []string{"kind"},
			func(yield func(int64, ...string)) {
				svc.RateLimited(func(kind string, count int64) { yield(count, kind) })
			}),
	)
}

// addSessionMetrics adds the figures of connected devices.
func addSessionMetrics(r *prometheus.Registry, s *session.Stats) {
	r.MustRegister(
		gauge("parley_sessions", "Devices connected now.", func() float64 { return float64(s.Sessions.Load()) }),
		tallies("parley_frames_sent_total", "Frames handed to connections, by type.", prometheus.CounterValue, []string{"type"},
			func(yield func(int64, ...string)) { s.Frames(func(name string, count int64) { yield(count, name) }) }),
		counter("parley_receipts_dropped_total", "Receipt frames not sent to sessions that are too far behind.",
			func() float64 { return float64(s.ReceiptsDropped.Load()) }),
		counter("parley_mqtt_replies_dropped_total", "Answers to MQTT publishes dropped because their client does not read.",
			func() float64 { return float64(s.RepliesDropped.Load()) }),
		histogram("parley_send_to_deliver_seconds", "Time from a message's being made to its being handed to a connection that was not behind.", s.SendToDeliver),
		histogram("parley_replay_events", "Events sent in each catch-up of a device.", s.Replays),
		histogram("parley_window_full_seconds", "How long frames waited for room among the unacknowledged ones.", s.WindowFull),
	)
}

// addConnectionMetrics adds the figures of connections.
func addConnectionMetrics(r *prometheus.Registry, b *broker.Broker) {
	s := b.Stats()
	r.MustRegister(
		tallies("parley_connections", "Realtime connections, by protocol; mqtt is one whose CONNECT has not come yet.", prometheus.GaugeValue,
			[]string{"protocol"}, ofTally(&s.Open)),
		tallies("parley_connects_total", "Clients admitted, by protocol.", prometheus.CounterValue, []string{"protocol"}, ofTally(&s.Connects)),
		tallies("parley_connects_refused_total", "Clients refused, by protocol and reason.", prometheus.CounterValue,
			[]string{"protocol", "reason"}, ofPairs(&s.Refused)),
		tallies("parley_connection_ends_total", "Connections of admitted clients that ended, by protocol and reason.", prometheus.CounterValue,
			[]string{"protocol", "reason"}, ofPairs(&s.Ends)),
		counter("parley_mqtt_panics_total", "MQTT connections ended by a panic of mochi, the MQTT library.",
			func() float64 { return float64(b.Panics()) }),
	)
}

// addBusMetrics adds the figures of the bus between nodes.
func addBusMetrics(r *prometheus.Registry, f bus.Figures) {
	r.MustRegister(
		gauge("parley_bus_connected", "Whether NATS can be reached; 0 for a single node.", func() float64 {
			if f.Connected() {
				return 1
			}
			return 0
		}),
		gauge("parley_bus_peers", "Other nodes that are heard.", func() float64 { return float64(f.Peers()) }),
		tallies("parley_bus_notices_total", "Notices to and from other nodes, by their fate.", prometheus.CounterValue, []string{"fate"}, f.Notices),
		gauge("parley_nodes", "Nodes that live, this one too; 0 for a single node.", func() float64 { return float64(len(f.Live())) }),
		counter("parley_bus_losses_total", "How often all sessions were told to look for lost notices.", func() float64 { return float64(f.Losses()) }),
		counter("parley_bus_repairs_total", "How often the store was asked for what a node has stored.", func() float64 {
			looks, _ := f.Repairs()
			return float64(looks)
		}),
		counter("parley_bus_repaired_threads_total", "Threads with news that were found so.", func() float64 {
			_, threads := f.Repairs()
			return float64(threads)
		}),
	)
}

// addStoreMetrics adds the figures of an embedded store.
func addStoreMetrics(r *prometheus.Registry, s base.Stats) {
	r.MustRegister(
		gauge("parley_store_bytes", "What the embedded store takes on the disk.", func() float64 { return float64(s.Bytes()) }),
		histogram("parley_store_sync_seconds", "Time of each sync of the embedded store, which makes a group of writes durable.", s.Syncs),
	)
}

// addAdmissionMetrics adds the figures of the bound on connections.
func addAdmissionMetrics(r *prometheus.Registry, gate *admission.Gate) {
	r.MustRegister(
		gauge("parley_open_connections", "Connections of all protocols, authenticated or not.",
			func() float64 { return float64(gate.Stats().Open) }),
		counter("parley_connections_shed_total", "Connections that had not authenticated and were closed to make room.",
			func() float64 { return float64(gate.Stats().Shed) }),
		counter("parley_connections_over_total", "Connections refused because there were as many as may be.",
			func() float64 { return float64(gate.Stats().Over) }),
	)
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

// tallied are counts by labels, read when they are asked for.
type tallied struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	each func(yield func(count int64, labels ...string))
}

func tallies(name, help string, kind prometheus.ValueType, labels []string, each func(yield func(count int64, labels ...string))) prometheus.Collector {
	return &tallied{prometheus.NewDesc(name, help, labels, nil), kind, each}
}

func ofTally(t *measure.Tally[string]) func(yield func(int64, ...string)) {
	return func(yield func(int64, ...string)) {
		for label, count := range t.All() {
			yield(count, label)
		}
	}
}

func ofPairs(t *measure.Tally[[2]string]) func(yield func(int64, ...string)) {
	return func(yield func(int64, ...string)) {
		for labels, count := range t.All() {
			yield(count, labels[0], labels[1])
		}
	}
}

// Describe implements prometheus.Collector.
func (t *tallied) Describe(ch chan<- *prometheus.Desc) { ch <- t.desc }

// Collect implements prometheus.Collector.
func (t *tallied) Collect(ch chan<- prometheus.Metric) {
	t.each(func(count int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(t.desc, t.kind, float64(count), labels...)
	})
}

// measured is a histogram, read when it is asked for.
type measured struct {
	desc *prometheus.Desc
	of   *measure.Histogram
}

func histogram(name, help string, of *measure.Histogram) prometheus.Collector {
	return &measured{prometheus.NewDesc(name, help, nil, nil), of}
}

// Describe implements prometheus.Collector.
func (m *measured) Describe(ch chan<- *prometheus.Desc) { ch <- m.desc }

// Collect implements prometheus.Collector.
func (m *measured) Collect(ch chan<- prometheus.Metric) {
	count, sum, upTo := m.of.Snapshot()
	ch <- prometheus.MustNewConstHistogram(m.desc, count, sum, upTo)
}

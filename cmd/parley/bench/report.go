package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Report is the result of a run. Its JSON is that of --json.
type Report struct {
	Mode    Mode      `json:"mode"`
	Label   string    `json:"label,omitempty"`
	Target  string    `json:"target"`
	Started time.Time `json:"started"`
	Setting string    `json:"setting"` // in words

	Connections int     `json:"connections"`
	Seconds     float64 `json:"seconds"` // from the start of measuring to the last delivery

	Sent        uint64 `json:"sent"`         // messages acknowledged by the server, warm-up included
	Unsent      uint64 `json:"unsent"`       // messages that were due and that no sender came to send
	Deliveries  uint64 `json:"deliveries"`   // messages and receipts that came, warm-up included
	Receipts    uint64 `json:"receipts"`     // those of the deliveries that are receipts
	OtherFrames uint64 `json:"other_frames"` // frames of kinds that the mode does not count

	Lost         uint64 `json:"lost"`
	LostReceipts uint64 `json:"lost_receipts"`
	Duplicates   uint64 `json:"duplicates"`
	OutOfOrder   uint64 `json:"out_of_order"`
	Strange      uint64 `json:"strange"` // messages for another device, or of another run
	Broken       uint64 `json:"broken"`  // connections that the server ended

	Retries uint64 `json:"retries"` // catchup: failed attempts to connect, whose time is part of the timing

	SendsPerSecond      float64 `json:"sends_per_second"`
	DeliveriesPerSecond float64 `json:"deliveries_per_second"`

	Timings []Timing `json:"timings"`

	Server           *ServerUse     `json:"server"` // null: not measured
	ClientCPUSeconds float64        `json:"client_cpu_seconds"`
	Errors           map[string]int `json:"errors,omitempty"` // how often each error ended a connection or an attempt to connect

	measured uint64 // the deliveries for which the server used its CPU seconds
	mu       sync.Mutex
}

// Timing sums up latencies, in milliseconds.
type Timing struct {
	What  string  `json:"what"`
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

// ServerUse is what the server's process used while it was measured.
type ServerUse struct {
	CPUSeconds           float64 `json:"cpu_seconds"`
	CPUSecondsPerMillion float64 `json:"cpu_seconds_per_million_deliveries,omitempty"`
	CPUPerMillionSends   float64 `json:"cpu_seconds_per_million_sends,omitempty"` // sends

	ResidentBytes      float64 `json:"resident_bytes"`
	BytesPerConnection float64 `json:"resident_bytes_per_connection,omitempty"` // idle
	HeapPerConnection  float64 `json:"heap_bytes_per_connection,omitempty"`
	StackPerConnection float64 `json:"stack_bytes_per_connection,omitempty"`
}

func newReport(o Options) *Report {
	r := &Report{Mode: o.Mode, Label: o.Label, Target: o.URL, Started: time.Now().UTC().Truncate(time.Second), Setting: o.setting()}
	if o.Broker != "" {
		r.Target = o.Broker
	}
	return r
}

// setting says in words what the run does.
func (o *Options) setting() string {
	pace := "as fast as it goes"
	if o.Rate > 0 {
		pace = fmt.Sprintf("%g messages/s", o.Rate)
	}
	via := o.Via
	if o.Broker != "" {
		via = "plain publish"
	}
	switch o.Mode {
	case Idle:
		return fmt.Sprintf("%d connections of %s", o.Connections, o.Protocol)
	case Fanout:
		return fmt.Sprintf("%d receivers by %s, %d senders by %s, %d bytes, %s", o.Receivers, o.Protocol, o.Senders, via, o.Payload, pace)
	case Sends:
		return fmt.Sprintf("%d pairs of whom one is away, sent by %s, %d bytes, %s", o.Pairs, via, o.Payload, pace)
	case Pairs:
		return fmt.Sprintf("%d pairs, received by %s, sent by %s, %d bytes, %s", o.Pairs, o.Protocol, via, o.Payload, pace)
	case Catchup:
		return fmt.Sprintf("%d devices by %s, %d missed messages each over %d threads, groups of %d devices, %d bytes",
			o.Devices, o.Protocol, o.Messages, o.Threads, min(o.Group, o.Devices), o.Payload)
	case Receipts:
		return fmt.Sprintf("%d people by %s all reading, %d bytes, %s", o.Receivers, o.Protocol, o.Payload, pace)
	}
	return ""
}

// endpoints matches the addresses in errors of package net. Their ports differ from
// connection to connection, and would make each error a kind of its own.
var endpoints = regexp.MustCompile(`(read|write|dial) tcp \S+: `)

// note counts an error that ended a connection, or an attempt to connect.
func (r *Report) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Errors == nil {
		r.Errors = make(map[string]int)
	}
	const kinds = 20 // errors with varying texts must not fill the report
	if text := endpoints.ReplaceAllString(err.Error(), "$1: "); r.Errors[text] > 0 || len(r.Errors) < kinds {
		r.Errors[text]++
	}
}

func (r *Report) serverUse(before, after usage) {
	if !before.measured || !after.measured {
		return
	}
	r.Server = &ServerUse{CPUSeconds: after.cpu - before.cpu, ResidentBytes: after.rss}
	switch perMillion := r.Server.CPUSeconds / float64(r.measured) * 1e6; {
	case r.measured == 0:
	case r.Mode == Sends:
		r.Server.CPUPerMillionSends = perMillion
	default:
		r.Server.CPUSecondsPerMillion = perMillion
	}
}

// memory reports the memory that each of n connections costs.
func (r *Report) memory(before, after usage, n int) {
	if r.Server == nil {
		return
	}
	r.Server.BytesPerConnection = (after.rss - before.rss) / float64(n)
	r.Server.HeapPerConnection = (after.heap - before.heap) / float64(n)
	r.Server.StackPerConnection = (after.stack - before.stack) / float64(n)
}

// Verdict is an error if the server broke a promise: something was lost, came out of order
// or to the wrong device, or a connection broke. Duplicates are allowed, since delivery is
// at least once.
func (r *Report) Verdict() error {
	var bad []string
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{r.Lost, "lost"},
		{r.LostReceipts, "receipts lost"},
		{r.OutOfOrder, "out of order"},
		{r.Strange, "to the wrong device"},
		{r.Broken, "connections broken"},
	} {
		if c.n > 0 {
			bad = append(bad, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return errors.New("the server did not keep its promises: " + strings.Join(bad, ", "))
}

// WriteJSON writes the report for machines.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s against %s\n  %s\n\n", r.Mode, r.Target, r.Setting)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-28s", name)
		fmt.Fprintf(&b, format+"\n", args...)
	}
	if r.Mode == Idle {
		line("connections", "%d, %d broken", r.Connections, r.Broken)
	} else {
		line("sent", "%d messages, %.0f/s, %d unsent", r.Sent, r.SendsPerSecond, r.Unsent)
	}
	if r.Mode != Idle && r.Mode != Sends {
		line("delivered", "%d, %.0f/s, in %.1f s", r.Deliveries, r.DeliveriesPerSecond, r.Seconds)
		if r.Mode == Receipts {
			line("of them receipts", "%d", r.Receipts)
		}
	}
	lost := strconv.FormatUint(r.Lost, 10)
	if r.Mode == Receipts {
		lost = fmt.Sprintf("%d messages, %d receipts", r.Lost, r.LostReceipts)
	}
	line("lost", "%s", lost)
	line("duplicates", "%d", r.Duplicates)
	line("out of order", "%d", r.OutOfOrder)
	if r.Strange > 0 || r.Broken > 0 && r.Mode != Idle {
		line("wrong device / broken", "%d / %d", r.Strange, r.Broken)
	}
	if r.Retries > 0 {
		line("tried in vain", "%d connections", r.Retries)
	}
	r.writeServer(line)
	line("CPU of the generator", "%.2f s", r.ClientCPUSeconds)
	if len(r.Timings) > 0 {
		fmt.Fprintf(&b, "\n  %-24s%10s%10s%10s%10s%10s%10s\n", "milliseconds", "count", "p50", "p90", "p99", "p99.9", "max")
		for _, t := range r.Timings {
			fmt.Fprintf(&b, "  %-24s%10d%10.2f%10.2f%10.2f%10.2f%10.2f\n", t.What, t.Count, t.P50, t.P90, t.P99, t.P999, t.Max)
		}
	}
	for _, text := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(&b, "\n  %d × %s\n", r.Errors[text], text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) writeServer(line func(name, format string, args ...any)) {
	switch s := r.Server; {
	case s == nil:
		line("CPU of the server", "not known (see --pid)")
	case r.Mode == Idle:
		line("CPU of the server", "%.2f s in %.1f s", s.CPUSeconds, r.Seconds)
		line("memory of the server", "%.1f MB resident", s.ResidentBytes/1e6)
		line("  for each connection", "%.1f KB (heap %.1f, stacks %.1f)", s.BytesPerConnection/1e3, s.HeapPerConnection/1e3, s.StackPerConnection/1e3)
	default:
		perMillion, unit := s.perMillion()
		line("CPU of the server", "%.2f s, %.2f s per million %s", s.CPUSeconds, perMillion, unit)
		line("memory of the server", "%.1f MB resident", s.ResidentBytes/1e6)
	}
}

// perMillion is the CPU time per million deliveries or, in the mode sends, per million sends.
func (s *ServerUse) perMillion() (seconds float64, of string) {
	if s.CPUPerMillionSends > 0 {
		return s.CPUPerMillionSends, "sends"
	}
	return s.CPUSecondsPerMillion, "deliveries"
}

// ReadReport reads what WriteJSON wrote.
func ReadReport(from io.Reader) (*Report, error) {
	r := new(Report)
	if err := json.NewDecoder(from).Decode(r); err != nil {
		return nil, fmt.Errorf("read a report: %w", err)
	}
	return r, nil
}

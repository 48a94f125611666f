// Package bench is a load generator for chat servers that speak Parley's public contract,
// and for plain MQTT brokers to compare them with.
//
// Load is open loop: senders get their due times from a clock, and a latency counts from the
// time at which a message was due. So a server that delays its clients cannot hide it.
//
// [Run] makes one run with the [Options] of a [Mode] and gives a [Report]. Read in this
// order: bench.go, modes.go and receipts.go (what each mode does), load.go (the pace),
// sender.go and device.go (who sends and receives), losses.go, server_usage.go, report.go,
// table.go. The connections are in package wire.
package bench

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/parleyhq/parley/cmd/parley/bench/wire"
)

// Mode is what a run measures.
type Mode string

// The modes.
const (
	Idle     Mode = "idle"     // connections that do nothing
	Fanout   Mode = "fanout"   // one group with many receivers
	Pairs    Mode = "pairs"    // many 1:1 threads
	Sends    Mode = "sends"    // like pairs, but the receivers are away
	Catchup  Mode = "catchup"  // devices that missed messages and come back all at once
	Receipts Mode = "receipts" // a group in which everybody reads every message
)

// Modes lists all modes.
func Modes() []Mode { return []Mode{Idle, Fanout, Pairs, Sends, Catchup, Receipts} }

// How messages are sent.
const (
	ViaREST = "rest"
	ViaMQTT = "mqtt"
)

// Options are the settings of a run. Each mode ignores those of the others.
type Options struct {
	Mode  Mode
	Label string // name of the run in its report

	URL        string // URL of a Parley server: http://host:port
	MQTT       string // address of its MQTT listener: host:port
	Broker     string // URL of a plain MQTT broker instead: mqtt://host:port
	PID        int    // process to measure instead of reading metrics; 0: read metrics
	MetricsURL string // "" for URL/metrics

	// Token makes the bearer token of a user.
	Token func(user string) (string, error)

	Protocol wire.Protocol // of the receivers
	Via      string        // how senders send: ViaREST or ViaMQTT

	Receivers   int // fanout: devices in the group; receipts: users in the group
	Connections int // idle
	Pairs       int // pairs, sends
	Devices     int // catchup: devices that are away
	Messages    int // catchup: messages that each device misses
	Threads     int // catchup: threads over which the messages of a device are spread
	Group       int // catchup: devices that share their threads
	Senders     int // fanout: devices that send; catchup: messages sent at the same time

	Payload  int           // bytes of a message before base64
	Rate     float64       // messages per second of all senders together; 0: as fast as possible
	Backlog  int           // with Rate 0: messages on their way to each receiver, at most
	Warmup   time.Duration // how long load runs before it is measured
	Duration time.Duration // how long load is measured
	Settle   time.Duration // idle: how long connections are idle before memory is read

	Progress io.Writer // where progress is shown; nil: nowhere
}

// Run makes one run. It returns either a report or an error. A report may tell of losses:
// see [Report.Verdict].
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := allowConnections(o.connections()); err != nil {
		return nil, err
	}
	r, err := newRun(o)
	if err != nil {
		return nil, err
	}
	defer r.close()
	stop := r.showProgress()
	defer stop()
	mode := map[Mode]func(context.Context) error{
		Idle: r.idle, Fanout: r.fanout, Pairs: r.pairs, Sends: r.pairs, Catchup: r.catchup, Receipts: r.receipts,
	}[o.Mode]
	if err := mode(ctx); err != nil {
		return nil, err
	}
	r.closeDevices()
	r.total()
	return r.report, nil
}

// check refuses options that cannot work. The error names the flag.
func (o *Options) check() error {
	raw := o.Broker != ""
	switch {
	case !slices.Contains(Modes(), o.Mode):
		return fmt.Errorf("there is no mode %q: the modes are %v", o.Mode, Modes())
	case raw && o.Mode != Fanout && o.Mode != Pairs:
		return fmt.Errorf("--broker works with fanout and pairs, not with %s", o.Mode)
	case !raw && o.Token == nil:
		return errors.New("no key to make tokens with")
	case !slices.Contains([]wire.Protocol{wire.JSON, wire.MQTTWS, wire.MQTTTCP}, o.Protocol):
		return fmt.Errorf("--protocol must be json, mqtt-ws or mqtt-tcp, not %q", o.Protocol)
	case o.Via != ViaREST && o.Via != ViaMQTT:
		return fmt.Errorf("--via must be rest or mqtt, not %q", o.Via)
	case o.Payload < headSize || o.Payload > 64<<10:
		return fmt.Errorf("--payload must be %d to %d bytes", headSize, 64<<10)
	case o.Rate < 0:
		return errors.New("--rate must not be negative")
	case o.Duration <= 0 || o.Warmup < 0 || o.Settle < 0:
		return errors.New("--duration must be positive, --warmup and --settle not negative")
	case o.Mode == Idle && o.Duration+o.Settle > 9*time.Minute:
		return errors.New("--settle and --duration must not exceed 9 minutes: idle clients send no keep-alive")
	}
	return o.checkCounts()
}

func (o *Options) checkCounts() error {
	type count struct {
		flag string
		n    int
	}
	counts := map[Mode][]count{
		Idle:     {{"connections", o.Connections}},
		Fanout:   {{"receivers", o.Receivers}, {"senders", o.Senders}, {"backlog", o.Backlog}},
		Pairs:    {{"pairs", o.Pairs}, {"backlog", o.Backlog}},
		Sends:    {{"pairs", o.Pairs}},
		Catchup:  {{"devices", o.Devices}, {"messages", o.Messages}, {"threads", o.Threads}, {"group", o.Group}, {"senders", o.Senders}},
		Receipts: {{"receivers", o.Receivers}},
	}[o.Mode]
	for _, c := range counts {
		if c.n < 1 {
			return fmt.Errorf("--%s must be positive", c.flag)
		}
	}
	switch {
	case o.Mode == Receipts && o.Rate == 0:
		return errors.New("--rate must be positive: a receipts run has a pace")
	case o.Mode == Receipts && o.Receivers < 2:
		return errors.New("--receivers must be at least 2")
	}
	return nil
}

// connections is how many sockets the run needs.
func (o *Options) connections() int {
	return map[Mode]int{
		Idle: o.Connections, Fanout: o.Receivers + o.Senders, Pairs: 2 * o.Pairs, Sends: o.Pairs,
		Catchup: o.Devices + o.Senders, Receipts: 2*o.Receivers + 1,
	}[o.Mode]
}

// run is one run of a mode.
type run struct {
	o      Options
	id     string    // part of every user and topic, so that runs do not meet
	base   time.Time // due times in messages are nanoseconds since then
	target *target
	source usageSource // of the server
	report *Report

	devices []*device
	streams []stream // by number; each message names the number of its stream
	tail    tail     // what messages carry behind their head

	from   atomic.Int64 // end of the warm-up
	counts counters
	timing *timings
	now    atomic.Value // string: what the run does at present
}

func newRun(o Options) (*run, error) {
	id := make([]byte, 4)
	_, _ = rand.Read(id) // never fails
	r := &run{o: o, id: "b" + hex.EncodeToString(id), base: time.Now(), timing: newTimings(), report: newReport(o)}
	r.tail = newTail(o.Payload)
	var err error
	if r.target, err = newTarget(o, r.id); err != nil {
		return nil, err
	}
	r.source = newUsageSource(o, r.target)
	return r, nil
}

func (r *run) close() {
	r.closeDevices()
	r.target.close()
}

func (r *run) closeDevices() {
	for _, d := range r.devices {
		d.close()
	}
}

// since is a time in the form in which messages carry it.
func (r *run) since(t time.Time) int64 { return int64(t.Sub(r.base)) }

// parseAddr gives the address in a URL of the scheme plain or secure, and whether it is
// secure.
func parseAddr(flag, raw string, plain, secure, port string) (addr string, tls bool, err error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.Scheme != plain && u.Scheme != secure {
		return "", false, fmt.Errorf("--%s must be like %s://host:port, not %q", flag, plain, raw)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	return net.JoinHostPort(u.Hostname(), port), u.Scheme == secure, nil
}

// Package bench is a load generator for chat servers that speak Parley's public
// contract, and for plain MQTT brokers to compare them with. Load is open loop:
// a latency counts from when the message was to be sent, so that a server that
// holds up its clients cannot hide it.
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
	Fanout   Mode = "fanout"   // one group
	Pairs    Mode = "pairs"    // many 1:1 threads
	Sends    Mode = "sends"    // as pairs, to people who are away
	Catchup  Mode = "catchup"  // devices that come back at once
	Receipts Mode = "receipts" // a group in which everybody reads
)

// Modes are all of them.
func Modes() []Mode { return []Mode{Idle, Fanout, Pairs, Sends, Catchup, Receipts} }

// How messages are sent.
const (
	ViaREST = "rest"
	ViaMQTT = "mqtt"
)

// Options are the settings of a run. A mode looks only at its own.
type Options struct {
	Mode  Mode
	Label string // names the run in its report

	URL        string // of a Parley server: http://host:port
	MQTT       string // its MQTT listener: host:port
	Broker     string // a plain MQTT broker instead: mqtt://host:port
	PID        int    // process to measure where there is no /metrics; 0 for none
	MetricsURL string // "" for URL/metrics

	// Token makes the bearer token of a user.
	Token func(user string) (string, error)

	Protocol wire.Protocol // of those who receive
	Via      string        // of those who send

	Receivers   int // fanout: devices in the group; receipts: its people
	Connections int // idle
	Pairs       int
	Devices     int // catchup
	Messages    int // catchup: missed by each device
	Threads     int // catchup: over which they are spread
	Group       int // catchup: devices that share their threads
	Senders     int

	Payload  int           // bytes of a message before base64
	Rate     float64       // messages a second in all; 0: as fast as it goes
	Backlog  int           // as fast as it goes: messages under way per receiver
	Warmup   time.Duration // not measured
	Duration time.Duration // measured
	Settle   time.Duration // idle: quiet time before memory is read

	Progress io.Writer // nil for none
}

// Run measures. A report comes with a nil error only; it may tell of losses.
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
	r.settle()
	return r.report, nil
}

// check refuses what cannot work, naming the flag.
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
	id     string    // part of every user and topic: runs do not meet
	base   time.Time // intended times are told since then
	target *target
	source process // the server as a process
	report *Report

	devices []*device
	streams []stream // by number; a message tells which it is of
	tail    tail     // what messages carry besides their head

	from   atomic.Int64 // end of the warm-up
	counts counters
	timing *timings
	now    atomic.Value // string: what is being done
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
	r.source = newProcess(o, r.target)
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

// since is a time as messages tell it.
func (r *run) since(t time.Time) int64 { return int64(t.Sub(r.base)) }

// parseAddr takes a URL of one of these schemes apart.
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

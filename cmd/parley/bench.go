package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/peterbourgon/ff/v3"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/cmd/parley/bench"
	"github.com/parleyhq/parley/cmd/parley/bench/wire"
)

const benchUsage = `parley bench puts load on a running server and reports latency, cost and losses.

	parley bench idle       connections that do nothing: memory for each
	parley bench fanout     one group with many receivers
	parley bench pairs      many 1:1 threads
	parley bench sends      many 1:1 threads whose receivers are away
	parley bench catchup    devices that missed messages and come back all at once
	parley bench receipts   a group in which everybody reads every message
	parley bench table      Markdown table of reports made with --json: medians, ratios

It uses only the public contract, and signs its tokens itself: it needs the
server's secret, in the same flags as parley token. A latency counts from the time
at which the message was due. A server under test must not limit the senders:

	parley serve --dev --rate-send 0 --rate-read 0 --rate-strangers 0
	parley bench fanout --receivers 250 --rate 50
	parley bench fanout --receivers 250 --senders 16 --rate 0 --protocol mqtt-tcp
	parley bench pairs --pairs 1000 --rate 1000 --via mqtt
	parley bench fanout --broker mqtt://127.0.0.1:1884 --pid $(pidof mosquitto)

The exit status is 1 if a message was lost or came out of order, or a connection
broke. Each mode lists its flags with --help.
`

// tokenLife is longer than any run.
const tokenLife = 12 * time.Hour

// runBench is `parley bench`.
func runBench(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(stderr, benchUsage)
		return errors.New("no mode given")
	}
	mode, args := args[0], args[1:]
	switch {
	case mode == "help" || mode == "-h" || mode == "--help":
		fmt.Fprint(stdout, benchUsage)
		return nil
	case mode == "table":
		return benchTable(args, stdout)
	case !slices.Contains(bench.Modes(), bench.Mode(mode)):
		return fmt.Errorf("there is no mode %q: see parley bench --help", mode)
	}
	o, asJSON, err := parseBench(bench.Mode(mode), args, stdout)
	if err != nil {
		return err
	}
	if isTerminal(stderr) {
		o.Progress = stderr
	}
	report, err := bench.Run(ctx, o)
	if err != nil {
		return err
	}
	write := report.WriteText
	if asJSON {
		write = report.WriteJSON
	}
	if err := write(stdout); err != nil {
		return err
	}
	return report.Verdict()
}

// benchFlags are the settings that are not a part of bench.Options.
type benchFlags struct {
	keys     keySettings
	data     string
	protocol string
	json     bool
}

func parseBench(mode bench.Mode, args []string, output io.Writer) (bench.Options, bool, error) {
	o := bench.Options{Mode: mode, Via: bench.ViaREST, Payload: 300, Senders: 1, Warmup: 2 * time.Second, Duration: 10 * time.Second}
	var f benchFlags
	fs := newFlagSet("parley bench " + string(mode))
	fs.StringVar(&o.URL, "url", "http://127.0.0.1:8080", "`URL` of the server: REST and realtime")
	fs.StringVar(&o.MQTT, "mqtt", "", "`address` of the server's MQTT over TCP, host:port (default: port 1883 of the host of --url)")
	fs.StringVar(&o.MetricsURL, "metrics-url", "", "`URL` of the server's metrics (default: /metrics of --url)")
	fs.IntVar(&o.PID, "pid", 0, "measure the process with this `id` on this machine instead of reading metrics")
	fs.StringVar(&o.Label, "label", "", "`name` of the run in its report")
	fs.BoolVar(&f.json, "json", false, "write the report as JSON")
	fs.StringVar(&f.protocol, "protocol", string(wire.MQTTTCP), "`protocol` of the receivers: json, mqtt-ws or mqtt-tcp")
	fs.StringVar(&f.data, "data", "./data", "`directory` in which serve --dev keeps its secret")
	f.keys.register(fs)
	registerMode(fs, &o)
	// The file of --config may be that of serve, with other flags in it.
	if err := parse(fs, args, output, ff.WithIgnoreUndefined(true)); err != nil {
		return o, false, err
	}
	o.Protocol = wire.Protocol(f.protocol)
	if o.Broker != "" {
		return o, f.json, nil
	}
	secret, err := f.keys.readSecret(f.data)
	if err != nil {
		return o, false, err
	}
	o.Token = func(user string) (string, error) {
		now := time.Now()
		return auth.Mint(secret, auth.Claims{
			User: chat.UserID(user), Scopes: []chat.Scope{chat.ScopeRead, chat.ScopeWrite},
			Issuer: f.keys.issuer, Audience: f.keys.audience, Issued: now, Expires: now.Add(tokenLife),
		})
	}
	return o, f.json, nil
}

// registerMode adds the flags of a mode.
func registerMode(fs *flag.FlagSet, o *bench.Options) {
	load := func() {
		fs.DurationVar(&o.Warmup, "warmup", o.Warmup, "how long load runs before it is measured")
		fs.DurationVar(&o.Duration, "duration", o.Duration, "how long load is measured")
	}
	payload := func() { fs.IntVar(&o.Payload, "payload", o.Payload, "bytes of a message before base64") }
	sending := func(rate float64) {
		load()
		payload()
		fs.Float64Var(&o.Rate, "rate", rate, "messages per second of all senders together; 0: as fast as possible")
		fs.StringVar(&o.Via, "via", o.Via, "`protocol` of the senders: rest or mqtt")
	}
	delivered := func() {
		fs.IntVar(&o.Backlog, "backlog", 256, "with --rate 0: messages on their way to each receiver, at most")
		fs.StringVar(&o.Broker, "broker", "", "`URL` of a plain MQTT broker to measure instead of Parley, mqtt://host:port")
	}
	switch o.Mode {
	case bench.Idle:
		fs.IntVar(&o.Connections, "connections", 1000, "connections, each of a user of its own")
		fs.DurationVar(&o.Settle, "settle", 5*time.Second, "how long the connections are idle before anything is measured")
		fs.DurationVar(&o.Duration, "duration", 5*time.Second, "how long idle connections are measured")
	case bench.Fanout:
		sending(50)
		delivered()
		fs.IntVar(&o.Receivers, "receivers", 250, "users in the group, with one device each")
		fs.IntVar(&o.Senders, "senders", o.Senders, "devices that send, each one message at a time")
	case bench.Pairs:
		sending(1000)
		delivered()
		fs.IntVar(&o.Pairs, "pairs", 100, "1:1 threads; one user of each sends one message at a time")
	case bench.Sends:
		sending(0)
		fs.IntVar(&o.Pairs, "pairs", 64, "1:1 threads; one user of each sends one message at a time, the other is away")
	case bench.Catchup:
		payload()
		fs.IntVar(&o.Devices, "devices", 100, "devices that are away, each of a user of its own")
		fs.IntVar(&o.Messages, "messages", 100, "messages that each device misses")
		fs.IntVar(&o.Threads, "threads", 10, "threads over which the messages of a device are spread")
		fs.IntVar(&o.Group, "group", 249, "devices that share their threads; one more user sends")
		fs.IntVar(&o.Senders, "senders", 64, "messages that are sent at the same time while the devices are away")
	case bench.Receipts:
		load()
		payload()
		fs.Float64Var(&o.Rate, "rate", 1, "messages per second; every user reads each of them")
		fs.IntVar(&o.Receivers, "receivers", 250, "users in the group")
	}
}

// benchTable is `parley bench table`.
func benchTable(args []string, stdout io.Writer) error {
	fs := newFlagSet("parley bench table")
	base := ""
	fs.StringVar(&base, "baseline", "mosquitto", "`name` that the others are compared with: what follows the last / of its reports' labels")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(stdout, "parley bench table [--baseline NAME] REPORT.json...")
			fs.SetOutput(stdout)
			fs.PrintDefaults()
			return err
		}
		return fmt.Errorf("%w (see parley bench table --help)", err)
	}
	if fs.NArg() == 0 {
		return errors.New("no reports given: see parley bench table --help")
	}
	var reports []*bench.Report
	for _, name := range fs.Args() {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		r, err := bench.ReadReport(bytes.NewReader(b))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		reports = append(reports, r)
	}
	return bench.WriteTable(stdout, reports, base)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull) // also a character device, under whatever name f has
	return err != nil || !os.SameFile(info, null)
}

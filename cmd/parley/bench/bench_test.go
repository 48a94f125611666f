package bench

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parleyhq/parley/cmd/parley/bench/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's goroutine that closes a client's idle connections ends only when their time is over.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
	)
}

var update = flag.Bool("update", false, "write the golden reports anew")

func TestHeadSurvivesTheFrame(t *testing.T) {
	for _, payload := range []int{headSize, headSize + 1, 300, 1000} {
		want := head{intended: 123_456_789_012, stream: 7, number: 1 << 20}
		tl := newTail(payload)
		raw := tl.appendRaw(nil, want)
		if got, ok := parseHead(raw); len(raw) != payload || !ok || got != want {
			t.Errorf("%d bytes: raw %d, %+v %v", payload, len(raw), got, ok)
		}
		encoded := tl.appendEncoded(nil, want)
		if decoded, err := base64.StdEncoding.DecodeString(string(encoded)); err != nil || !bytes.Equal(decoded, raw) {
			t.Errorf("%d bytes: the base64 is of something else: %v", payload, err)
		}
		frame := []byte(`{"t":"msg","id":"01X","seq":3,"ciphertext":"` + string(encoded) + `","content_type":"text"}`)
		if got, ok := headOf(frame); !ok || got != want {
			t.Errorf("%d bytes: in a frame %+v %v", payload, got, ok)
		}
	}
	for _, frame := range []string{
		`{"t":"msg","ciphertext":"aGVsbG8="}`, `{"t":"msg"}`, `{"t":"msg","ciphertext":"` + strings.Repeat("!", 40) + `"}`,
		`{"t":"msg","ciphertext":"` + strings.Repeat("A", 40) + `"}`, `{"t":"msg","ciphertext":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA`,
	} {
		if h, ok := headOf([]byte(frame)); ok {
			t.Errorf("%s: %+v", frame, h)
		}
	}
}

func TestReceivedNumbersTellsWhatHappened(t *testing.T) {
	for name, c := range map[string]struct {
		numbers               []uint32
		sent                  uint32
		lost, late, duplicate uint64
	}{
		"all":                       {[]uint32{0, 1, 2, 3}, 4, 0, 0, 0},
		"nothing":                   {nil, 3, 3, 0, 0},
		"the first missing":         {[]uint32{1, 2}, 3, 1, 0, 0},
		"the last missing":          {[]uint32{0, 1}, 4, 2, 0, 0},
		"a gap":                     {[]uint32{0, 3}, 4, 2, 0, 0},
		"a gap that closes":         {[]uint32{0, 2, 1, 3}, 4, 0, 1, 0},
		"one again":                 {[]uint32{0, 1, 1, 2, 0}, 3, 0, 0, 2},
		"late, and again":           {[]uint32{1, 0, 0}, 2, 0, 1, 1},
		"a later one than was told": {[]uint32{0, 1, 2}, 2, 0, 0, 0},
	} {
		var tr receivedNumbers
		var disorder, duplicates uint64
		for _, n := range c.numbers {
			switch tr.add(n) {
			case late:
				disorder++
			case duplicate:
				duplicates++
			case inOrder, early:
			}
		}
		if lost := tr.lost(c.sent); lost != c.lost || disorder != c.late || duplicates != c.duplicate {
			t.Errorf("%s: %d lost, %d late, %d doubles", name, lost, disorder, duplicates)
		}
	}
}

// In whatever order numbers come, received and lost ones add up to those sent.
func TestReceivedNumbersAddsUp(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		const sent = 50
		var tr receivedNumbers
		got := map[uint32]bool{}
		duplicates, want := 0, 0
		for range random.IntN(100) {
			n := random.Uint32N(sent)
			if got[n] {
				want++
			}
			got[n] = true
			if tr.add(n) == duplicate {
				duplicates++
			}
		}
		if lost := tr.lost(sent); lost != uint64(sent-len(got)) || duplicates != want {
			t.Fatalf("%d lost of %d, %d doubles of %d", lost, sent-len(got), duplicates, want)
		}
	}
}

func TestTimingsAreQuantiles(t *testing.T) {
	ts := newTimings()
	for i := range 1000 {
		ts.record("a", int64(time.Duration(i+1)*time.Millisecond))
	}
	ts.record("b", -5, int64(time.Hour))
	s := ts.summary()
	near := func(got, want float64) bool { return got >= want*0.998 && got <= want*1.002 }
	if len(s) != 2 || s[0].What != "a" || s[0].Count != 1000 || !near(s[0].P50, 500) || !near(s[0].P90, 900) ||
		!near(s[0].P99, 990) || !near(s[0].P999, 999) || !near(s[0].Max, 1000) {
		t.Errorf("%+v", s)
	}
	if s[1].Count != 2 || s[1].P50 > 0.001 || !near(s[1].Max, 300_000) {
		t.Errorf("what is out of range: %+v", s[1])
	}
}

func TestProcessFigures(t *testing.T) {
	u := parseMetrics([]byte("# HELP x y\nprocess_cpu_seconds_total 12.5\nprocess_resident_memory_bytes 1.048576e+06\ngo_memstats_heap_inuse_bytes 5\nother{a=\"b\"} 3\n"))
	if want := (usage{measured: true, cpu: 12.5, rss: 1 << 20, heap: 5}); u != want {
		t.Errorf("metrics: %+v", u)
	}
	if u := parseMetrics([]byte("other 3\n")); u.measured {
		t.Errorf("no metrics of a process: %+v", u)
	}
	u, err := parseStat("7 (a ) b) S 1 7 7 0 -1 4194560 500 0 0 0 150 50 0 0 20 0 9 0 100 1000000 256 184 0")
	if want := (usage{measured: true, cpu: 2, rss: 256 * float64(os.Getpagesize())}); err != nil || u != want {
		t.Errorf("stat: %+v, %v", u, err)
	}
	if _, err := parseStat("7 (x) S 1"); err == nil {
		t.Error("a short stat was taken")
	}
}

// The due times of pace do not depend on what the senders do.
func TestPaceIsOpenLoop(t *testing.T) {
	lanes := []*lane{{jobs: make(chan int64, 20)}, {jobs: make(chan int64, 20)}}
	start := time.Now().Add(-time.Second) // all are due at once
	pace(t.Context(), lanes, 20, start, start.Add(time.Second), func(at time.Time) int64 { return int64(at.Sub(start)) })
	for i, l := range lanes {
		for k := range 10 {
			if at, ok := <-l.jobs; !ok || at != int64(2*k+i)*int64(50*time.Millisecond) {
				t.Errorf("job %d of lane %d: %v %v", k, i, time.Duration(at), ok)
			}
		}
		if _, more := <-l.jobs; more {
			t.Errorf("lane %d has more", i)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs, -update writes it anew:\n%s", name, got)
	}
}

func sample(mode Mode) *Report {
	o := Options{
		Mode: mode, URL: "http://127.0.0.1:8080", Protocol: wire.MQTTTCP, Via: ViaREST,
		Receivers: 250, Connections: 20_000, Pairs: 100, Devices: 5000, Messages: 100, Threads: 10, Group: 249, Senders: 1, Payload: 300, Rate: 50,
	}
	r := newReport(o)
	r.Started = time.Date(2026, 5, 30, 17, 42, 11, 0, time.UTC)
	r.Label = string(mode) + "/parley"
	r.Connections, r.Seconds, r.Sent, r.Deliveries, r.Receipts, r.measured = 250, 10, 600, 150_000, 100_000, 125_000
	r.SendsPerSecond, r.DeliveriesPerSecond, r.ClientCPUSeconds = 50, 12_500, 0.5
	if mode == Receipts {
		r.LostReceipts, r.Strange, r.Broken = 3, 2, 1
		r.note(errors.New("the server disconnects with 0x8E"))
		return r // without figures of the server
	}
	r.serverUse(usage{measured: true, cpu: 1, rss: 50e6}, usage{measured: true, cpu: 4.125, rss: 250e6, heap: 40e6, stack: 80e6})
	if mode == Idle {
		r.memory(usage{rss: 50e6}, usage{rss: 250e6, heap: 40e6, stack: 80e6}, 20_000)
	}
	r.Timings = []Timing{{What: timeDelivery, Count: 125_000, P50: 1.5, P90: 2.25, P99: 10.125, P999: 20, Max: 30}}
	return r
}

func TestReports(t *testing.T) {
	for _, mode := range Modes() {
		var text, data bytes.Buffer
		r := sample(mode)
		if err := errors.Join(r.WriteText(&text), r.WriteJSON(&data)); err != nil {
			t.Fatal(err)
		}
		golden(t, string(mode)+".txt", text.String())
		golden(t, string(mode)+".json", data.String())
		again, err := ReadReport(&data)
		if err != nil || again.Mode != mode || !slices.Equal(again.Timings, r.Timings) {
			t.Errorf("%s: read back %+v, %v", mode, again, err)
		}
	}
}

func TestTable(t *testing.T) {
	var reports []*Report
	for i, cpu := range []float64{3, 1, 2} { // the median is 2
		for whom, factor := range map[string]float64{"parley": 1, "mosquitto": 4} {
			r := sample(Fanout)
			r.Label = "fanout/" + whom
			r.Server.CPUSecondsPerMillion = cpu * factor
			r.Duplicates = uint64(i)
			reports = append(reports, r)
		}
	}
	slices.SortStableFunc(reports, func(a, b *Report) int { return strings.Compare(a.Label, b.Label) })
	reports = append(reports, sample(Idle), sample(Receipts))
	var b strings.Builder
	if err := WriteTable(&b, reports, "mosquitto"); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.md", b.String())
}

// Errors that differ only by a port count as one.
func TestErrorsAreCountedByKind(t *testing.T) {
	r := newReport(Options{})
	for port := range 30 {
		r.note(fmt.Errorf("connect: read tcp 127.0.0.1:%d->127.0.0.1:1883: i/o timeout", 40_000+port))
	}
	if len(r.Errors) != 1 || r.Errors["connect: read: i/o timeout"] != 30 {
		t.Errorf("%v", r.Errors)
	}
}

func TestVerdict(t *testing.T) {
	if err := sample(Fanout).Verdict(); err != nil {
		t.Error(err)
	}
	err := sample(Receipts).Verdict()
	if want := "3 receipts lost, 2 to the wrong device, 1 connections broken"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Options that cannot work end in an error of one line that names the flag.
func TestBadOptions(t *testing.T) {
	good := Options{
		Mode: Fanout, URL: "http://127.0.0.1:1", Protocol: wire.MQTTTCP, Via: ViaREST, Receivers: 1, Connections: 1, Pairs: 1, Devices: 1,
		Messages: 1, Threads: 1, Group: 1, Senders: 1, Payload: 300, Backlog: 1, Duration: time.Second,
		Token: func(string) (string, error) { return "", nil },
	}
	for want, change := range map[string]func(*Options){
		"no mode \"x\"":              func(o *Options) { o.Mode = "x" },
		"--broker works with":        func(o *Options) { o.Mode, o.Broker = Idle, "mqtt://h:1" },
		"no key":                     func(o *Options) { o.Token = nil },
		"--protocol":                 func(o *Options) { o.Protocol = "smtp" },
		"--via":                      func(o *Options) { o.Via = "mail" },
		"--payload":                  func(o *Options) { o.Payload = 3 },
		"--rate must not":            func(o *Options) { o.Rate = -1 },
		"--rate must be":             func(o *Options) { o.Mode = Receipts },
		"--duration":                 func(o *Options) { o.Duration = 0 },
		"--settle":                   func(o *Options) { o.Mode, o.Settle = Idle, time.Hour },
		"--receivers":                func(o *Options) { o.Receivers = 0 },
		"--receivers must be":        func(o *Options) { o.Mode, o.Rate = Receipts, 1 },
		"--group":                    func(o *Options) { o.Mode, o.Group = Catchup, 0 },
		"--url":                      func(o *Options) { o.URL = "127.0.0.1" },
		"--mqtt must be":             func(o *Options) { o.MQTT = "x" },
		"--broker must be":           func(o *Options) { o.Broker = "http://h" },
		"connection refused":         func(*Options) {},
		"need 4000000000 open files": func(o *Options) { o.Mode, o.Connections = Idle, 4_000_000_000-spareFiles },
	} {
		o := good
		change(&o)
		_, err := Run(t.Context(), o)
		if strings.Contains(want, "open files") && err != nil {
			want = "open files" // a system may put it otherwise
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("want %q in one line, got: %v", want, err)
		}
	}
}

func TestEachStopsAtTheFirstError(t *testing.T) {
	boom := errors.New("boom")
	err := each(t.Context(), 1000, 4, func(ctx context.Context, i int) error {
		if i == 10 {
			return boom
		}
		if i > 10 {
			<-ctx.Done()
		}
		return nil
	})
	if !errors.Is(err, boom) {
		t.Error(err)
	}
	seen := make([]bool, 100)
	if err := each(t.Context(), 100, 7, func(_ context.Context, i int) error { seen[i] = true; return nil }); err != nil || slices.Contains(seen, false) {
		t.Error(err, fmt.Sprint(seen))
	}
}

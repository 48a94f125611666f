package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parleyhq/parley/cmd/parley/bench"
)

// startBenched runs a server with the flags of a load test.
func startBenched(t *testing.T) (flags []string) {
	t.Helper()
	n := startNode(t, "--jwt-secret", testSecret, "--mqtt-listen", "127.0.0.1:0", "--rate-send", "0")
	return []string{
		"--url", "http://" + n.http.Addr().String(), "--mqtt", n.mqtt.Addr().String(), "--jwt-secret", testSecret, "--json",
	}
}

// measure runs `bench`, which must find nothing lost, out of order or broken.
func runBenchOn(t *testing.T, args ...string) *bench.Report {
	t.Helper()
	var out bytes.Buffer
	if err := run(t.Context(), append([]string{"bench"}, args...), &out, io.Discard); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out.String())
	}
	r, err := bench.ReadReport(&out)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	if r.Duplicates > 0 {
		t.Errorf("%v: %d duplicates", args, r.Duplicates)
	}
	if r.Server == nil {
		t.Errorf("%v: no CPU and memory of the server", args)
	}
	return r
}

// Each mode with small numbers, by each protocol: every message reaches all its receivers.
// On a busy machine some messages are not sent in time, which the report tells.
func TestBenchModes(t *testing.T) {
	flags := startBenched(t)
	short := []string{"--warmup", "50ms", "--duration", "300ms"}
	for _, protocol := range []string{"json", "mqtt-ws", "mqtt-tcp"} {
		with := func(mode string, args ...string) []string {
			return append(append([]string{mode, "--protocol", protocol}, flags...), args...)
		}
		t.Run(protocol, func(t *testing.T) {
			if r := runBenchOn(t, with("idle", "--connections", "7", "--settle", "0s", "--duration", "100ms")...); r.Connections != 7 {
				t.Errorf("idle: %d connections", r.Connections)
			}
			if r := runBenchOn(t, with("fanout", append(short, "--receivers", "5", "--senders", "2", "--rate", "100")...)...); r.Sent+r.Unsent != 35 || r.Deliveries != 5*r.Sent {
				t.Errorf("fanout: %d sent, %d unsent, %d delivered", r.Sent, r.Unsent, r.Deliveries)
			}
			for _, via := range []string{"rest", "mqtt"} {
				r := runBenchOn(t, with("fanout", append(short, "--receivers", "4", "--senders", "3", "--rate", "0", "--via", via)...)...)
				if r.Sent == 0 || r.Deliveries != 4*r.Sent {
					t.Errorf("fanout as fast as it goes via %s: %d sent, %d delivered", via, r.Sent, r.Deliveries)
				}
				r = runBenchOn(t, with("pairs", append(short, "--pairs", "3", "--rate", "60", "--via", via)...)...)
				if r.Sent+r.Unsent != 21 || r.Deliveries != r.Sent {
					t.Errorf("pairs via %s: %d sent, %d unsent, %d delivered", via, r.Sent, r.Unsent, r.Deliveries)
				}
				r = runBenchOn(t, with("sends", append(short, "--pairs", "3", "--via", via)...)...)
				// A machine that stands still may send all of it in the warm-up, which is not measured.
				if r.Sent == 0 || r.Deliveries != 0 || r.SendsPerSecond > 0 && r.Server.CPUPerMillionSends <= 0 {
					t.Errorf("sends via %s: %d sent, %d delivered, %+v", via, r.Sent, r.Deliveries, *r.Server)
				}
			}
			r := runBenchOn(t, with("catchup", "--devices", "5", "--messages", "11", "--threads", "3", "--group", "2")...)
			if r.Sent != 3*11 || r.Deliveries != 5*11 {
				t.Errorf("catchup: %d sent, %d delivered", r.Sent, r.Deliveries)
			}
			r = runBenchOn(t, with("receipts", append(short, "--receivers", "4", "--rate", "20")...)...)
			if r.Sent+r.Unsent != 7 || r.Deliveries-r.Receipts != 4*r.Sent || r.Receipts < 3 {
				t.Errorf("receipts: %d sent, %d unsent, %d delivered, of them %d receipts", r.Sent, r.Unsent, r.Deliveries, r.Receipts)
			}
		})
	}
}

// With --broker the clients measure a plain broker. Here they meet a Parley server, which
// refuses them, and bench has to say so.
func TestBenchAgainstABrokerThatRefuses(t *testing.T) {
	flags := startBenched(t)
	mqtt := flags[3]
	err := run(t.Context(), []string{"bench", "fanout", "--broker", "mqtt://" + mqtt, "--receivers", "1"}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "CONNECT refused") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

// A server that limits its senders ends the run at once, with an error that says what to do.
func TestBenchNeedsNoRateLimit(t *testing.T) {
	n := startNode(t, "--jwt-secret", testSecret, "--mqtt-listen", "127.0.0.1:0", "--rate-send", "1", "--rate-send-burst", "2")
	for _, via := range []string{"rest", "mqtt"} {
		err := run(t.Context(), []string{
			"bench", "fanout", "--url", "http://" + n.http.Addr().String(), "--mqtt", n.mqtt.Addr().String(),
			"--jwt-secret", testSecret, "--receivers", "2", "--rate", "100", "--via", via,
		}, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "--rate-send 0") || strings.Contains(err.Error(), "\n") {
			t.Errorf("via %s: got %v", via, err)
		}
	}
}

func TestBenchBadFlags(t *testing.T) {
	key := []string{"--jwt-secret", testSecret}
	for want, args := range map[string][]string{
		"no mode given":                   {},
		`no mode "fast"`:                  {"fast"},
		"-receivers":                      append([]string{"idle", "--receivers", "3"}, key...),
		"--payload must be":               append([]string{"fanout", "--payload", "1"}, key...),
		"--url must be":                   append([]string{"pairs", "--url", "ftp://x"}, key...),
		"there is no secret":              {"fanout", "--data", filepath.Join(t.TempDir(), "none")},
		"secret":                          {"fanout", "--jwt-secret", "short"},
		"no reports":                      {"table"},
		"no such file":                    {"table", "missing.json"},
		"flag provided but not defined":   {"table", "--x"},
		"connection refused":              append([]string{"fanout", "--url", "http://127.0.0.1:1"}, key...),
		"--broker must be like mqtt://ho": {"fanout", "--broker", "h:1883"},
	} {
		err := run(t.Context(), append([]string{"bench"}, args...), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: want %q in one line, got %v", args, want, err)
		}
	}
}

func TestBenchTable(t *testing.T) {
	flags := startBenched(t)
	file := filepath.Join(t.TempDir(), "r.json")
	var out bytes.Buffer
	args := append([]string{"bench", "pairs", "--label", "pairs/parley", "--pairs", "1", "--rate", "50", "--warmup", "0s", "--duration", "200ms"}, flags...)
	if err := run(t.Context(), args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := run(t.Context(), []string{"bench", "table", file, file}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "| pairs | parley | ") || !strings.HasSuffix(out.String(), "| 0 / 0 / 0 |\n") {
		t.Errorf("the table:\n%s", out.String())
	}
}

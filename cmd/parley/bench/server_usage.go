package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// process is the server as its operating system sees it: by its own /metrics, or
// by /proc where it is a process of this machine.
type process struct {
	metrics string
	pid     int
}

// usage is what a process has used so far.
type usage struct {
	known bool
	cpu   float64 // seconds
	rss   float64 // bytes
	heap  float64 // bytes of Go heap in use; 0 if it does not tell
	stack float64
}

func newProcess(o Options, t *target) process {
	switch {
	case o.PID > 0:
		return process{pid: o.PID}
	case o.MetricsURL != "":
		return process{metrics: o.MetricsURL}
	case t.raw():
		return process{}
	}
	return process{metrics: map[bool]string{false: "http://", true: "https://"}[t.secure] + t.httpAddr + "/metrics"}
}

func (p process) read() (usage, error) {
	switch {
	case p.pid > 0:
		return readProc(p.pid)
	case p.metrics != "":
		body, err := scrape(p.metrics)
		if err != nil {
			return usage{}, fmt.Errorf("read the server's metrics: %w (see --metrics-url and --pid)", err)
		}
		return parseMetrics(body), nil
	}
	return usage{}, nil
}

func scrape(url string) ([]byte, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// parseMetrics takes the process's figures out of a Prometheus exposition.
func parseMetrics(text []byte) usage {
	var u usage
	for line := range bytes.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		to := map[string]*float64{
			"process_cpu_seconds_total": &u.cpu, "process_resident_memory_bytes": &u.rss,
			"go_memstats_heap_inuse_bytes": &u.heap, "go_memstats_stack_inuse_bytes": &u.stack,
		}[name]
		if to == nil {
			continue
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			*to, u.known = v, true
		}
	}
	return u
}

// clockTicks is Linux's USER_HZ, the unit of times in /proc, on every machine
// that Go runs on.
const clockTicks = 100

func readProc(pid int) (usage, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return usage{}, fmt.Errorf("read --pid: %w", err)
	}
	u, err := parseStat(string(stat))
	if err != nil {
		return usage{}, fmt.Errorf("read --pid: %w", err)
	}
	return u, nil
}

func parseStat(stat string) (usage, error) {
	// The name in brackets may hold anything; state is the first field behind it.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const user, system, resident = 11, 12, 21
	if len(fields) <= resident {
		return usage{}, errors.New("/proc tells too little of it")
	}
	var v [3]float64
	for i, field := range []int{user, system, resident} {
		var err error
		if v[i], err = strconv.ParseFloat(fields[field], 64); err != nil {
			return usage{}, err
		}
	}
	return usage{known: true, cpu: (v[0] + v[1]) / clockTicks, rss: v[2] * float64(os.Getpagesize())}, nil
}

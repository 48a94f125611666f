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

// usageSource says where the CPU time and memory of the server are read: from its metrics,
// or from /proc if it is a process on this machine. The zero value reads nothing.
type usageSource struct {
	metrics string // URL
	pid     int
}

// usage is what the server has used since its start.
type usage struct {
	measured bool    // false: there is no source, and all figures are 0
	cpu      float64 // seconds
	rss      float64 // bytes
	heap     float64 // bytes of Go heap in use; 0 if the source does not tell
	stack    float64 // bytes of Go stacks in use; 0 if the source does not tell
}

func newUsageSource(o Options, t *target) usageSource {
	switch {
	case o.PID > 0:
		return usageSource{pid: o.PID}
	case o.MetricsURL != "":
		return usageSource{metrics: o.MetricsURL}
	case t.raw():
		return usageSource{}
	}
	return usageSource{metrics: map[bool]string{false: "http://", true: "https://"}[t.secure] + t.httpAddr + "/metrics"}
}

func (p usageSource) read() (usage, error) {
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

// parseMetrics finds the figures of the process in a Prometheus exposition.
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
			*to, u.measured = v, true
		}
	}
	return u
}

// clockTicks is Linux's USER_HZ, the ticks per second in /proc. It is the same on every
// machine that Go runs on.
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
	// The name in brackets may hold any characters; the field state follows it.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const user, system, resident = 11, 12, 21
	if len(fields) <= resident {
		return usage{}, errors.New("its /proc/PID/stat has too few fields")
	}
	var v [3]float64
	for i, field := range []int{user, system, resident} {
		var err error
		if v[i], err = strconv.ParseFloat(fields[field], 64); err != nil {
			return usage{}, err
		}
	}
	return usage{measured: true, cpu: (v[0] + v[1]) / clockTicks, rss: v[2] * float64(os.Getpagesize())}, nil
}

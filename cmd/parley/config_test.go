package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// good are settings that serve takes.
var good = []string{"--store", "pebble:x", "--jwt-secret", testSecret}

func yamlFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "parley.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// A bad value is shown with what is wrong with it, wherever it came from.
func TestBadValuesAreExplained(t *testing.T) {
	for _, c := range []struct {
		flag, value string
		says        []string
	}{
		{"drain-delay", "5 s", []string{`--drain-delay: "5 s" is no duration`, "30s"}},
		{"drain-delay", "-1s", []string{"--drain-delay is -1s", "not be negative"}},
		{"ack-window", "many", []string{`--ack-window: "many" is no whole number`}},
		{"ack-window", "0", []string{"--ack-window is 0", "at least 1"}},
		{"ack-window", "40000", []string{"--ack-window is 40000", "at most 32768"}},
		{"rate-send", "fast", []string{`--rate-send: "fast" is no number`}},
		{"rate-send", "NaN", []string{"--rate-send is NaN", "0 (no limit) or more"}},
		{"rate-send", "-2", []string{"--rate-send is -2", "0 (no limit) or more"}},
		{"rate-send-burst", "0", []string{"--rate-send-burst is 0", "at least 1"}},
		{"rate-strangers", "-1", []string{"--rate-strangers is -1", "0 (no limit) or more"}},
		{"rate-strangers", "100001", []string{"--rate-strangers is 100001", "at most 100000"}},
		{"max-ciphertext", "390145", []string{"--max-ciphertext is 390145", "at most 390144", "512 KiB"}},
		{"dev", "perhaps", []string{`--dev: "perhaps" is neither true nor false`}},
		{"log-level", "loud", []string{`--log-level: "loud" is none of debug, info, warn, error`}},
		{"access-log", "some", []string{`--access-log: "some" is none of off, errors, all`}},
		{"trusted-proxies", "10.0.0.0/8,proxy.example", []string{`--trusted-proxies: "proxy.example" is no IP address`}},
		{"allowed-origins", "https://app.example.com/", []string{`--allowed-origins: "https://app.example.com/" is no origin`, "without a slash at the end"}},
		{"allowed-origins", "https://ok.example,https://app.example.com/chat", []string{`"https://app.example.com/chat" is no origin`}},
		{"allowed-origins", "app.example.com", []string{`"app.example.com" is no origin`}},
	} {
		refused := func(where string, err error, more ...string) {
			t.Helper()
			for _, says := range append(more, c.says...) {
				if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s=%s, %s: it should say in one line %q, it says: %v", c.flag, c.value, where, says, err)
				}
			}
		}
		_, err := parseServe(append(slices.Clone(good), "--"+c.flag+"="+c.value), io.Discard)
		refused("as a flag", err)
		_, err = parseServe(append(slices.Clone(good), "--config", yamlFile(t, c.flag+": "+c.value+"\n")), io.Discard)
		refused("in the file", err)
		t.Setenv(envName(c.flag), c.value)
		_, err = parseServe(good, io.Discard)
		os.Unsetenv(envName(c.flag))
		refused("in the environment", err)
	}
}

// A list in the file is taken whole by flags that take many, and refused elsewhere.
func TestListsInTheFile(t *testing.T) {
	for name, c := range map[string]struct{ yaml, says string }{
		"a list":              {"allowed-origins:\n  - https://a.example\n  - https://b.example\n", ""},
		"a list in a line":    {"allowed-origins: [https://a.example, https://b.example]\n", ""},
		"one string":          {"allowed-origins: https://a.example, https://b.example\n", ""},
		"a list of one":       {"listen: [\":8080\"]\nallowed-origins: x\n", "--listen takes one value, line 1 of the file of --config has a list (lists are for --allowed-origins, --trusted-proxies)"},
		"a list elsewhere":    {"listen:\n- :8080\n- :9090\n", "--listen takes one value"},
		"a map":               {"listen:\n  port: 8080\n", "--listen takes no map"},
		"a list of lists":     {"allowed-origins: [[a]]\n", "--allowed-origins takes a list of words"},
		"a key twice":         {"listen: :1\nlisten: :2\n", `has "listen" twice, in lines 1 and 2`},
		"an unknown key":      {"lisen: :1\n", `"lisen"`},
		"an unknown list":     {"lisen: [1]\n", `"lisen"`},
		"no map":              {"- listen\n", "no map of settings"},
		"no YAML":             {"listen: [\n", "no YAML"},
		"nothing":             {"", "none"},
		"a comment":           {"# nothing\n", "none"},
		"a key with no value": {"mqtt-listen:\n", "none"},
	} {
		set, err := parseServe(append(slices.Clone(good), "--config", yamlFile(t, c.yaml)), io.Discard)
		switch c.says {
		case "":
			if want := []string{"https://a.example", "https://b.example"}; err != nil || !slices.Equal(set.allowedOrigins, want) {
				t.Errorf("%s: %v, %v; want %v", name, set.allowedOrigins, err, want)
			}
		case "none":
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		default:
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: it should say in one line %q, it says: %v", name, c.says, err)
			}
		}
	}
}

// Flag before environment before file also holds for what takes many: they are not merged.
func TestListsAreNotMerged(t *testing.T) {
	file := yamlFile(t, "trusted-proxies: [10.0.0.1]\nlog-level: error\ndev: true\nrate-send: 1\n")
	t.Setenv("PARLEY_TRUSTED_PROXIES", "10.0.0.2,10.0.0.3")
	set, err := parseServe(append(slices.Clone(good), "--config", file), io.Discard)
	if want := (list{"10.0.0.2", "10.0.0.3"}); err != nil || !slices.Equal(set.trustedProxies, want) || set.logLevel != "error" || !set.dev || set.limits.SendRate != 1 {
		t.Errorf("%+v, %v; want the proxies %v, and the rest from the file", set, err, want)
	}
	set, err = parseServe(append(slices.Clone(good), "--config", file, "--trusted-proxies", "10.0.0.4", "--trusted-proxies", "10.0.0.5"), io.Discard)
	if want := (list{"10.0.0.4", "10.0.0.5"}); err != nil || !slices.Equal(set.trustedProxies, want) {
		t.Errorf("%v, %v; want %v", set.trustedProxies, err, want)
	}
}

// Kubernetes makes such variables for a Service named parley, and people mistype names.
func TestUnknownVariablesAreWarnedAbout(t *testing.T) {
	t.Setenv("PARLEY_PORT", "tcp://10.0.0.1:8080")
	t.Setenv("PARLEY_SERVICE_HOST", "10.0.0.1")
	t.Setenv("PARLEY_LISEN", ":secret-value")
	t.Setenv("PARLEY_PING_INTERVAL", "20s")
	n := startNode(t, "--jwt-secret", testSecret)
	log := n.log.String()
	if strings.Count(log, "environment variables that look like settings and are none") != 1 {
		t.Fatalf("there should be one line about unknown variables:\n%s", log)
	}
	for _, name := range []string{"PARLEY_PORT", "PARLEY_SERVICE_HOST", "PARLEY_LISEN"} {
		if !strings.Contains(log, `"`+name+`"`) {
			t.Errorf("%s is not named:\n%s", name, log)
		}
	}
	if strings.Contains(log, "PARLEY_PING_INTERVAL") || strings.Contains(log, "secret-value") {
		t.Errorf("a known variable or a value is in the log:\n%s", log)
	}
}

func TestVersionIsPrinted(t *testing.T) {
	var want string
	for _, args := range []string{"version", "--version", "-version"} {
		var out strings.Builder
		if err := run(t.Context(), []string{args}, &out, io.Discard); err != nil || !strings.HasPrefix(out.String(), "parley ") {
			t.Errorf("parley %s: %q, %v", args, out.String(), err)
		}
		if want == "" {
			want = out.String()
		}
		if out.String() != want {
			t.Errorf("parley %s says %q, another way of asking %q", args, out.String(), want)
		}
	}
}

func TestClockSkewIsOfSomeSize(t *testing.T) {
	if set, err := parseServe(slices.Clone(good), io.Discard); err != nil || set.clockSkew != 5*time.Second {
		t.Errorf("the default is %v, %v; want 5 s", set.clockSkew, err)
	}
	for value, fits := range map[string]bool{"0s": false, "-1s": false, "1ms": true, "1m": true, "61s": false} {
		_, err := parseServe(append(slices.Clone(good), "--clock-skew", value), io.Discard)
		if fits != (err == nil) || !fits && !strings.Contains(err.Error(), "--clock-skew") {
			t.Errorf("--clock-skew %s: %v", value, err)
		}
	}
}

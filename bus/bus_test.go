package bus_test

import (
	"strings"
	"testing"

	"github.com/parleyhq/parley/bus"
)

func TestOpen(t *testing.T) {
	b, err := bus.Open("local", bus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenRefusesBadURLs(t *testing.T) {
	for url, want := range map[string]string{
		"":                        "unknown scheme",
		"local:9000":              "takes no address",
		"carrier://user:pass@sky": `unknown scheme "carrier"`,
		"nats://user:pass@sky:x":  "bus URL must be",
	} {
		b, err := bus.Open(url, bus.Options{Node: 1})
		if b != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q) = %v, %v; want an error with %q", url, b, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "pass") {
			t.Errorf("the error of Open(%q) shows the password: %v", url, err)
		}
	}
}

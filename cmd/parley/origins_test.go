package main

import (
	"io"
	"strings"
	"testing"
)

func TestAllowedOriginsAreOrigins(t *testing.T) {
	start := func(origins string) error {
		_, err := parseServe([]string{"--store", "pebble:x", "--jwt-secret", testSecret, "--allowed-origins", origins}, io.Discard)
		return err
	}
	for _, ok := range []string{"", "*", "https://app.example", "https://app.example, http://localhost:5173", "capacitor://localhost"} {
		if err := start(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{"https://app.example/", "https://app.example,http://localhost:5173/", "app.example", "https://app.example/chat", "https://*.example/"} {
		err := start(bad)
		if err == nil || !strings.Contains(err.Error(), "--allowed-origins") || !strings.Contains(err.Error(), "without a slash at the end") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

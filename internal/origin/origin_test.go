package origin

import (
	"log/slog"
	"strings"
	"testing"
)

var silent = slog.New(slog.DiscardHandler)

func TestAllows(t *testing.T) {
	for _, tc := range []struct {
		listed, from, host string
		want               bool
	}{
		// The server's own, by host and port.
		{"", "http://chat.example", "chat.example", true},
		{"", "https://chat.example", "chat.example", true},
		{"", "https://chat.example", "chat.example:443", true},
		{"", "https://chat.example:443", "chat.example", true},
		{"", "http://chat.example", "chat.example:80", true},
		{"", "HTTPS://Chat.Example", "chat.EXAMPLE", true},
		{"", "http://127.0.0.1:8080", "127.0.0.1:8080", true},
		{"", "https://127.0.0.1:8080", "127.0.0.1:8080", true},
		{"", "http://[::1]:8080", "[::1]:8080", true},
		{"", "http://[::1]", "[::1]", true},
		{"", "https://chat.example", "chat.example:80", false},
		{"", "http://chat.example", "chat.example:443", false},
		{"", "http://chat.example:8080", "chat.example", false},
		{"", "http://chat.example", "chat.example:8080", false},
		{"", "http://evil.example", "chat.example", false},
		{"", "http://chat.example.evil.example", "chat.example", false},
		{"", "http://chat.example/", "chat.example", false},
		{"", "http://u@chat.example", "chat.example", false},
		{"", "null", "chat.example", false},
		{"", "chat.example", "chat.example", false},
		{"", "", "chat.example", false},
		{"", "http://", "", false},
		// Listed ones, by scheme, host and port.
		{"https://app.example", "https://app.example", "chat.example", true},
		{"https://app.example", "https://app.example:443", "chat.example", true},
		{"https://app.example:443", "https://APP.example", "chat.example", true},
		{"https://app.example", "http://app.example", "chat.example", false},
		{"https://app.example", "https://app.example:444", "chat.example", false},
		{"https://app.example", "https://www.app.example", "chat.example", false},
		{"https://app.example", "https://chat.example", "chat.example", true},
		{"capacitor://localhost", "capacitor://localhost", "chat.example", true},
		{"null", "null", "chat.example", true},
		{"null", "nonsense", "chat.example", false},
		{"*", "https://any.example", "chat.example", true},
		{"*", "null", "chat.example", true},
	} {
		var list []string
		if tc.listed != "" {
			list = append(list, tc.listed)
		}
		p, err := Parse(silent, list...)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Allows(tc.from, tc.host); got != tc.want {
			t.Errorf("with %q listed, %q at %q: %v, want %v", tc.listed, tc.from, tc.host, got, tc.want)
		}
	}
}

func TestWhatIsNoOriginCannotBeListed(t *testing.T) {
	for _, bad := range []string{
		"https://app.example/", "https://app.example/chat", "app.example", "https://", "https://app.example?x", "https://app.example?",
		"https://app.example#", "https://u:p@app.example", "mailto:x", "", " https://app.example", "https://app.example:x", "*.example",
	} {
		if _, err := Parse(silent, bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestRejectedOriginsAreLoggedOnceASecond(t *testing.T) {
	var log strings.Builder
	p, err := Parse(slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	p.Admits("http://chat.example", "chat.example")
	if log.String() != "" {
		t.Errorf("one that is allowed was logged: %s", &log)
	}
	for range 1000 {
		p.Admits("https://evil.example"+strings.Repeat("x", 1000), "chat.example")
	}
	if lines := strings.Count(log.String(), "\n"); lines < 1 || lines > 3 { // 3 on a machine that needs two seconds for this
		t.Errorf("%d lines", lines)
	}
	if text := log.String(); !strings.Contains(text, "origin=https://evil.example") || !strings.Contains(text, "host=chat.example") || len(text) > 3*600 {
		t.Errorf("got %s", text)
	}
}

package clientaddr

import (
	"net"
	"strings"
	"testing"
)

func parse(t *testing.T, list ...string) Proxies {
	t.Helper()
	p, err := Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestClientBehindProxies(t *testing.T) {
	trusted := parse(t, "10.0.0.0/8", "127.0.0.1", "2001:db8::/32")
	for _, c := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1:1000", "", "192.0.2.1:1000"},
		{"192.0.2.1:1000", "198.51.100.7", "192.0.2.1:1000"}, // a stranger's word
		{"10.0.0.1:1000", "", "10.0.0.1:1000"},
		{"10.0.0.1:1000", "198.51.100.7", "198.51.100.7"},
		{"[::ffff:10.0.0.1]:1000", "198.51.100.7", "198.51.100.7"},
		{"10.0.0.1:1000", "1.1.1.1, 198.51.100.7", "198.51.100.7"}, // the client made up the left one
		{"10.0.0.1:1000", "198.51.100.7, 10.9.9.9,127.0.0.1", "198.51.100.7"},
		{"10.0.0.1:1000", "10.1.1.1, 10.2.2.2", "10.1.1.1"}, // a client of the own network
		{"10.0.0.1:1000", "198.51.100.7:4711", "198.51.100.7"},
		{"[2001:db8::1]:1", "[2001:4860::8]:443", "2001:4860::8"},
		{"[2001:db8::1]:1", "[2001:4860::8]", "2001:4860::8"},
		{"10.0.0.1:1000", "198.51.100.7, unknown", "10.0.0.1:1000"}, // nothing is known of what stands left of it
		{"10.0.0.1:1000", "1.1.1.1;198.51.100.7", "198.51.100.7"},   // the proxy added a line of its own
		{"10.0.0.1:1000", "198.51.100.7;10.1.1.1", "198.51.100.7"},
		{"10.0.0.1:1000", ", ,", "10.0.0.1:1000"},
	} {
		peer, err := net.ResolveTCPAddr("tcp", c.peer)
		if err != nil {
			t.Fatal(err)
		}
		lines := [][]byte{}
		for line := range strings.SplitSeq(c.forwarded, ";") {
			lines = append(lines, []byte(line))
		}
		want := c.want
		if c.want == c.peer {
			want = peer.String()
		}
		if got := trusted.Of(peer, lines); got != want {
			t.Errorf("%s with X-Forwarded-For %q: %s, want %s", c.peer, c.forwarded, got, want)
		}
		if got := Proxies(nil).Of(peer, lines); got != peer.String() {
			t.Errorf("nobody is trusted, and still %s came from %s", c.peer, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, bad := range []string{"", "example.com", "10.0.0.0/33", "10.0.0.1:80"} {
		if _, err := Parse([]string{"10.0.0.0/8", bad}); err == nil {
			t.Errorf("%q is taken for an address", bad)
		}
	}
}

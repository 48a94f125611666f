package e2e

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// 3,000 strangers announce bodies of 500 KB and send a part of each, all at once: the server
// tells each that it wants a token, and holds nothing for them.
func TestHalfBodiesOfStrangers(t *testing.T) {
	beforeTheStore(t)
	const strangers, atOnce, mostMB = 3000, 50, 30
	s := startWeighedServer(t)
	for what, half := range map[string]string{
		"announced":   "POST /v1/threads HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500000\r\n\r\n" + strings.Repeat("x", 1000),
		"in chunks":   "POST /v1/threads HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n70000\r\n" + strings.Repeat("x", 1000),
		"a bad token": "PUT /v1/users/me/prekeys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x.y.z\r\nContent-Length: 500000\r\n\r\n" + strings.Repeat("x", 1000),
	} {
		s.status("/healthz")
		before := s.metric(t, "go_memstats_heap_inuse_bytes")
		highest := before
		look := func() { highest = max(highest, s.metric(t, "go_memstats_heap_inuse_bytes")) }
		conns := make([]net.Conn, strangers)
		var dialing sync.WaitGroup
		for first := range atOnce {
			dialing.Go(func() {
				for i := first; i < strangers; i += atOnce {
					conn, err := net.DialTimeout("tcp", s.http, patience)
					if err != nil {
						t.Error(err)
						return
					}
					conns[i] = conn
					_ = conn.SetDeadline(time.Now().Add(patience))
					if _, err := io.WriteString(conn, half); err != nil {
						t.Error(err)
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { dialing.Wait(); close(done) }()
		for open := true; open; {
			look()
			select {
			case <-done:
				open = false
			default:
			}
		}
		refused := 0
		for _, conn := range conns {
			if conn == nil {
				continue
			}
			answer, err := io.ReadAll(conn) // to the end: the server closes
			if err == nil && strings.HasPrefix(string(answer), "HTTP/1.1 401 ") {
				refused++
			}
			conn.Close()
		}
		look()
		grown := (highest - before) / (1 << 20)
		t.Logf("%s: %d half bodies of 500 KB without a token, %d answered 401, the heap grew by %.1f MB at most", what, strangers, refused, grown)
		if refused != strangers || grown > mostMB {
			t.Errorf("%s: %d of %d were answered 401, the heap grew by %.1f MB, want at most %d", what, refused, strangers, grown, mostMB)
		}
	}
}

package broker

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// TestTakeOver upgrades connections of an HTTP server. Whatever the client sends right
// behind its request is read, and then the rest, also once the server's handler is gone
// and its buffers serve other connections.
func TestTakeOver(t *testing.T) {
	certificate := httptest.NewUnstartedServer(http.NotFoundHandler())
	certificate.StartTLS()
	defer certificate.Close()
	for name, secure := range map[string]bool{"TCP": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			dial := func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }
			serving := ln
			if secure {
				serving = tls.NewListener(ln, certificate.TLS)
				pool := certificate.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
				dial = func() (net.Conn, error) {
					return tls.Dial("tcp", ln.Addr().String(), &tls.Config{RootCAs: pool, ServerName: "example.com"})
				}
			}
			echo := func(socket net.Conn, in io.Reader) { _, _ = io.Copy(socket, in) }
			server := &fasthttp.Server{
				KeepHijackedConns: true, ReduceMemoryUsage: true,
				Handler: func(ctx *fasthttp.RequestCtx) {
					if err := handshake(ctx, subprotocolJSON, echo); err != nil {
						ctx.Error(err.Error(), fasthttp.StatusBadRequest)
					}
				},
			}
			done := make(chan error, 1)
			go func() { done <- server.Serve(serving) }()
			defer func() {
				ln.Close()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}()
			for _, early := range []string{"", "early", strings.Repeat("early ", 300), strings.Repeat("early ", 10_000)} {
				conn, err := dial()
				if err != nil {
					t.Fatal(err)
				}
				_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
				go func() {
					_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"+
						"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"+early)
				}()
				in := bufio.NewReader(conn)
				answer, err := http.ReadResponse(in, nil)
				if err != nil || answer.StatusCode != http.StatusSwitchingProtocols ||
					answer.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || // the RFC's own example
					answer.Header.Get("Sec-Websocket-Protocol") != subprotocolJSON {
					t.Fatalf("the answer is %v, %v", answer, err)
				}
				got := make([]byte, len(early))
				if _, err := io.ReadFull(in, got); err != nil || string(got) != early {
					t.Fatalf("of %d early bytes it got %.20q, %v", len(early), got, err)
				}
				_, _ = io.WriteString(conn, "later")
				got = make([]byte, len("later"))
				if _, err := io.ReadFull(in, got); err != nil || string(got) != "later" {
					t.Fatalf("it got %q, %v", got, err)
				}
				conn.Close()
			}
		})
	}
}

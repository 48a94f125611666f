package rest

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// gated is the use cases, of which reading a thread waits for a gate, and reading a page
// is counted.
type gated struct {
	Chat
	entered chan chat.UserID
	gate    chan struct{}
	pages   atomic.Int64
}

func (g *gated) Thread(ctx context.Context, c chat.Caller, id chat.ThreadID) (chat.ThreadView, error) {
	if c.User == "alice" {
		g.entered <- c.User
		<-g.gate
	}
	return g.Chat.Thread(ctx, c, id)
}

func (g *gated) History(ctx context.Context, c chat.Caller, id chat.ThreadID, p chat.PageRequest) (chat.MessagePage, error) {
	g.pages.Add(1)
	return g.Chat.History(ctx, c, id, p)
}

func newGated(t *testing.T) (*world, *gated) {
	t.Helper()
	g := &gated{entered: make(chan chat.UserID, testConnections), gate: make(chan struct{})}
	w := newWorld(t, func(cfg *Config) {
		g.Chat = cfg.Chat
		cfg.Chat = g
		cfg.Limits.CallTimeout, cfg.Limits.TurnTimeout, cfg.Limits.WriteTimeout = time.Hour, time.Hour, time.Hour // on a slow machine too
	})
	return w, g
}

// Sixteen requests of a user are served at once. The others wait and are served when one of
// those has ended; those of another user do not wait.
func TestMoreThanSixteenRequestsOfAUserWait(t *testing.T) {
	w, g := newGated(t)
	id := w.group("bob")
	var wg sync.WaitGroup
	var answered atomic.Int64
	for range 40 {
		wg.Go(func() {
			w.get("/v1/threads/" + id).want(http.StatusOK)
			answered.Add(1)
		})
	}
	for range maxFlights {
		<-g.entered
	}
	w.as("bob", "GET", "/v1/threads/"+id, "").want(http.StatusOK)
	for range 24 {
		g.gate <- struct{}{}
		<-g.entered // one has ended, one more begins
	}
	if n := len(g.entered); n != 0 {
		t.Errorf("%d more than 16 began", n)
	}
	close(g.gate)
	wg.Wait()
	if answered.Load() != 40 {
		t.Errorf("%d of 40 were answered", answered.Load())
	}
}

// A request that waits for others of its user lets strangers have its connection, if there
// is no other: else one user could hold them all.
func TestARequestThatWaitsHoldsNoConnection(t *testing.T) {
	w, g := newGated(t)
	id := w.group("bob")
	http.DefaultClient.CloseIdleConnections()
	path := "/v1/threads/" + id
	var served []*line
	for range maxFlights {
		served = append(served, w.dial().write("GET "+path+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+w.token("alice")+"\r\n\r\n"))
		<-g.entered
	}
	for range testConnections - maxFlights {
		w.dial().write("GET " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + w.token("alice") + "\r\n\r\n")
	}
	// Alice's own come before it, but for what is on its way.
	for range 3 * testConnections {
		w.as("bob", "GET", path, "").want(http.StatusOK)
		http.DefaultClient.CloseIdleConnections()
	}
	close(g.gate)
	for _, l := range served {
		l.answer().want(http.StatusOK)
	}
}

// A user who asks on 40 connections for pages of 1 MiB and reads none of them holds the
// memory of a few: the others are not even built. When it reads, it gets them all.
func TestSlowReadersOfAUserHoldBoundedMemory(t *testing.T) {
	w, g := newGated(t)
	id := w.group("bob")
	big := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 64<<10)))
	for i := range 20 {
		w.send("alice", id, fmt.Sprint("big-", i), fmt.Sprintf(`{"client_seq":%d,"ciphertext":"%s"}`, i+1, big)).want(http.StatusAccepted)
	}
	const readers = 40
	before := heap()
	var conns []net.Conn
	for range readers {
		conn, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		fmt.Fprintf(conn, "GET /v1/threads/%s/messages?page_size=100 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n", id, w.token("bob"))
		conns = append(conns, conn)
	}
	// Another user's request comes after theirs on every shared way, and is answered.
	w.get("/v1/messages/01ARZ3NDEKTSV4RRFFQ69G5FAV").refused(http.StatusNotFound, chat.CodeMessageNotFound)
	// All pages at once, as ciphertext and as JSON, would be over 90 MiB. What goes on holding
	// them is a fault; pages that were handed to their sockets just now are not.
	grown := inMB(before, heap())
	for deadline := time.Now().Add(2 * time.Minute); grown > 64 && time.Now().Before(deadline); grown = inMB(before, heap()) {
		runtime.Gosched()
	}
	t.Logf("%d slow readers of pages of 1 MiB: %d pages built, the heap has grown by %.1f MiB", readers, g.pages.Load(), grown)
	if grown > 64 {
		t.Errorf("the heap has grown by %.1f MiB", grown)
	}
	var wg sync.WaitGroup
	for i, conn := range conns {
		wg.Go(func() {
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Errorf("reader %d: %v", i, err)
				return
			}
			n, err := io.Copy(io.Discard, resp.Body)
			if err != nil || resp.StatusCode != http.StatusOK || n < 16*(64<<10)*4/3 {
				t.Errorf("reader %d got %d with %d bytes, %v", i, resp.StatusCode, n, err)
			}
		})
	}
	wg.Wait()
	if n := g.pages.Load(); n != readers {
		t.Errorf("%d pages were built, want %d", n, readers)
	}
}

func TestARequestOfAUserBeginsWhenThereIsRoom(t *testing.T) {
	f := newFlights()
	begin := func(bytes int) *flight {
		t.Helper()
		r := f.begin("ann", bytes)
		if r.waits() {
			t.Fatalf("a request of %d bytes waits", bytes)
		}
		return r
	}
	huge := begin(2 * maxFlightBytes) // alone it may
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.begin("ann", 1).wait(ended); chat.CodeOf(err) != chat.CodeUnavailable {
		t.Errorf("beside it: %v", err)
	}
	huge.holds(maxFlightBytes - 1)
	one := begin(1)
	if err := f.begin("ann", 1).wait(ended); chat.CodeOf(err) != chat.CodeUnavailable {
		t.Errorf("a byte too many: %v", err)
	}
	one.end()
	huge.end()
	for i := range f.shards {
		if n := len(f.shards[i].users); n != 0 {
			t.Errorf("%d users are kept", n)
		}
	}
}

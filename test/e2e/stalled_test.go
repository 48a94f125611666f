package e2e

import (
	"bytes"
	"encoding/json"
	"net"
	"strconv"
	"syscall"
	"testing"
)

// A client that stops reading its socket does not delay the others and makes the server
// hold little memory. When it reads again, it has lost nothing.
func TestStalledReader(t *testing.T) {
	messages := bulk(150)
	const (
		size = 32 << 10
		// growth is how much the server's heap may grow, in a build with the race detector.
		growth = 64 << 20
	)
	s := startServer(t)
	for _, version := range []byte{mqtt311, mqtt5} {
		name := map[byte]string{mqtt311: "311", mqtt5: "5"}[version]
		ann, bob, stuck := s.device(t, "ann"+name, "a"), s.device(t, "bob"+name, "b"), s.device(t, "stuck"+name, "s")
		group := ann.createGroup(t, bob.user, stuck.user)
		ann.bulk = true
		bobLine := jsonProtocol.live(t, bob, options{})

		r := rawOn(t, dialSmall(t, s.tcp), version)
		r.accepted(t, helloOf(stuck))
		r.subscribe(t, 1, 1, "v1/threads/+/frames")
		before := s.metric(t, "go_memstats_heap_inuse_bytes")

		payload := string(bytes.Repeat([]byte("x"), size))
		var last message
		for range messages {
			last = ann.send(t, group.ID, payload)
		}
		bobLine.untilMessage(t, last.ID)
		if after := s.metric(t, "go_memstats_heap_inuse_bytes"); after-before > growth {
			t.Errorf("the heap grew by %.0f MB while a reader stalled", (after-before)/(1<<20))
		}

		// The stuck client reads again. If the server has ended its connection, it reconnects.
		seen := &union{name: "version " + name}
		if err := r.readOn(seen, group.ID, messages+1); err != nil {
			t.Logf("version %s: the stalled connection ended (%v) with %d frames read", name, err, len(seen.seen[group.ID]))
			c := mqtt5TCP.live(t, stuck, options{})
			seen.take(t, c.record)
		}
		seen.checkComplete(t, group.ID, messages+1)
		eventually(t, "the last message is delivered to the stalled one", func() bool {
			return ann.stateOf(t, last.ID, stuck.user) == "DELIVERED"
		})
	}
}

// dialSmall is a connection whose receive buffer is much smaller than the backlog. A still
// smaller one would let the kernel's timers decide how fast the backlog is read later.
func dialSmall(t testing.TB, addr string) net.Conn {
	t.Helper()
	small := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 64<<10)
		})
	}}
	conn, err := small.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// readOn reads and acknowledges until all n events of the thread have come.
func (r *raw) readOn(seen *union, thread string, n int) error {
	for !seen.complete(thread, n) {
		d, err := r.tryDeliver()
		if err != nil {
			return err
		}
		var f frame
		if err := json.Unmarshal(d.payload, &f); err != nil {
			return err
		}
		seen.add([]frame{f})
		if _, err := r.Write(pubackOf(d.id)); err != nil {
			return err
		}
	}
	return nil
}

// A client that acknowledges nothing gets frames until its window is full, and the rest when
// it acknowledges. The others are not delayed.
func TestReaderThatNeverAcknowledges(t *testing.T) {
	window, messages, args := 1024, 1500, []string{}
	if onMongo {
		window, messages = bulk(window), bulk(messages)
		args = []string{"--ack-window", strconv.Itoa(window)}
	}
	s := startServer(t, args...)
	ann, bob, silent := s.device(t, "ann", "a"), s.device(t, "bob", "b"), s.device(t, "silent", "s")
	group := ann.createGroup(t, bob.user, silent.user)
	bobLine := mqtt5WS.live(t, bob, options{})
	line := jsonProtocol.live(t, silent, options{manual: true})
	var last message
	for range messages {
		last = ann.send(t, group.ID, "x")
	}
	bobLine.untilMessage(t, last.ID)
	durable := func() (n int, newest frame) {
		for _, f := range line.all() {
			if f.durable() {
				n, newest = n+1, f
			}
		}
		return n, newest
	}
	eventually(t, "the window is full", func() bool { n, _ := durable(); return n >= window })
	if n, _ := durable(); n != window {
		t.Errorf("%d frames were sent without an acknowledgement, the window is %d", n, window)
	}
	_, newest := durable()
	newest.ack()
	line.untilMessage(t, last.ID)
	seen := &union{}
	seen.take(t, line.record)
	seen.checkComplete(t, group.ID, messages+1)
}

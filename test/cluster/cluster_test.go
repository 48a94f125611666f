package cluster

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

func TestMessageOfNATS(t *testing.T) {
	for line, want := range map[string]struct {
		subject string
		size    int
	}{
		"PUB p.hint.7 5\r\n":            {"p.hint.7", 5},
		"PUB p.hint.7 reply 5\r\n":      {"p.hint.7", 5},
		"MSG p.beat 1 12\r\n":           {"p.beat", 12},
		"HMSG p.beat 1 reply 12 30\r\n": {"p.beat", 30},
		"PING\r\n":                      {"", -1},
		"SUB p.> 1\r\n":                 {"", -1},
		"INFO {\"a\": 1}\r\n":           {"", -1},
		"PUB p many\r\n":                {"", -1},
	} {
		if subject, size := message([]byte(line)); subject != want.subject || size != want.size {
			t.Errorf("%q is of %q with %d bytes", line, subject, size)
		}
	}
}

// listen gives an address and the connections that come to it.
func listen(t *testing.T) (addr string, conns <-chan net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	return ln.Addr().String(), accepted
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestNATSLosesAndDelaysOneWay(t *testing.T) {
	addr, conns := listen(t)
	n := NewNATS(t, 1, addr)
	client := dial(t, n.Addr())
	server := <-conns
	out, in := bufio.NewReader(server), bufio.NewReader(client)
	expect := func(r *bufio.Reader, want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
			t.Fatalf("%q came, %v; want %q", got, err, want)
		}
	}
	send := func(to net.Conn, text string) {
		t.Helper()
		if _, err := io.WriteString(to, text); err != nil {
			t.Fatal(err)
		}
	}
	send(client, "PUB p.hint.1 2\r\nhi\r\n")
	expect(out, "PUB p.hint.1 2\r\nhi\r\n")
	n.Set(Out, Way{Lose: 1, Hints: true})
	send(client, "PUB p.hint.1 2\r\nno\r\nPUB p.beat 1\r\nb\r\nPING\r\n")
	expect(out, "PUB p.beat 1\r\nb\r\nPING\r\n")
	send(server, "MSG p.hint.1 1 2\r\nin\r\n")
	expect(in, "MSG p.hint.1 1 2\r\nin\r\n")
	n.Set(In, Way{Delay: 1, By: 50 * time.Millisecond})
	send(server, "MSG p.hint.1 1 4\r\nlate\r\nPONG\r\n")
	expect(in, "PONG\r\nMSG p.hint.1 1 4\r\nlate\r\n")
	n.Cut()
	if _, err := in.ReadByte(); err == nil {
		t.Error("a cut connection is open")
	}
}

// A held insert comes through though its sender is gone.
func TestMongoDeliversAHeldInsertLate(t *testing.T) {
	addr, conns := listen(t)
	m := NewMongo(t, addr)
	client := dial(t, m.Addr())
	server := <-conns
	packet := func(body []byte) []byte {
		return append(append(binary.LittleEndian.AppendUint32(nil, uint32(16+len(body))), make([]byte, 12)...), body...)
	}
	held, landed := m.HoldInsert("log", 50*time.Millisecond)
	other, insert := packet(insertInto("logs")), packet(insertInto("log"))
	if _, err := client.Write(append(other, insert...)); err != nil {
		t.Fatal(err)
	}
	<-held
	_ = client.Close()
	for _, want := range [][]byte{other, insert} {
		got, err := readMessage(server)
		if err != nil || string(got) != string(want) {
			t.Fatalf("%q came, %v; want %q", got, err, want)
		}
	}
	if _, err := server.Write(packet(nil)); err != nil {
		t.Fatal(err)
	}
	<-landed
	if m.Commands() != 2 {
		t.Errorf("%d commands are counted", m.Commands())
	}
}

func TestBalancerTriesTheNext(t *testing.T) {
	addr, conns := listen(t)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	b := NewBalancer(t, 1, gone.Addr().String(), addr)
	for range 5 {
		client := dial(t, b.Addr())
		server := <-conns
		if _, err := io.WriteString(server, "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
			t.Error(err)
		}
		_ = client.Close()
	}
}

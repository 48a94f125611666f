package broker

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// wire is a socket with the bytes of a client to read. What is written to it is dropped. It
// notes how many bytes the largest Read asked for.
type wire struct {
	net.Conn // none: only what follows is used
	in       *bytes.Reader
	asked    int
	until    time.Time // when reading ends

	mu     sync.Mutex
	closed bool
}

func (w *wire) Read(p []byte) (int, error) {
	w.asked = max(w.asked, len(p))
	return w.in.Read(p)
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, net.ErrClosed
	}
	return len(p), nil
}

func (w *wire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return nil
}

func (w *wire) SetDeadline(at time.Time) error   { return w.SetReadDeadline(at) }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

func (w *wire) SetReadDeadline(at time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until = at
	return nil
}

// guarded returns the packets that the guard lets through of a client's bytes. Like the
// hooks, it tells the connection the version of the CONNECT.
func guarded(t testing.TB, stream []byte) (passed [][]byte, v5 bool) {
	t.Helper()
	socket := &wire{in: bytes.NewReader(stream)}
	c := newMQTTConn(socket, Offer{})
	defer c.linger() // as the broker does; it waits for the writing goroutine
	c.serve(func(c *mqttConn) bool {
		if spare := cap(c.packet); spare > 2*len(c.packet)+readChunk {
			t.Fatalf("a packet of %d bytes keeps %d more", len(c.packet), spare)
		}
		packet, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		if len(passed) == 0 {
			pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect}}
			if _, body, _ := split(packet); pk.ConnectDecode(body) == nil {
				c.SetProtocol(pk.ProtocolVersion, 0, false)
			}
		}
		passed = append(passed, packet)
		return true
	})
	if socket.asked > readChunk {
		t.Fatalf("the guard made room for %d bytes before they came", socket.asked)
	}
	return passed, c.v5
}

// split returns the first packet of a stream, by the rule of MQTT 5, 2.1, its body, and what
// follows it.
func split(stream []byte) (packet, body, rest []byte) {
	size, shift := 0, 0
	for i := 1; i < len(stream) && i <= 4; i++ {
		size |= int(stream[i]&0x7F) << shift
		shift += 7
		if stream[i] < 0x80 {
			if len(stream)-i-1 < size {
				return nil, nil, nil
			}
			end := i + 1 + size
			return stream[:end], stream[i+1 : end], stream[end:]
		}
	}
	return nil, nil, nil
}

// asMochiReads reads one packet like mochi does: with mochi's decoder of the header and the
// length, and then that of the packet. It returns how many bytes the packet has; ok is false
// if mochi refuses it.
func asMochiReads(b []byte, v5 bool) (taken int, ok bool) {
	var header packets.FixedHeader
	r := bytes.NewReader(b[1:])
	if header.Decode(b[0]) != nil {
		return 0, false
	}
	size, _, err := packets.DecodeLength(r)
	if err != nil {
		return 0, false
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, false
	}
	decode(header.Type, b[0]&0xF, body, v5)
	return len(b) - r.Len(), true
}

// sessionOf returns what a client of a version sends in one short connection.
func sessionOf(t testing.TB, version byte) []byte {
	t.Helper()
	unsubscribe := subscribePacket(version)
	unsubscribe.FixedHeader.Type = packets.Unsubscribe
	var stream []byte
	for _, pk := range []packets.Packet{connectPacket(version), subscribePacket(version), publishPacket(version, 0), publishPacket(version, 1), unsubscribe} {
		body := encoded(t, pk)
		if pk.FixedHeader.Type == packets.Connect {
			body[6] = version // the encoder takes it from elsewhere
		}
		stream = append(stream, pk.FixedHeader.Type<<4|flagsOf(pk.FixedHeader.Type, pk.FixedHeader.Qos))
		for n := len(body); ; n >>= 7 {
			if n < 0x80 {
				stream = append(stream, byte(n))
				break
			}
			stream = append(stream, byte(n)|0x80)
		}
		stream = append(stream, body...)
	}
	stream = append(stream, packetPuback<<4, 2, 0, 1)
	stream = append(stream, packetPingreq<<4, 0)
	return append(stream, packetDisconnect<<4, 0)
}

func TestGuardPassesAWholeSession(t *testing.T) {
	for _, version := range []byte{4, 5} {
		passed, v5 := guarded(t, sessionOf(t, version))
		kinds := []byte{}
		for _, p := range passed {
			kinds = append(kinds, p[0]>>4)
		}
		// All but the PUBACK, which is ours.
		want := []byte{packetConnect, packetSubscribe, packetPublish, packetPublish, packetUnsubscribe, packetPingreq, packetDisconnect}
		if !bytes.Equal(kinds, want) || v5 != (version == 5) {
			t.Errorf("version %d: passed %v (MQTT 5: %t), want %v", version, kinds, v5, want)
		}
	}
}

// Memory is allocated for the bytes that have come, not for the length that is announced.
func TestGuardMakesRoomForWhatHasCome(t *testing.T) {
	connect := sessionOf(t, 5)
	connect, _, _ = split(connect)
	for _, stream := range [][]byte{
		{0x10, 0xff, 0xff, 0x01},                                  // 32 KiB, before CONNECT
		append(bytes.Clone(connect), 0x30, 0xf0, 0xff, 0x07, 'x'), // 128 KiB
		append(bytes.Clone(connect), 0x30, 0xff, 0xff, 0xff, 0x7f, 'x'),
	} {
		if passed, _ := guarded(t, stream); len(passed) > 1 {
			t.Errorf("%x passed", passed[1:])
		}
	}
}

// The deadline for the CONNECT ends with the CONNECT: from then on the client has its
// keep-alive, even if it sends nothing before its first PINGREQ.
func TestKeepAliveBeginsWithTheConnect(t *testing.T) {
	connect, _, _ := split(sessionOf(t, 5))
	socket := &wire{in: bytes.NewReader(connect)}
	c := newMQTTConn(socket, Offer{})
	defer c.linger()
	if err := c.next(); err != nil {
		t.Fatal(err)
	}
	const keepalive = 10 * time.Minute
	c.Bind(nil, "", keepalive)
	if left := time.Until(socket.until); left < keepalive {
		t.Errorf("after the CONNECT the client has %v, want its keep-alive of %v and a half more", left, keepalive)
	}
}

// FuzzGuard sends any bytes. What the guard lets through is whole packets of the stream, in
// order, which mochi's decoders read to the same ends without a panic. Memory is allocated
// for bytes that have come.
func FuzzGuard(f *testing.F) {
	for _, version := range []byte{4, 5} {
		whole := sessionOf(f, version)
		f.Add(whole)
		f.Add(whole[:len(whole)/2])
		connect, _, rest := split(whole)
		f.Add(append(bytes.Clone(rest), connect...))
		f.Add(append(bytes.Clone(connect), connect...))
		f.Add(append(bytes.Clone(connect), packetDisconnect<<4, 7, 0, 5, 0x11, 0, 0, 0, 9))
		f.Add(append(bytes.Clone(connect), 0x32, 0x0a, 0, 4, '$', 'S', 'Y', 'S', 0, 1, 'x', 'y'))
		f.Add(append(bytes.Clone(connect), 0x30, 0xff, 0xff, 0xff, 0x7f))
		subscribe, _, _ := split(rest)
		f.Add(append(append(bytes.Clone(connect), subscribe[0], subscribe[1]-1), subscribe[2:len(subscribe)-1]...))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		passed, v5 := guarded(t, stream)
		for i, got := range passed {
			taken, ok := asMochiReads(got, v5)
			if ok && taken != len(got) {
				t.Fatalf("packet %d of %d bytes: mochi reads %d: %x", i, len(got), taken, got)
			}
			packet, _, rest := split(stream)
			for ; packet != nil && !bytes.Equal(packet, got); packet, _, rest = split(rest) {
			}
			if packet == nil {
				t.Fatalf("packet %d is none of the client's: %x", i, got)
			}
			stream = rest
		}
	})
}

// FuzzCheckPacket does the same with single packets of any kind: the streams of FuzzGuard seldom
// have more than a CONNECT.
func FuzzCheckPacket(f *testing.F) {
	for _, version := range []byte{4, 5} {
		for _, pk := range []packets.Packet{connectPacket(version), publishPacket(version, 1), subscribePacket(version)} {
			f.Add(pk.FixedHeader.Type, flagsOf(pk.FixedHeader.Type, 1), encoded(f, pk), version == 5)
		}
	}
	f.Add(byte(packetPuback), byte(0), []byte{0, 1, 0}, true)
	f.Add(byte(packetDisconnect), byte(0), []byte{0, 5, 0x11, 0, 0, 0, 9}, true)
	f.Fuzz(func(_ *testing.T, kind, flags byte, body []byte, v5 bool) {
		switch err := checkPacket(kind&0xF, flags&0xF, body, v5); {
		case err == nil:
			decode(kind&0xF, flags&0xF, bytes.Clone(body), v5)
		case errors.Is(err, errReservedTopic):
			publishID(body)
		}
	})
}

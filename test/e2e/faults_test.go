package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	v4 "github.com/eclipse/paho.mqtt.golang/packets"

	v5 "github.com/eclipse/paho.golang/packets"
)

// The tests below send what other MQTT brokers are known to fail on. Nothing of it may harm
// the server or another client: a bystander keeps getting messages.

// bystander is somebody whose connection must not suffer.
type bystander struct {
	ann, bob *device
	thread   string
	line     *client
}

func newBystander(t *testing.T, s *server) *bystander {
	t.Helper()
	b := &bystander{ann: s.device(t, "by-ann", "a"), bob: s.device(t, "by-bob", "b")}
	b.thread = b.ann.createGroup(t, b.bob.user).ID
	b.line = mqtt5TCP.live(t, b.bob, options{})
	return b
}

func (b *bystander) unharmed(t testing.TB) {
	t.Helper()
	b.line.untilMessage(t, b.ann.send(t, b.thread, "still here").ID)
}

func TestHostilePackets(t *testing.T) {
	s := startServer(t)
	by := newBystander(t, s)
	d := s.device(t, "mallory", "m")
	connected := map[string][]byte{
		"SUBSCRIBE cut off in the middle of its filter": {0x82, 0x05, 0x00, 0x01, 0x00, 0x20, 'v'},
		"SUBSCRIBE without a filter":                    {0x82, 0x02, 0x00, 0x01},
		"SUBSCRIBE without a packet id":                 {0x82, 0x00},
		"SUBSCRIBE with packet id 0":                    {0x82, 0x09, 0x00, 0x00, 0x00, 0x04, 'v', '1', '/', '#', 0x01},
		"SUBSCRIBE with flags 0":                        {0x80, 0x09, 0x00, 0x01, 0x00, 0x04, 'v', '1', '/', '#', 0x01},
		"SUBSCRIBE with QoS 3":                          {0x82, 0x09, 0x00, 0x01, 0x00, 0x04, 'v', '1', '/', '#', 0x03},
		"SUBSCRIBE with bad UTF-8":                      {0x82, 0x09, 0x00, 0x01, 0x00, 0x04, 'v', '1', 0xff, 0xfe, 0x01},
		"PUBLISH with QoS 3":                            {0x36, 0x05, 0x00, 0x01, 'a', 0x00, 0x01},
		"PUBLISH without a topic":                       {0x32, 0x01, 0x00},
		"PUBLISH to a wildcard":                         {0x30, 0x03, 0x00, 0x01, '#'},
		"PUBACK cut off":                                {0x40, 0x01, 0x00},
		"packet type 0":                                 {0x00, 0x00},
		"a length of five bytes":                        {0x30, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"a packet of 268 MB":                            {0x30, 0xff, 0xff, 0xff, 0x7f},
		"a second CONNECT":                              {0x10, 0x0d, 0x00, 0x04, 'M', 'Q', 'T', 'T', 0x04, 0x02, 0x00, 0x00, 0x00, 0x01, 'x'},
		"a CONNACK from a client":                       {0x20, 0x02, 0x00, 0x00},
	}
	for what, packet := range connected {
		for _, version := range []byte{mqtt311, mqtt5} {
			r := dialRaw(t, s, version)
			r.accepted(t, helloOf(d))
			r.bytes(t, packet)
			code := r.ends(t)
			t.Logf("version %d, %s: ended with %#x", version, what, code)
		}
	}
	for what, packet := range map[string][]byte{
		"a packet of 268 MB before CONNECT": {0x10, 0xff, 0xff, 0xff, 0x7f},
		"a SUBSCRIBE before CONNECT":        {0x82, 0x09, 0x00, 0x01, 0x00, 0x04, 'v', '1', '/', '#', 0x01},
		"an HTTP request":                   []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"a CONNECT of an unknown protocol":  {0x10, 0x0d, 0x00, 0x04, 'M', 'Q', 'Q', 'Q', 0x04, 0x02, 0x00, 0x00, 0x00, 0x01, 'x'},
		"a CONNECT cut off inside":          {0x10, 0x04, 0x00, 0x04, 'M', 'Q'},
	} {
		t.Logf("%s", what)
		r := dialRaw(t, s, mqtt311)
		r.bytes(t, packet)
		r.ends(t)
	}
	by.unharmed(t)
}

// Five bytes must not make the server allocate what they announce.
func TestAnnouncedLengthAllocatesNothing(t *testing.T) {
	s := startServer(t)
	before := s.metric(t, "go_memstats_alloc_bytes_total")
	for range 20 {
		r := dialRaw(t, s, mqtt5)
		r.bytes(t, []byte{0x10, 0xff, 0xff, 0xff, 0x7f})
		r.ends(t)
	}
	if grew := s.metric(t, "go_memstats_alloc_bytes_total") - before; grew > 64<<20 {
		t.Errorf("20 announcements of 268 MB allocated %.0f MB", grew/(1<<20))
	}
}

func TestConnectionWithoutConnectIsClosed(t *testing.T) {
	beforeTheStore(t)
	t.Parallel()
	const limit = 10 * time.Second
	s := startServer(t)
	started := time.Now()
	silent, slow, web := dialRaw(t, s, mqtt5), dialRaw(t, s, mqtt5), dialRawWS(t, s, mqtt5, "")
	slow.bytes(t, []byte{0x10, 0x20, 0x00, 0x04})
	for what, r := range map[string]*raw{"silent": silent, "half a CONNECT": slow, "silent WebSocket": web} {
		r.ends(t)
		if took := time.Since(started); took > limit+5*time.Second {
			t.Errorf("%s: closed after %v, want about %v", what, took, limit)
		}
	}
	if took := time.Since(started); took < limit-100*time.Millisecond {
		t.Errorf("closed after %v, want about %v", took, limit)
	}
}

// Of PUBACKs that arrive together each counts, whatever its form and wherever the stream
// is cut, up to the first that is malformed.
func TestBurstOfPubacks(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	for _, cut := range []int{0, 1, 3, 7, 15} { // bytes of the first piece
		bob := s.device(t, fmt.Sprint("bob-", cut), "b")
		group := ann.createGroup(t, bob.user)
		r := dialRaw(t, s, mqtt5)
		r.accepted(t, helloOf(bob))
		r.subscribe(t, 1, 1, "v1/threads/+/frames")
		sent := sendMany(t, ann, group.ID, 4)
		var ids []uint16
		for len(ids) < len(sent) {
			if d := r.deliver(t); contains(d.payload, sent[len(ids)].ID) {
				ids = append(ids, d.id)
			}
		}
		burst := pubackOf(ids[0])
		burst = append(burst, v5.PUBACK<<4, 4, byte(ids[1]>>8), byte(ids[1]), 0x10, 0) // no matching subscribers
		burst = append(burst, v5.PINGREQ<<4, 0)
		burst = append(burst, v5.PUBACK<<4, 3, byte(ids[2]>>8), byte(ids[2]), 0)
		r.bytes(t, burst[:cut])
		r.bytes(t, burst[cut:])
		r.ping(t)
		eventually(t, "delivery", func() bool { return ann.stateOf(t, sent[2].ID, bob.user) == "DELIVERED" })
		if state := ann.stateOf(t, sent[3].ID, bob.user); state != "SENT" {
			t.Errorf("cut at %d: what was not acknowledged is %s", cut, state)
		}
		r.bytes(t, append(pubackOf(ids[3]), v5.PUBACK<<4|1, 2, 0, 1)) // reserved bits
		if code := r.ends(t); code != 0x81 {
			t.Errorf("cut at %d: the end's code is %#x, want 0x81", cut, code)
		}
		eventually(t, "delivery", func() bool { return ann.stateOf(t, sent[3].ID, bob.user) == "DELIVERED" })
	}
}

// Packet ids belong to a direction: a client's own use of an id must not touch a
// delivery in flight with the same id.
func TestPacketIDsOfBothDirectionsAreApart(t *testing.T) {
	s := startServer(t)
	for _, version := range []byte{mqtt311, mqtt5} {
		name := fmt.Sprint("v", version)
		ann, bob := s.device(t, "ann-"+name, "a"), s.device(t, "bob-"+name, "b")
		group := ann.createGroup(t, bob.user)
		r := dialRaw(t, s, version)
		r.accepted(t, helloOf(bob))
		r.subscribe(t, 1, 1, "v1/threads/+/frames")
		const inFlight = 20
		sent := sendMany(t, ann, group.ID, inFlight-1)
		ids := map[uint16]string{}
		order := []uint16{}
		for range inFlight {
			d := r.deliver(t)
			if previous, used := ids[d.id]; used || d.id == 0 || d.qos != 1 {
				t.Fatalf("%s: delivery id %d (qos %d) is in flight already for %s", name, d.id, d.qos, previous)
			}
			ids[d.id] = string(d.payload)
			order = append(order, d.id)
		}
		// The client uses every one of these ids for packets of its own …
		for _, id := range order {
			r.publish(t, id, 1, "v1/devices/b/up", `{"t":"client_ack","frame_seq":0}`)
			r.awaitPuback(t, id)
			r.subscribe(t, id, 0, "v1/devices/b/frames")
		}
		// … and nothing counts as acknowledged by that.
		if state := ann.stateOf(t, sent[0].ID, bob.user); state != "SENT" {
			t.Errorf("%s: a delivery whose id the client reused is %s", name, state)
		}
		for _, id := range order {
			r.puback(t, id)
		}
		eventually(t, "all is delivered", func() bool { return ann.stateOf(t, sent[len(sent)-1].ID, bob.user) == "DELIVERED" })
		// Acknowledging what is not in flight does no harm either.
		for id := uint16(1); id < 100; id++ {
			r.puback(t, id)
		}
		after := ann.send(t, group.ID, "after")
		if d := r.deliver(t); !strings.Contains(string(d.payload), after.ID) {
			t.Errorf("%s: got %s, want %s", name, d.payload, after.ID)
		}
	}
}

func (r *raw) awaitPuback(t testing.TB, id uint16) {
	t.Helper()
	for {
		switch p := r.read(t).(type) {
		case *v5.Puback:
			if p.PacketID == id {
				return
			}
		case *v4.PubackPacket:
			if p.MessageID == id {
				return
			}
		}
	}
}

// A client with a Receive Maximum of one gets everything, one by one and in order.
func TestReceiveMaximumOfOne(t *testing.T) {
	messages := uint64(bulk(500))
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := ann.createGroup(t, bob.user)
	r := dialRaw(t, s, mqtt5)
	h := helloOf(bob)
	h.receiveMax = 1
	r.accepted(t, h)
	r.subscribe(t, 1, 1, "v1/threads/+/frames")
	sending := make(chan struct{})
	go func() {
		defer close(sending)
		for range messages {
			if _, _, err := ann.post(t.Context(), group.ID, outgoing{Ciphertext: []byte("x")}); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for want := uint64(1); want <= messages+1; want++ {
		d := r.deliver(t)
		var f frame
		if err := json.Unmarshal(d.payload, &f); err != nil {
			t.Fatal(err)
		}
		if f.Seq != want {
			t.Fatalf("seq %d came, want %d", f.Seq, want)
		}
		if want%25 == 0 {
			// Until this one is acknowledged nothing else may come.
			r.bytes(t, []byte{v5.PINGREQ << 4, 0})
			if p, ok := r.read(t).(*v5.Pingresp); !ok {
				t.Fatalf("a second packet is in flight: %v", p)
			}
		}
		r.puback(t, d.id)
	}
	<-sending
}

// A client that acknowledges frames that were never sent, or sends nonsense, gets error
// frames, and is disconnected if it goes on.
func TestBadJSONFrames(t *testing.T) {
	s := startServer(t)
	for _, bad := range []string{"", "nonsense", "[]", `{"t":"unknown"}`, `{"t":"client_ack"}`, `{"t":"client_ack","frame_seq":-1}`, `{"t":"client_ack","frame_seq":1.5}`, `{}`} {
		d := s.device(t, "ann", "a")
		line, conn := dialJSON(t, d)
		line.untilType(t, "caught_up")
		for n := 1; n < 10; n++ {
			conn.write(t, bad)
			if f := line.expect(t, "error"); f.Code == "" {
				t.Errorf("%q: %v", bad, f)
			}
		}
		conn.write(t, bad)
		line.awaitEnd(t, 4400)
	}
	t.Run("too large", func(t *testing.T) {
		line, conn := dialJSON(t, s.device(t, "bob", "b"))
		line.untilType(t, "caught_up")
		conn.write(t, `{"t":"pong","pad":"`+strings.Repeat("x", 3<<10)+`"}`)
		conn.write(t, `{"t":"pong","pad":"`+strings.Repeat("x", 16<<10)+`"}`)
		line.awaitEnd(t, 1009)
	})
}

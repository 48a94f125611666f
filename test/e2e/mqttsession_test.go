package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	v4 "github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/golang-jwt/jwt/v5"

	v5 "github.com/eclipse/paho.golang/packets"
)

// connectOnce is one connection in the life of an MQTT session.
type connectOnce struct {
	version byte
	hello   func(*hello)
	cut     bool // the connection ends without DISCONNECT
	forget  bool // MQTT 5: the DISCONNECT sets the session expiry to 0
}

func clean(*hello)              {}
func keeping(h *hello)          { h.keep = true }
func resuming(h *hello)         { h.resume = true }
func cleanAndExpiring(h *hello) { h.expiry = 300 }

// Each row makes the connections of before, which subscribe, and then the last one. present
// says whether the last one's CONNACK tells of a session, whose subscriptions are then in
// force.
func TestSessionPresent(t *testing.T) {
	s := startServer(t)
	for i, c := range []struct {
		what    string
		before  []connectOnce
		last    connectOnce
		present bool
	}{
		{"3.1.1 first ever", nil, connectOnce{version: 4, hello: keeping}, false},
		{"3.1.1 after clean", []connectOnce{{version: 4, hello: clean}}, connectOnce{version: 4, hello: keeping}, false},
		{"3.1.1 kept", []connectOnce{{version: 4, hello: keeping}}, connectOnce{version: 4, hello: keeping}, true},
		{"3.1.1 kept, cut", []connectOnce{{version: 4, hello: keeping, cut: true}}, connectOnce{version: 4, hello: keeping}, true},
		{"3.1.1 kept, then clean", []connectOnce{{version: 4, hello: keeping}}, connectOnce{version: 4, hello: clean}, false},
		{"3.1.1 kept, then clean, then again", []connectOnce{{version: 4, hello: keeping}, {version: 4, hello: clean}}, connectOnce{version: 4, hello: keeping}, false},

		{"5 first ever", nil, connectOnce{version: 5, hello: keeping}, false},
		{"5 without expiry", []connectOnce{{version: 5, hello: clean}}, connectOnce{version: 5, hello: keeping}, false},
		{"5 taken up without expiry", []connectOnce{{version: 5, hello: resuming}}, connectOnce{version: 5, hello: resuming}, false},
		{"5 kept", []connectOnce{{version: 5, hello: keeping}}, connectOnce{version: 5, hello: resuming}, true},
		{"5 kept from a clean start", []connectOnce{{version: 5, hello: cleanAndExpiring}}, connectOnce{version: 5, hello: resuming}, true},
		{"5 kept, cut", []connectOnce{{version: 5, hello: cleanAndExpiring, cut: true}}, connectOnce{version: 5, hello: resuming}, true},
		{"5 kept, then a clean start", []connectOnce{{version: 5, hello: keeping}}, connectOnce{version: 5, hello: cleanAndExpiring}, false},
		{"5 kept, given up by DISCONNECT", []connectOnce{{version: 5, hello: keeping, forget: true}}, connectOnce{version: 5, hello: resuming}, false},
		{"5 kept, then taken up without expiry", []connectOnce{{version: 5, hello: keeping}, {version: 5, hello: resuming}}, connectOnce{version: 5, hello: resuming}, false},
		{"5 kept twice", []connectOnce{{version: 5, hello: keeping}, {version: 5, hello: keeping}}, connectOnce{version: 5, hello: keeping}, true},
	} {
		t.Run(c.what, func(t *testing.T) {
			ann, bob := s.device(t, fmt.Sprint("ann-", i), "a"), s.device(t, fmt.Sprint("bob-", i), "b")
			group := ann.createGroup(t, bob.user)
			for n, b := range c.before {
				r, present := b.connect(t, s, bob)
				if n == 0 && present {
					t.Error("a session is present at the first connect ever")
				}
				r.subscribe(t, 1, 1, "v1/threads/+/frames")
				b.end(t, r)
			}
			r, present := c.last.connect(t, s, bob)
			if present != c.present {
				t.Fatalf("session present is %t, want %t", present, c.present)
			}
			sent := ann.send(t, group.ID, "live")
			if present {
				for d := r.deliver(t); !contains(d.payload, sent.ID); d = r.deliver(t) {
					r.puback(t, d.id)
				}
			} else if r.unsubscribe(t, 2, "v1/threads/+/frames") != 0x11 && c.last.version == mqtt5 {
				t.Error("there is a subscription without a session")
			}
		})
	}
}

func (c connectOnce) connect(t testing.TB, s *server, d *device) (*raw, bool) {
	t.Helper()
	r := dialRaw(t, s, c.version)
	h := helloOf(d)
	c.hello(&h)
	return r, r.accepted(t, h).sessionPresent
}

// end ends the connection and waits until the server has ended its session too.
func (c connectOnce) end(t testing.TB, r *raw) {
	t.Helper()
	switch never := uint32(0); {
	case c.cut:
		r.Close()
		return
	case c.forget:
		r.send5(t, &v5.Disconnect{Properties: &v5.Properties{SessionExpiryInterval: &never}})
	default:
		r.bytes(t, []byte{0xE0, 0})
	}
	r.ends(t)
}

// unsubscribe is the code of one filter's UNSUBACK; 3.1.1 has none.
func (r *raw) unsubscribe(t testing.TB, id uint16, filter string) byte {
	t.Helper()
	r.bytes(t, unsubscribePacket(r.version, 0xA2, id, filter))
	for {
		switch p := r.read(t).(type) {
		case *v5.Unsuback:
			return p.Reasons[0]
		case *v4.UnsubackPacket:
			return 0
		}
	}
}

// Neither a refused client nor another user with the same client id is told of a session.
func TestSessionIsItsUsers(t *testing.T) {
	s := startServer(t)
	for _, version := range []byte{mqtt311, mqtt5} {
		ann, bob := s.device(t, fmt.Sprint("ann-", version), "phone"), s.device(t, fmt.Sprint("bob-", version), "phone")
		kept := connectOnce{version: version, hello: keeping}
		r, _ := kept.connect(t, s, ann)
		kept.end(t, r)
		if _, present := kept.connect(t, s, bob); present {
			t.Errorf("version %d: Bob is told of Ann's session", version)
		}
		refused := helloOf(ann)
		refused.keep, refused.password = true, "x"
		if ack := dialRaw(t, s, version).connect(t, refused); ack.code == 0 || ack.sessionPresent {
			t.Errorf("version %d: a refusal says %+v", version, ack)
		}
	}
}

// The CONNACK of MQTT 5 says which features the server has, and which session expiry a
// client gets that asks for too long a one.
func TestConnackSaysWhatIsAvailable(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	connect := func(expiry uint32) *v5.Properties {
		h := helloOf(ann)
		h.expiry = expiry
		return dialRaw(t, s, mqtt5).accepted(t, h).props
	}
	p := connect(0)
	for what, c := range map[string]struct {
		got  *byte
		want byte
	}{
		"Maximum QoS":                        {p.MaximumQOS, 1},
		"Retain Available":                   {p.RetainAvailable, 0},
		"Subscription Identifiers Available": {p.SubIDAvailable, 0},
		"Shared Subscription Available":      {p.SharedSubAvailable, 0},
	} {
		if c.got == nil || *c.got != c.want {
			t.Errorf("%s is %v, want %d", what, c.got, c.want)
		}
	}
	if p.WildcardSubAvailable != nil && *p.WildcardSubAvailable != 1 {
		t.Error("wildcards are said not to be available")
	}
	if p.TopicAliasMaximum != nil && *p.TopicAliasMaximum != 0 {
		t.Errorf("Topic Alias Maximum is %d, want none", *p.TopicAliasMaximum)
	}
	if p.MaximumPacketSize == nil || *p.MaximumPacketSize != 128<<10 {
		t.Errorf("Maximum Packet Size is %v, want 128 KiB", p.MaximumPacketSize)
	}
	if p.AssignedClientID != "" {
		t.Errorf("a client with an id of its own is assigned %q", p.AssignedClientID)
	}
	for asked, want := range map[uint32]uint32{300: 300, 0xFFFFFFFF: 24 * 60 * 60} {
		got := asked
		if p := connect(asked); p.SessionExpiryInterval != nil {
			got = *p.SessionExpiryInterval
		}
		if got != want {
			t.Errorf("a session expiry of %d becomes %d, want %d", asked, got, want)
		}
	}
}

// A client that is silent for one and a half times its keep-alive is disconnected. A
// PINGREQ, or any other packet, prevents that.
func TestKeepAlive(t *testing.T) {
	s := startServer(t)
	for _, k := range rawKinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			const keepAlive = 4
			connect := func(user string) *raw {
				r := k.dial(t, s, k.version)
				h := helloOf(s.device(t, user+"-"+k.name, "d"))
				h.keepAlive = keepAlive
				r.accepted(t, h)
				return r
			}
			lively, started := connect("lively"), time.Now()
			silent, ended := connect("silent"), make(chan byte)
			go func() {
				defer close(ended)
				for {
					p, err := silent.tryRead()
					if err != nil {
						return
					}
					if d, ok := p.(*v5.Disconnect); ok {
						ended <- d.ReasonCode
					}
				}
			}()
			pings := time.NewTicker(keepAlive * time.Second / 4)
			defer pings.Stop()
			var code byte
			for open := true; open; {
				select {
				case <-pings.C:
					lively.ping(t)
				case c, more := <-ended:
					if open = more; more {
						code = c
					}
				}
			}
			if want := map[byte]byte{mqtt5: 0x8D}[k.version]; code != want {
				t.Errorf("the silent client's connection ended with %#x, want %#x", code, want)
			}
			if early := keepAlive * time.Second * 3 / 2; time.Since(started) < early {
				t.Errorf("it ended after %v, before %v", time.Since(started), early)
			}
			lively.ping(t)
		})
	}
}

// Frames that were not acknowledged come again on the next connection, in order.
func TestRedeliveryAfterReconnect(t *testing.T) {
	s := startServer(t)
	for _, version := range []byte{mqtt311, mqtt5} {
		ann, bob := s.device(t, fmt.Sprint("ann-", version), "a"), s.device(t, fmt.Sprint("bob-", version), "b")
		group := ann.createGroup(t, bob.user)
		sent := sendMany(t, ann, group.ID, 5)
		kept := connectOnce{version: version, hello: keeping, cut: true}
		r, _ := kept.connect(t, s, bob)
		r.subscribe(t, 1, 1, "v1/threads/+/frames")
		for range 1 + len(sent) {
			r.deliver(t)
		}
		// Two connections acknowledge nothing, and the third acknowledges all.
		for try := range 3 {
			kept.end(t, r)
			var present bool
			if r, present = kept.connect(t, s, bob); !present {
				t.Fatalf("version %d: no session is present", version)
			}
			ids := map[uint16]bool{}
			for i := range 1 + len(sent) {
				d := r.deliver(t)
				if i > 0 && !contains(d.payload, sent[i-1].ID) || ids[d.id] || d.qos != 1 {
					t.Fatalf("version %d, connection %d: delivery %d is %s with id %d", version, try+2, i+1, d.payload, d.id)
				}
				if ids[d.id] = true; try == 2 {
					r.puback(t, d.id)
				}
			}
		}
		eventually(t, "delivery", func() bool { return ann.stateOf(t, sent[len(sent)-1].ID, bob.user) == "DELIVERED" })
	}
}

// A client with a Receive Maximum of n gets at most n packets before it acknowledges one,
// and then one more for each that it acknowledges.
func TestReceiveMaximum(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := ann.createGroup(t, bob.user)
	const total = 12
	sendMany(t, ann, group.ID, total-1)
	for _, most := range []uint16{1, 3, 7} {
		d := s.device(t, bob.user, fmt.Sprint("d", most))
		r, h := dialRaw(t, s, mqtt5), helloOf(d)
		h.receiveMax, h.lastSeen = most, longAgo
		r.accepted(t, h)
		r.subscribe(t, 1, 1, "v1/threads/+/frames")
		var flying []uint16
		for range most {
			flying = append(flying, r.deliver(t).id)
		}
		for n := int(most); n < total; n++ {
			r.nothingButPingresp(t)
			r.puback(t, flying[0])
			next := r.deliver(t).id
			if flying = flying[1:]; slices.Contains(flying, next) {
				t.Fatalf("id %d is in flight twice", next)
			}
			flying = append(flying, next)
		}
		r.nothingButPingresp(t)
	}
}

// nothingButPingresp checks that the server has nothing to send.
func (r *raw) nothingButPingresp(t testing.TB) {
	t.Helper()
	r.bytes(t, []byte{v5.PINGREQ << 4, 0})
	switch p := r.read(t).(type) {
	case *v5.Pingresp, *v4.PingrespPacket:
	default:
		t.Fatalf("got %+v, want nothing", p)
	}
}

// A frame larger than the client's Maximum Packet Size comes without its ciphertext, and
// that is an answer as any: what is behind it follows.
func TestFrameTooLargeForTheClientIsOmitted(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := ann.createGroup(t, bob.user)
	edited := ann.send(t, group.ID, "small")
	sent := ann.sendOut(t, group.ID, outgoing{
		Key: "k", ClientSeq: 100, Ciphertext: []byte(strings.Repeat("large ", 400)), ContentType: "file_ref", AttachmentID: "stays",
	})
	ann.edit(t, edited.ID, strings.Repeat("large ", 400))
	behind := ann.send(t, group.ID, "behind")
	h := helloOf(bob)
	h.maxPacket = 1500
	r := dialRaw(t, s, mqtt5)
	r.accepted(t, h)
	r.subscribe(t, 1, 1, "v1/threads/+/frames")
	for _, want := range [][]string{
		{`"created"`},
		{edited.ID, `"ciphertext":"","omitted":true`},
		{sent.ID, `"ciphertext":"","omitted":true`, `"attachment_id":"stays"`},
		{`"t":"edit"`, edited.ID, `"ciphertext":"","omitted":true`},
		{behind.ID, `"ciphertext":"YmVoaW5k"`},
	} {
		d := r.deliver(t)
		for _, text := range want {
			if !contains(d.payload, text) {
				t.Fatalf("got %.300s, want %v", d.payload, want)
			}
		}
		r.puback(t, d.id)
	}
	eventually(t, "DELIVERED", func() bool { return ann.stateOf(t, sent.ID, bob.user) == "DELIVERED" })
}

// A frame that is too large even without its ciphertext ends the connection and is not
// skipped. The next connection that allows it gets it, and then the frames behind it.
func TestMaximumPacketSizeOfTheClient(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := ann.createGroup(t, bob.user)
	small := ann.send(t, group.ID, "small")
	ann.setTitle(t, group.ID, strings.Repeat("\u00e9", 256))
	large := struct{ ID string }{`"title_changed"`}
	behind := ann.send(t, group.ID, "behind")
	h := helloOf(bob)
	h.maxPacket = 600
	for range 2 {
		r := dialRaw(t, s, mqtt5)
		r.accepted(t, h)
		r.subscribe(t, 1, 1, "v1/threads/+/frames")
		if code := r.ends(t); code != 0x95 {
			t.Fatalf("the connection ended with %#x, want 0x95", code)
		}
		for _, f := range r.seen.all() {
			if len(f.raw) > 600 || f.ID == behind.ID {
				t.Errorf("the connection for small frames got %v", f)
			}
		}
	}
	h.maxPacket = 0
	r := dialRaw(t, s, mqtt5)
	r.accepted(t, h)
	r.subscribe(t, 1, 1, "v1/threads/+/frames")
	for _, want := range []string{`"created"`, small.ID, large.ID, behind.ID} {
		if d := r.deliver(t); !contains(d.payload, want) {
			t.Fatalf("got %.100s, want %s", d.payload, want)
		}
	}
}

// Messages that one connection publishes without waiting reach everybody in that
// order, whatever the version and the QoS of the subscription.
func TestPublishesArriveInOrder(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	group := ann.createGroup(t, "bob")
	var readers []*raw
	for _, version := range []byte{mqtt311, mqtt5} {
		for _, qos := range []byte{0, 1} {
			d := s.device(t, "bob", fmt.Sprint("v", version, "-qos", qos))
			r := dialRaw(t, s, version)
			r.accepted(t, helloOf(d))
			r.subscribe(t, 1, qos, "v1/threads/"+group.ID+"/frames")
			r.deliver(t) // the thread's creation
			readers = append(readers, r)
		}
	}
	const each = 10
	for i, version := range []byte{mqtt311, mqtt5} {
		w := dialRaw(t, s, version)
		w.accepted(t, helloOf(ann))
		for n := range each {
			number := i*each + n
			w.publish(t, uint16(n+1), 1, messagesTopic(group.ID), mqttSend(t, fmt.Sprint("key-", number), int64(number), fmt.Sprint("text ", number)))
		}
		for n := range each {
			if got := w.answered(t); got.closed || got.code != 0 || got.id != uint16(n+1) {
				t.Fatalf("publish %d is answered with %+v", n+1, got)
			}
		}
	}
	for _, r := range readers {
		for number := range 2 * each {
			d := r.deliver(t)
			f, _ := newRecord().add(d.payload, d.topic, d.qos, func(frame) {})
			if string(f.Ciphertext) != fmt.Sprint("text ", number) || f.Seq != uint64(number+2) {
				t.Fatalf("delivery %d is %v", number+1, f)
			}
		}
	}
}

// A client whose Maximum Packet Size is too small for the CONNACK is not connected, and no
// session of it is left.
func TestClientThatTakesNoConnack(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	for range 3 {
		r := dialRaw(t, s, mqtt5)
		h := helloOf(ann)
		h.maxPacket = 10
		r.sendConnect(t, h)
		if code := r.ends(t); code != 0 {
			t.Errorf("the connection ended with %#x", code)
		}
	}
	eventually(t, "no session is left", func() bool { return s.metric(t, "parley_sessions") == 0 })
	r := dialRaw(t, s, mqtt5)
	r.accepted(t, helloOf(ann))
	r.ping(t)
}

// Subscriptions that were made with the scope to read are not resumed without it.
func TestResumingNeedsTheScopeToRead(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := bob.createGroup(t, ann.user)
	h := helloOf(ann)
	h.keep = true
	r := dialRaw(t, s, mqtt5)
	r.accepted(t, h)
	r.subscribe(t, 1, 1, "v1/#")
	r.deliver(t)
	h.password = ann.withClaims(t, func(c jwt.MapClaims) { c["scope"] = "chat.system" }).token
	job := dialRaw(t, s, mqtt5) // the same device: its other connection ends
	if ack := job.accepted(t, h); ack.sessionPresent {
		t.Error("the session is present")
	}
	bob.send(t, group.ID, "not for a job")
	job.bytes(t, []byte{v5.PINGREQ << 4, 0})
	if p, pong := job.read(t).(*v5.Pingresp); !pong {
		t.Errorf("without chat.read came %+v", p)
	}
}

package e2e

import (
	"strconv"
	"strings"
	"testing"
	"time"

	v4 "github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	v5 "github.com/eclipse/paho.golang/packets"
)

// lasting is a token of the device that ends so many seconds from now.
func (d *device) lasting(t testing.TB, seconds int, change ...func(claimSet)) string {
	t.Helper()
	claims := userClaims(d.user, d.id)
	claims["exp"] = time.Now().Add(time.Duration(seconds) * time.Second).Unix()
	for _, c := range change {
		c(claims)
	}
	return mint(t, secret, claims)
}

// A connection lives on with new tokens, through traffic, and ends with the last one, not
// before. A token lasts as long as a busy machine may take for a step.
func TestTokensOfLiveConnectionsAreRenewed(t *testing.T) {
	t.Parallel()
	const seconds = 20
	s := startServer(t)
	for _, p := range []protocol{jsonProtocol, mqtt5TCP, mqtt311TCP} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			ann, bob := s.device(t, "ann-"+p.name, "a"), s.device(t, "bob-"+p.name, "b")
			group := ann.createGroup(t, bob.user)
			bob.token = bob.lasting(t, seconds)
			line := p.live(t, bob, options{})
			eventually(t, "the client is told that its token expires", func() bool {
				return line.has(func(f frame) bool { return f.T == "token_expiring" })
			})
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			var last time.Time
			for i := range 6 {
				<-tick.C
				if err := line.renew(bob.lasting(t, seconds)); err != nil {
					t.Fatalf("renewal %d: %v", i, err)
				}
				confirmed := line.untilType(t, "auth")
				warned := line.untilType(t, "token_expiring")
				if confirmed.ExpiresAt != warned.ExpiresAt {
					t.Errorf("confirmed until %s, expiring at %s", confirmed.ExpiresAt, warned.ExpiresAt)
				}
				line.untilMessage(t, ann.send(t, group.ID, strconv.Itoa(i)).ID)
				var err error
				if last, err = time.Parse(time.RFC3339, confirmed.ExpiresAt); err != nil {
					t.Fatal(err)
				}
			}
			line.awaitEnd(t, map[string]int{"JSON": 4401, "MQTT5-tcp": 0x87, "MQTT311-tcp": 0}[p.name])
			if now := time.Now(); now.Before(last) {
				t.Errorf("it ended at %s, before the last token, at %s", now, last)
			}
		})
	}
}

// refusedRenewals are tokens that a connection of ann's device a may not be given, by code.
func refusedRenewals(t *testing.T, ann *device) map[string]string {
	return map[string]string{
		"unauthenticated":   ann.srv.device(t, "bob", "a").token,
		"device_mismatch":   ann.srv.device(t, "ann", "b").token,
		"missing_scope":     ann.lasting(t, 60, func(c claimSet) { c["scope"] = "chat.write" }),
		"unauthenticated ":  ann.lasting(t, -60),
		"unauthenticated  ": strings.Repeat("x", 8<<10+1),
	}
}

// A token that may not be is refused by code, and the old one stays in force: on JSON by an
// error frame. Ten end the connection, and are none of the ten wrong frames.
func TestRefusedRenewalsOfJSON(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	group := ann.createGroup(t)
	conn := ann.dialJSON(t)
	defer conn.CloseNow()
	write := func(v any) {
		t.Helper()
		if err := wsjson.Write(t.Context(), conn, v); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for code, token := range refusedRenewals(t, ann) {
		write(map[string]any{"t": "auth", "token": token})
		if got := nextError(t, conn); got != strings.TrimSpace(code) {
			t.Errorf("a token is refused with %s, want %s", got, code)
		}
		write(map[string]any{"t": "auth"})
		if got := nextError(t, conn); got != "invalid_frame" {
			t.Errorf("no token is refused with %s", got)
		}
		n++
	}
	for ; n < 9; n++ {
		write(map[string]any{"t": "auth", "token": "x"})
		nextError(t, conn)
		if n < 8 {
			handledByJSON(t, conn)
		}
	}
	write(map[string]any{"t": "typing", "thread_id": group.ID}) // the old token is in force
	write(map[string]any{"t": "auth", "token": ann.lasting(t, 3600, func(c claimSet) { c["scope"] = "chat.read" })})
	for f := (frame{}); f.T != "auth"; {
		if err := wsjson.Read(t.Context(), conn, &f); err != nil {
			t.Fatal(err)
		}
		if f.T == "error" {
			t.Fatalf("told %+v", f)
		}
	}
	write(map[string]any{"t": "typing", "thread_id": group.ID})
	if got := nextError(t, conn); got != "missing_scope" {
		t.Errorf("with a token that only reads, typing is refused with %s", got)
	}
	write(map[string]any{"t": "auth", "token": "x"})
	if got := nextError(t, conn); got != "unauthenticated" {
		t.Errorf("the tenth is refused with %s", got)
	}
	if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != 4401 {
		t.Errorf("the tenth refused token ends with %v, want 4401", err)
	}
}

// Over MQTT a token is a publish with QoS 1. MQTT 5 tells a refusal by the PUBACK, 3.1.1 by an
// error frame before it.
func TestRefusedRenewalsOfMQTT(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	const topic = "v1/devices/a/auth"
	for _, k := range rawKinds[:2] {
		r := dialRaw(t, s, k.version)
		r.accepted(t, helloOf(ann))
		r.subscribe(t, 1, 0, "v1/devices/a/frames")
		id := uint16(10)
		refuse := func(code, token string) {
			t.Helper()
			id++
			r.publish(t, id, 1, topic, token)
			if k.version == mqtt311 {
				if told := r.told(t); told.Code != code || told.PacketID != id {
					t.Errorf("%s: told %+v, want %s", k.name, told, code)
				}
			}
			want := published{id: id}
			if k.version == mqtt5 {
				want.code, want.reason = 0x87, code
			}
			if got := r.answered(t); got != want {
				t.Errorf("%s: answered with %+v, want %+v", k.name, got, want)
			}
		}
		n := 0
		for code, token := range refusedRenewals(t, ann) {
			refuse(strings.TrimSpace(code), token)
			n++
		}
		r.publish(t, 0, 0, topic, "ignored")
		r.publish(t, 0, 0, topic, ann.lasting(t, 3600))
		r.ping(t)
		for ; n < 9; n++ {
			refuse("unauthenticated", "x")
		}
		r.publish(t, 9, 1, topic, ann.lasting(t, 3600))
		for confirmed, acknowledged := false, false; !confirmed || !acknowledged; {
			switch p := r.read(t).(type) {
			case *v5.Publish:
				confirmed = strings.Contains(string(p.Payload), `"t":"auth"`)
			case *v4.PublishPacket:
				confirmed = strings.Contains(string(p.Payload), `"t":"auth"`)
			case *v5.Puback:
				acknowledged = p.PacketID == 9 && p.ReasonCode == 0
			case *v4.PubackPacket:
				acknowledged = p.MessageID == 9
			default:
				t.Fatalf("%s: a good token is answered with %v", k.name, p)
			}
		}
		r.publish(t, 8, 1, "v1/devices/other/auth", ann.token)
		if k.version == mqtt311 {
			r.told(t)
		}
		if got := r.answered(t); k.version == mqtt5 && got.code != 0x87 {
			t.Errorf("the topic of another device: %+v", got)
		}
		refuse("unauthenticated", "x")
		if got := r.ends(t); k.version == mqtt5 && got != 0x87 {
			t.Errorf("the tenth refused token ends with %#x, want 0x87", got)
		}
	}
}

// A key that is missing from two fetches of the key set running ends the connections of its
// tokens, and no others.
func TestConnectionsEndWithTheKeyOfTheirToken(t *testing.T) {
	beforeTheStore(t)
	t.Parallel()
	old, stays := newIssuerKey(t, "EdDSA", "old"), newIssuerKey(t, "EdDSA", "stays")
	issuer := startIssuer(t, old, stays)
	s := startServer(t, "--jwks", issuer.URL)
	json, mqtt := jsonProtocol.live(t, old.device(t, s, "ann", "a"), options{}), mqtt5TCP.live(t, old.device(t, s, "ann", "b"), options{})
	eve := stays.device(t, s, "eve", "e")
	other, ofSecret := jsonProtocol.live(t, eve, options{}), jsonProtocol.live(t, s.device(t, "eve", "secret"), options{})
	issuer.publish(false, stays)
	stranger := newIssuerKey(t, "EdDSA", "stranger").device(t, s, "zoe", "z")
	before := issuer.count()
	eventually(t, "the key set is fetched twice", func() bool {
		_, _ = stranger.call(t.Context(), "GET", "/v1/threads", nil) // an unknown key has it fetched, once in ten seconds
		if issuer.count() == before+1 && (json.over() || mqtt.over()) {
			t.Fatal("a connection has ended with the first fetch")
		}
		return issuer.count() >= before+2
	})
	json.awaitEnd(t, 4401)
	mqtt.awaitEnd(t, 0x87)
	mark := eve.sendFrom(t, "other")
	other.untilMessage(t, mark.ID)
	ofSecret.untilMessage(t, mark.ID)
}

package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	v4 "github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/golang-jwt/jwt/v5"
)

// claimSet is the claims of a token.
type claimSet = jwt.MapClaims

func TestWhoMayConnect(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	for _, c := range []struct {
		what                string
		claims              func(claimSet)
		key                 []byte
		http, mqtt5, mqtt31 int
	}{
		{"expired token", func(c claimSet) { c["exp"] = time.Now().Add(-time.Minute).Unix() }, secret, 401, 0x86, 4},
		{"token without exp", func(c claimSet) { delete(c, "exp") }, secret, 401, 0x86, 4},
		{"token without sub", func(c claimSet) { delete(c, "sub") }, secret, 401, 0x86, 4},
		{"token of the future", func(c claimSet) { c["nbf"] = time.Now().Add(time.Minute).Unix() }, secret, 401, 0x86, 4},
		{"bad user id", func(c claimSet) { c["sub"] = "a/b" }, secret, 401, 0x86, 4},
		{"another secret", func(claimSet) {}, []byte(strings.Repeat("z", 40)), 401, 0x86, 4},
		{"no scope to read", func(c claimSet) { c["scope"] = "chat.write" }, secret, 403, 0x87, 5},
		{"another device", func(c claimSet) { c["device_id"] = "b" }, secret, 403, 0x87, 5},
	} {
		t.Run(c.what, func(t *testing.T) {
			claims := userClaims("ann", "a")
			c.claims(claims)
			d := &device{srv: s, user: "ann", id: "a", token: mint(t, c.key, claims)}
			header := http.Header{"Authorization": {"Bearer " + d.token}, "X-Device-Id": {"a"}}
			_, err := connectJSONWith(d, options{}, d.realtimeURL("ws", ""), header, nil)
			if got := refusedWith(err); got != c.http {
				t.Errorf("JSON: %v, want %d", err, c.http)
			}
			if got := int(dialRaw(t, s, mqtt5).connect(t, helloOf(d)).code); got != c.mqtt5 {
				t.Errorf("MQTT 5: %#x, want %#x", got, c.mqtt5)
			}
			got := int(dialRawWS(t, s, mqtt311, "").connect(t, helloOf(d)).code)
			if got != c.mqtt31 && (c.mqtt31 != 4 || got != 5) {
				t.Errorf("MQTT 3.1.1: %d, want %d", got, c.mqtt31)
			}
		})
	}

	t.Run("no token", func(t *testing.T) {
		if _, err := connectJSONWith(ann, options{}, ann.realtimeURL("ws", ""), nil, nil); refusedWith(err) != 401 {
			t.Errorf("JSON: %v, want 401", err)
		}
		if got := dialRaw(t, s, mqtt5).connect(t, hello{clientID: "a", user: "ann", keepAlive: 60}).code; got != 0x86 {
			t.Errorf("MQTT 5: %#x, want 0x86", got)
		}
	})
	t.Run("user name of somebody else", func(t *testing.T) {
		h := helloOf(ann)
		h.user = "bob"
		if got := dialRaw(t, s, mqtt5).connect(t, h).code; got != 0x86 && got != 0x87 {
			t.Errorf("MQTT 5: %#x, want a refusal", got)
		}
	})
	t.Run("no user name", func(t *testing.T) {
		h := helloOf(ann)
		h.user = ""
		dialRaw(t, s, mqtt5).accepted(t, h)
	})
	t.Run("disagreeing client id", func(t *testing.T) {
		h := helloOf(ann)
		h.clientID = "other"
		if got := dialRaw(t, s, mqtt5).connect(t, h).code; got != 0x87 {
			t.Errorf("MQTT 5: %#x, want 0x87", got)
		}
	})
}

func TestTokenInTheQueryIsRefused(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	header := http.Header{"Authorization": {"Bearer " + ann.token}}
	for _, name := range []string{"token", "access_token", "authorization"} {
		target := ann.realtimeURL("ws", "") + "?" + name + "=" + ann.token
		if _, err := connectJSONWith(ann, options{}, target, nil, nil); refusedWith(err) != 400 {
			t.Errorf("%s in the query: %v, want 400", name, err)
		}
		if _, err := connectJSONWith(ann, options{}, target, header, nil); refusedWith(err) != 400 {
			t.Errorf("%s in the query besides a good header: %v, want 400", name, err)
		}
	}
}

// A browser cannot set headers: its token comes as a subprotocol.
func TestTokenAsSubprotocol(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	c, err := connectJSONWith(ann, options{}, ann.realtimeURL("ws", ""), nil, []string{"parley.v1", "bearer." + ann.token})
	if err != nil {
		t.Fatal(err)
	}
	c.expect(t, "caught_up")
	c.close()
	c.checkContract(t)
	if _, err := connectJSONWith(ann, options{}, ann.realtimeURL("ws", ""), nil, []string{"parley.v1", "bearer.nonsense"}); refusedWith(err) != 401 {
		t.Errorf("nonsense as bearer subprotocol: %v, want 401", err)
	}
}

func TestConnectionEndsWithItsToken(t *testing.T) {
	beforeTheStore(t)
	t.Parallel()
	s := startServer(t)
	ann := s.device(t, "ann", "a").withClaims(t, func(c claimSet) { c["exp"] = time.Now().Add(5 * time.Second).Unix() })
	bob := s.device(t, "bob", "b").withClaims(t, func(c claimSet) { c["exp"] = time.Now().Add(5 * time.Second).Unix() })
	json, mqtt := jsonProtocol.live(t, ann, options{}), mqtt5TCP.live(t, bob, options{})
	json.awaitEnd(t, 4401)
	mqtt.awaitEnd(t, 0x87)
}

// A client of MQTT 3.1.1 whose token is refused gets CONNACK 5 and then the end, by TCP and by
// WebSocket. What it sent behind its CONNECT does nothing.
func TestRefusedTokensOf311(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	group := ann.createGroup(t)
	good := userClaims("ann", "a")
	expired := userClaims("ann", "a")
	expired["exp"] = time.Now().Add(-time.Minute).Unix()
	parts := strings.Split(mint(t, secret, good), ".")
	for what, token := range map[string]string{
		"expired":                 mint(t, secret, expired),
		"signed by another":       mint(t, []byte(strings.Repeat("z", 40)), good),
		"signature cut":           strings.Join(parts[:2], ".") + ".",
		"claims of another token": parts[0] + "." + strings.Split(mint(t, secret, expired), ".")[1] + "." + parts[2],
		"no token at all":         "nonsense",
		"empty":                   "",
	} {
		for _, k := range rawKinds {
			if k.version != mqtt311 {
				continue
			}
			r := k.dial(t, s, k.version)
			h := helloOf(ann)
			h.password = token
			r.sendConnect(t, h)
			r.publish(t, 1, 1, messagesTopic(group.ID), mqttSend(t, "behind "+what, 1, "x"))
			ack, ok := r.read(t).(*v4.ConnackPacket)
			if !ok || ack.ReturnCode != 5 && ack.ReturnCode != 4 || ack.SessionPresent {
				t.Errorf("%s, %s: the answer is %+v, want CONNACK 4 or 5", what, k.name, ack)
			}
			if p, err := r.tryRead(); err == nil {
				t.Errorf("%s, %s: %v comes behind the CONNACK", what, k.name, p)
			}
		}
	}
	if got := ann.texts(t, group.ID); len(got) != 0 {
		t.Errorf("stored: %v", got)
	}
}

// When the token of a 3.1.1 client that is sending expires, the connection ends. What had a
// PUBACK is stored, and what is stored has no gap.
func TestTokenOf311ExpiresWhileItSends(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--rate-send", "0")
	expires := time.Now().Add(4 * time.Second)
	ann := s.device(t, "ann", "a")
	group := ann.createGroup(t)
	short := ann.withClaims(t, func(c claimSet) { c["exp"] = expires.Unix() })
	r := dialRaw(t, s, mqtt311)
	r.accepted(t, helloOf(short))
	answered := 0
	for n := 1; ; n++ { // one after the other
		packet := v4.NewControlPacket(v4.Publish).(*v4.PublishPacket)
		packet.MessageID, packet.Qos, packet.TopicName = uint16(n), 1, messagesTopic(group.ID)
		packet.Payload = []byte(mqttSend(t, fmt.Sprint("k", n), int64(n), strconv.Itoa(n)))
		if packet.Write(r) != nil {
			break
		}
		p, err := r.tryRead()
		if err != nil {
			break
		}
		if ack, ok := p.(*v4.PubackPacket); !ok || ack.MessageID != uint16(n) {
			t.Fatalf("%v answers publish %d", p, n)
		}
		answered = n
	}
	stored := ann.texts(t, group.ID)
	for i, text := range stored {
		if text != strconv.Itoa(i+1) {
			t.Fatalf("message %d is %s", i+1, text)
		}
	}
	if answered == 0 || len(stored) < answered || len(stored) > answered+1 { // the last may be stored and not be told any more
		t.Errorf("%d are answered, %d are stored", answered, len(stored))
	}
	t.Logf("%d are answered, %d are stored", answered, len(stored))
}

// A request that is no upgrade is told to which protocol to upgrade (RFC 9110, 15.5.22).
func TestRealtimeWithoutAnUpgrade(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	for range 2 { // the connection goes on
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url("http")+"/v1/realtime", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+ann.token)
		resp, err := wrongClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUpgradeRequired || resp.Header.Get("Upgrade") != "websocket" || resp.Header.Get("Connection") != "Upgrade" {
			t.Errorf("it is answered %d with %v", resp.StatusCode, resp.Header)
		}
	}
}

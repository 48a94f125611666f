package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

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
	t.Parallel()
	s := startServer(t)
	ann := s.device(t, "ann", "a").withClaims(t, func(c claimSet) { c["exp"] = time.Now().Add(5 * time.Second).Unix() })
	bob := s.device(t, "bob", "b").withClaims(t, func(c claimSet) { c["exp"] = time.Now().Add(5 * time.Second).Unix() })
	json, mqtt := jsonProtocol.live(t, ann, options{}), mqtt5TCP.live(t, bob, options{})
	json.awaitEnd(t, 4401)
	mqtt.awaitEnd(t, 0x87)
}

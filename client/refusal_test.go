package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/client"
	"github.com/parleyhq/parley/client/mqtt"
	"github.com/parleyhq/parley/test/process"
)

// overWebSocket are the transports that begin with an HTTP request.
var overWebSocket = map[string]client.Transport{"json": client.JSON{}, "mqttws": mqtt.Transport{}}

// A proxy answers in place of the server, as during a deploy. The client tries again until the
// server is there, whatever the proxy's pages say.
func TestAProxysPageEndsNoClient(t *testing.T) {
	s := process.Start(t)
	target, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	for name, transport := range overWebSocket {
		for _, status := range []int{400, 403, 404, 407, 426, 500, 502, 503} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				var pages atomic.Int64
				through := httputil.NewSingleHostReverseProxy(target)
				proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/v1/realtime" && pages.Add(1) <= 3 {
						w.Header().Set("Content-Type", "text/html")
						w.WriteHeader(status)
						fmt.Fprint(w, "<h1>try again later</h1>")
						return
					}
					through.ServeHTTP(w, r)
				}))
				t.Cleanup(proxy.Close)
				untilOnline(t, proxy.URL, fmt.Sprint("ann-", name, status), transport)
				if n := pages.Load(); n != 4 {
					t.Errorf("it is online after %d handshakes", n)
				}
			})
		}
	}
}

// A proxy that drops the upgrade may be mended: the server's own 426 ends no client.
func TestADroppedUpgradeEndsNoClient(t *testing.T) {
	s := process.Start(t)
	target, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	for name, transport := range overWebSocket {
		t.Run(name, func(t *testing.T) {
			var dropped atomic.Int64
			through := httputil.NewSingleHostReverseProxy(target)
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/realtime" && dropped.Add(1) <= 2 {
					r.Header.Del("Upgrade")
				}
				through.ServeHTTP(w, r)
			}))
			t.Cleanup(proxy.Close)
			untilOnline(t, proxy.URL, "ann-"+name, transport)
		})
	}
}

// What the server itself says of the client's token or device is final.
func TestRefusalsThatAreFinal(t *testing.T) {
	s := process.Start(t)
	for name, transport := range transports(s) {
		for what, change := range map[string]func(*client.Options){
			"no scope to read": func(o *client.Options) {
				o.Token = client.StaticToken(process.Token(t, o.UserID, time.Hour, chat.ScopeWrite))
			},
			"another device": func(o *client.Options) {
				o.Token = client.StaticToken(deviceToken(t, o.UserID, "phone", time.Now()))
			},
			"no device id": func(o *client.Options) { o.DeviceID = "-" },
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				o := client.Options{URL: s.URL(), UserID: "ann", DeviceID: "laptop", Transport: transport, Token: client.StaticToken(process.Token(t, "ann", time.Hour))}
				change(&o)
				if err := runOnce(t, o); !errors.Is(err, client.ErrRefused) {
					t.Errorf("it ends with %v", err)
				}
			})
		}
	}
}

// A device that was removed while it was away is told so, and does not come back by itself with a
// new token. With one it may, when its owner has it run again.
func TestADeviceThatWasRemovedWhileAway(t *testing.T) {
	s := process.Start(t)
	for name, transport := range transports(s) {
		t.Run(name, func(t *testing.T) {
			user, issued := "ann-"+name, time.Now().Add(-time.Minute)
			p := join(t, s, user, transport, func(o *client.Options) {
				o.Token = func(context.Context) (string, error) { return deviceToken(t, user, "laptop", issued), nil }
			})
			p.stop()
			<-p.done
			api := client.NewAPI(s.URL(), "phone", client.StaticToken(process.Token(t, user, time.Hour)), nil)
			if err := api.RemoveDevice(t.Context(), "laptop"); err != nil {
				t.Fatal(err)
			}
			p.start(t)
			if err := <-p.done; !errors.Is(err, client.ErrRemoved) {
				t.Errorf("it ends with %v", err)
			}
			issued = time.Now().Add(2 * time.Second)
			p.run(t)
		})
	}
}

// untilOnline runs a client until it is online. It never waits for its next try.
func untilOnline(t *testing.T, url, user string, transport client.Transport) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	online := errors.New("online")
	ctx, end := context.WithCancelCause(ctx)
	var c *client.Client
	c, err := client.New(client.Options{
		URL: url, UserID: user, DeviceID: "laptop", Transport: transport, Token: client.StaticToken(process.Token(t, user, time.Hour)),
		OnState: func(state client.ConnState) {
			switch state {
			case client.Waiting:
				c.Hurry()
			case client.Online:
				end(online)
			case client.Stopped, client.Connecting, client.CatchingUp:
			}
		},
		OnError: func(err error) { t.Log(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(ctx); !errors.Is(err, online) {
		t.Errorf("it ends with %v", err)
	}
}

func runOnce(t *testing.T, o client.Options) error {
	t.Helper()
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return c.Run(ctx)
}

func deviceToken(t testing.TB, user, device string, issued time.Time) string {
	t.Helper()
	token, err := auth.Mint([]byte(process.Secret), auth.Claims{
		User: chat.UserID(user), Device: chat.DeviceID(device), Scopes: []chat.Scope{chat.ScopeRead, chat.ScopeWrite},
		Issued: issued, Expires: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/parleyhq/parley/client"
	"github.com/parleyhq/parley/contracts"
	"github.com/parleyhq/parley/test/process"
)

// behindPages is the way to a server by a proxy that answers the first two calls of one kind
// itself.
func behindPages(t *testing.T, s *process.Server, method, suffix string, page func(http.ResponseWriter, *http.Request)) (address string, pages *atomic.Int64) {
	t.Helper()
	target, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	pages = new(atomic.Int64)
	through := httputil.NewSingleHostReverseProxy(target)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method && strings.HasSuffix(r.URL.Path, suffix) && pages.Add(1) <= 2 {
			page(w, r)
			return
		}
		through.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL, pages
}

// pages are what a proxy may answer in place of the server.
var pages = map[string]func(http.ResponseWriter, *http.Request){
	"400": bare(400), "403": bare(403), "404": bare(404), "405": bare(405), "502": bare(502),
	"a login": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<h1>log in to this network</h1>") },
	"a redirect": func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Path, http.StatusMovedPermanently)
	},
}

func bare(status int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "try again later", status) }
}

// A proxy's page is no answer of the server: what was asked is asked again, and no message is
// taken for sent or for one that can never be.
func TestAProxysPageIsNoAnswer(t *testing.T) {
	s := process.Start(t)
	for name, page := range pages {
		t.Run("a message, "+name, func(t *testing.T) {
			address, answered := behindPages(t, s, http.MethodPost, "/messages", page)
			ann := join(t, s, "ann", client.JSON{}, func(o *client.Options) { o.URL = address })
			thread := ann.create(t, client.Group)
			ann.say(t, thread, "hello")
			ann.flush(t)
			ann.stop()
			if left := ann.Outgoing(); len(left) != 0 {
				t.Errorf("not sent is %+v", left)
			}
			page, err := ann.API.Messages(t.Context(), thread, client.MessageQuery{})
			if err != nil || len(page.Messages) != 1 || string(page.Messages[0].Ciphertext) != "hello" || answered.Load() != 3 {
				t.Errorf("after %d tries %+v is stored, %v", answered.Load(), page.Messages, err)
			}
		})
		t.Run("a call without an answer, "+name, func(t *testing.T) {
			ann := join(t, s, "ann", client.JSON{})
			thread := ann.create(t, client.Group)
			ann.say(t, thread, "to be deleted")
			ann.await(t, "the message", func(events, _ []client.Frame) bool { return len(texts(events, thread)) == 1 })
			address, _ := behindPages(t, s, http.MethodDelete, "", page)
			api := client.NewAPI(address, "laptop", client.StaticToken(process.Token(t, "ann", patience)), nil)
			i := slices.IndexFunc(ann.events, func(f client.Frame) bool { return f.ThreadID == thread && f.Type == client.EventMessage })
			if err := api.Delete(t.Context(), ann.events[i].ID); err != nil {
				t.Fatal(err)
			}
			if m, err := ann.API.Message(t.Context(), thread, ann.events[i].ID); err != nil || !m.Deleted {
				t.Errorf("the message is %+v, %v", m, err)
			}
		})
		t.Run("a log, "+name, func(t *testing.T) {
			user := "bob-" + strings.ReplaceAll(name, " ", "-")
			ann, first := join(t, s, "ann", client.JSON{}), join(t, s, user, client.JSON{})
			ann.say(t, ann.create(t, client.Group, user), "before")
			first.await(t, "the message", func(events, _ []client.Frame) bool { return len(events) == 2 })
			ann.await(t, "its receipt", func(_, frames []client.Frame) bool {
				return slices.ContainsFunc(frames, func(f client.Frame) bool { return f.Type == contracts.FrameDelivered })
			})
			// What the first device has acknowledged comes to another one by calls only.
			address, answered := behindPages(t, s, http.MethodGet, "/events", page)
			second := join(t, s, user, client.JSON{}, func(o *client.Options) { o.URL, o.DeviceID = address, "phone" })
			second.await(t, "the log", func(events, _ []client.Frame) bool { return len(events) == 2 })
			inOrder(t, second.events)
			if answered.Load() < 3 {
				t.Errorf("pages of events were asked for %d times", answered.Load())
			}
		})
	}
}

// A call that may succeed after a day is left to its caller.
func TestNoCallWaitsForADay(t *testing.T) {
	s := process.Start(t, "--rate-strangers", "1")
	api := client.NewAPI(s.URL(), "laptop", client.StaticToken(process.Token(t, "ann", patience)), nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := api.CreateThread(ctx, client.Group, []string{"bob", "cid"}, "")
	var problem *client.ProblemError
	if !errors.As(err, &problem) || problem.Code != "too_many_strangers" || problem.RetryAfter < 3600 {
		t.Errorf("it is refused with %v", err)
	}
}

func TestAURLWithoutASchemeIsRefused(t *testing.T) {
	for _, address := range []string{"chat.example.com", "ws://chat.example.com", "localhost:8080"} {
		_, err := client.New(client.Options{URL: address, UserID: "ann", DeviceID: "laptop", Token: client.StaticToken("none")})
		if err == nil || !strings.Contains(err.Error(), address) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

package e2e

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// create posts the creation of a thread, which has to be answered with the status.
func (d *device) create(t testing.TB, status int, kind string, others []string, header ...string) (thread, http.Header) {
	t.Helper()
	a := d.must(t, status, http.MethodPost, "/v1/threads", map[string]any{"type": kind, "participants": others}, header...)
	var th thread
	a.into(t, &th)
	if want := "/v1/threads/" + th.ID; status == http.StatusCreated && a.header.Get("Location") != want {
		t.Errorf("the Location is %q, want %q", a.header.Get("Location"), want)
	}
	return th, a.header
}

func TestOneToOneExistsOnce(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	first, _ := ann.create(t, http.StatusCreated, "1_TO_1", []string{"bob"}) // the caller is always in
	for _, d := range []*device{ann, bob} {
		if again, _ := d.create(t, http.StatusOK, "1_TO_1", []string{"ann", "bob", "ann"}); again.ID != first.ID {
			t.Errorf("%s gets %s, want %s", d.user, again.ID, first.ID)
		}
	}
	// Both create it at the same time: there is still one thread.
	cid, dora := s.device(t, "cid", "c"), s.device(t, "dora", "d")
	found := make(chan string, 16)
	var creating sync.WaitGroup
	for i := range cap(found) {
		d := []*device{cid, dora}[i%2]
		creating.Go(func() {
			a, err := d.call(t.Context(), http.MethodPost, "/v1/threads", map[string]any{"type": "1_TO_1", "participants": []string{"cid", "dora"}})
			var th thread
			if err != nil || (a.status != http.StatusCreated && a.status != http.StatusOK) {
				t.Errorf("creating as %s: %v %d %s", d.user, err, a.status, a.body)
			} else {
				a.into(t, &th)
			}
			found <- th.ID
		})
	}
	creating.Wait()
	close(found)
	want := <-found
	for id := range found {
		if id != want {
			t.Errorf("two threads came of it: %s and %s", id, want)
		}
	}
	if n := len(cid.events(t, want, 0, 10)); n != 1 {
		t.Errorf("its log has %d events", n)
	}
}

func TestIdempotentCreation(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	const key = "Idempotency-Key"
	line := jsonProtocol.live(t, bob, options{})
	first, header := ann.create(t, http.StatusCreated, "GROUP", []string{"bob", "cid"}, key, "k")
	if header.Get("Idempotency-Replayed") != "" {
		t.Error("the first creation says it was replayed")
	}
	line.nextDurable(t)
	replay := func() {
		t.Helper()
		again, header := ann.create(t, http.StatusCreated, "GROUP", []string{"bob", "cid"}, key, "k")
		if again.ID != first.ID || header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("the retry gives %s (replayed %q), want %s", again.ID, header.Get("Idempotency-Replayed"), first.ID)
		}
	}
	replay()
	s.device(t, "ann", "another").create(t, http.StatusCreated, "GROUP", []string{"bob", "cid"}, key, "k") // keys are the user's
	s.kill(t)
	s.start(t)
	replay()
	for what, body := range map[string]map[string]any{
		"others":  {"type": "GROUP", "participants": []string{"bob"}},
		"a title": {"type": "GROUP", "participants": []string{"bob", "cid"}, "title": "Tea"},
		"a 1:1":   {"type": "1_TO_1", "participants": []string{"bob"}},
	} {
		t.Log(what)
		ann.refused(t, 422, "idempotency_key_reused", http.MethodPost, "/v1/threads", body, key, "k")
	}
	// The keys of creations are apart from those of sends, and private to their user.
	ann.sendOut(t, first.ID, outgoing{Key: "k", ClientSeq: 1, Ciphertext: []byte("x")})
	ann.sendOut(t, first.ID, outgoing{Key: "m", ClientSeq: 2, Ciphertext: []byte("x")})
	if another, _ := ann.create(t, http.StatusCreated, "GROUP", []string{"bob", "cid"}, key, "m"); another.ID == first.ID {
		t.Error("the key of a message found a thread")
	}
	if theirs, _ := bob.create(t, http.StatusCreated, "GROUP", []string{"ann"}, key, "k"); theirs.ID == first.ID {
		t.Error("Bob's key found Ann's thread")
	}
	// Without a key two groups of the same people are two groups.
	a, b := ann.createGroup(t, "bob", "cid"), ann.createGroup(t, "bob", "cid")
	if a.ID == b.ID || a.ID == first.ID {
		t.Errorf("three groups are %s, %s and %s", first.ID, a.ID, b.ID)
	}
	for _, bad := range []string{strings.Repeat("k", 65), "a b", "é"} {
		ann.refused(t, 400, "invalid_request", http.MethodPost, "/v1/threads", map[string]any{"type": "GROUP", "participants": []string{"bob"}}, key, bad)
	}
}

// The same creation, made many times at once, makes one thread, and Bob is told of it once.
func TestIdempotentCreationAtOnce(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	line := mqtt5TCP.live(t, bob, options{})
	found := make(chan string, 12)
	var creating sync.WaitGroup
	for range cap(found) {
		creating.Go(func() {
			a, err := ann.call(t.Context(), http.MethodPost, "/v1/threads",
				map[string]any{"type": "GROUP", "participants": []string{"bob"}}, "Idempotency-Key", "k")
			var th thread
			if err != nil || a.status != http.StatusCreated {
				t.Errorf("creating: %v %d %s", err, a.status, a.body)
			} else {
				a.into(t, &th)
			}
			found <- th.ID
		})
	}
	creating.Wait()
	close(found)
	want := <-found
	for id := range found {
		if id != want {
			t.Errorf("two threads came of it: %s and %s", id, want)
		}
	}
	line.untilMessage(t, ann.send(t, want, "marker").ID)
	for _, f := range line.all() {
		if f.durable() && f.ThreadID != want {
			t.Errorf("Bob is told of another thread: %s", f.raw)
		}
	}
}

func TestRefusedCreations(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	for what, body := range map[string]any{
		"a 1:1 with oneself":        map[string]any{"type": "1_TO_1", "participants": []string{"ann"}},
		"a 1:1 of three":            map[string]any{"type": "1_TO_1", "participants": []string{"bob", "cid"}},
		"a 1:1 of nobody":           map[string]any{"type": "1_TO_1", "participants": []string{}},
		"an unknown type":           map[string]any{"type": "CHANNEL", "participants": []string{"bob"}},
		"no type":                   map[string]any{"participants": []string{"bob"}},
		"no participants":           map[string]any{"type": "GROUP"},
		"a bad id":                  map[string]any{"type": "GROUP", "participants": []string{"bob", "a b"}},
		"an empty id":               map[string]any{"type": "GROUP", "participants": []string{""}},
		"an id that begins wrongly": map[string]any{"type": "GROUP", "participants": []string{".bob"}},
		"an id too long":            map[string]any{"type": "GROUP", "participants": []string{strings.Repeat("b", 65)}},
		"the reserved id":           map[string]any{"type": "GROUP", "participants": []string{"me"}},
		"a title too long":          map[string]any{"type": "GROUP", "participants": []string{"bob"}, "title": strings.Repeat("x", 257)},
		"an unknown field":          map[string]any{"type": "GROUP", "participants": []string{"bob"}, "name": "x"},
		"a wrongly cased field":     map[string]any{"Type": "GROUP", "participants": []string{"bob"}},
		"a field twice":             verbatim(`{"type":"GROUP","type":"GROUP","participants":["bob"]}`),
		"trailing data":             verbatim(`{"type":"GROUP","participants":["bob"]} {}`),
		"no JSON":                   verbatim("type=GROUP"),
		"nothing":                   verbatim(""),
	} {
		t.Log(what)
		ann.refused(t, 400, "invalid_request", http.MethodPost, "/v1/threads", body)
	}
	var page struct {
		Threads []thread `json:"threads"`
	}
	ann.must(t, http.StatusOK, http.MethodGet, "/v1/threads", nil).into(t, &page)
	if len(page.Threads) != 0 {
		t.Errorf("refusals made %+v", page.Threads)
	}
	for _, bad := range []string{"page_size=0", "page_size=101", "page_size=x", "cursor=nonsense"} {
		ann.refused(t, 400, "invalid_request", http.MethodGet, "/v1/threads?"+bad, nil)
	}
}

// The list of threads is by latest activity, in pages of any size.
func TestThreadsInPages(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	var order []string // latest activity first
	for range 5 {
		order = append([]string{ann.createGroup(t, "bob").ID}, order...)
	}
	ann.send(t, order[3], "news")
	order = []string{order[3], order[0], order[1], order[2], order[4]}
	for size := 1; size <= 6; size++ {
		var got []string
		for cursor := ""; ; {
			var page struct {
				Threads    []thread `json:"threads"`
				NextCursor *string  `json:"next_cursor"`
			}
			ann.must(t, http.StatusOK, http.MethodGet, "/v1/threads?page_size="+string(rune('0'+size))+cursor, nil).into(t, &page)
			for _, th := range page.Threads {
				got = append(got, th.ID)
			}
			if page.NextCursor == nil {
				break
			}
			cursor = "&cursor=" + *page.NextCursor
		}
		if asJSON(t, got) != asJSON(t, order) {
			t.Errorf("in pages of %d: %v, want %v", size, got, order)
		}
	}
}

// The list has the order of what happened, however soon one followed the other.
func TestThreadsInQuickSuccession(t *testing.T) {
	s := startServer(t, "--rate-send=0")
	ann := s.device(t, "ann", "a")
	wantList := func(what string, order []string) {
		t.Helper()
		var page struct {
			Threads []thread `json:"threads"`
		}
		ann.must(t, http.StatusOK, http.MethodGet, "/v1/threads", nil).into(t, &page)
		got := make([]string, len(page.Threads))
		for i, th := range page.Threads {
			got[i] = th.ID
		}
		if asJSON(t, got) != asJSON(t, order) {
			t.Errorf("%s: %v, want %v", what, got, order)
		}
	}
	var order []string // latest activity first
	for range 30 {
		order = append([]string{ann.createGroup(t, "bob").ID}, order...)
	}
	wantList("without messages", order)
	for _, id := range order {
		ann.send(t, id, "news")
	}
	slices.Reverse(order)
	wantList("with one each", order)
}

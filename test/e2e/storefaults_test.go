package e2e

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/test/mongod"
)

// The tests below have the store fail while the server runs. They need MongoDB: the
// embedded store is a part of the server.

func needsMongo(t testing.TB) {
	t.Helper()
	if !onMongo {
		t.Skip("the embedded store has no server of its own that could fail")
	}
}

// deadline is the longest that an answer, or the server's exit, may take, whatever the store
// does: the contract's 10 s, and 1 s more for a loaded machine.
const deadline = 11 * time.Second

// traffic has people send into one thread. They retry a send that was answered 503, with
// the same key.
type traffic struct {
	t       *testing.T
	thread  string
	stop    chan struct{}
	sending sync.WaitGroup

	mu       sync.Mutex
	attempts []*attempt
	accepted int
	refused  int
	longest  int // Retry-After of a refused one
}

func startTraffic(t *testing.T, thread string, people []*device) *traffic {
	t.Helper()
	tr := &traffic{t: t, thread: thread, stop: make(chan struct{})}
	for _, d := range people {
		tr.sending.Go(func() { tr.sendAs(d) })
	}
	return tr
}

func (tr *traffic) sendAs(d *device) {
	for n := int64(1); ; n++ {
		select {
		case <-tr.stop:
			return
		default:
		}
		a := &attempt{by: d, out: outgoing{Key: d.user + "-" + strconv.FormatInt(n, 10), ClientSeq: n, Ciphertext: []byte(d.user)}}
		tr.mu.Lock()
		tr.attempts = append(tr.attempts, a)
		tr.mu.Unlock()
		for a.got == nil {
			if !tr.attempt(a) {
				return
			}
		}
	}
}

// attempt is one try; false means that something is wrong.
func (tr *traffic) attempt(a *attempt) bool {
	started := time.Now()
	got, err := a.by.try(tr.t.Context(), tr.thread, a.out)
	if took := time.Since(started); took > deadline {
		tr.t.Errorf("a send was answered after %v", took)
	}
	if err != nil {
		tr.t.Errorf("a send as %s: %v", a.by.user, err)
		return false
	}
	after, _ := strconv.Atoi(got.header.Get("Retry-After"))
	switch {
	case got.status == http.StatusAccepted:
		var m message
		got.into(tr.t, &m)
		tr.mu.Lock()
		defer tr.mu.Unlock()
		a.got = &m
		tr.accepted++
		return true
	case got.status == http.StatusServiceUnavailable && strings.Contains(string(got.body), `"unavailable"`) && after > 0:
		tr.mu.Lock()
		tr.refused++
		tr.longest = max(tr.longest, after)
		tr.mu.Unlock()
		awaitTime(tr.t, time.Now().Add(time.Duration(after)*time.Second)) // as Retry-After says
		return true
	default:
		tr.t.Errorf("a send as %s: %d, Retry-After %q: %s", a.by.user, got.status, got.header.Get("Retry-After"), got.body)
		return false
	}
}

func (tr *traffic) counts() (accepted, refused int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.accepted, tr.refused
}

// more waits for that many more sends to be accepted.
func (tr *traffic) more(n int) {
	tr.t.Helper()
	before, _ := tr.counts()
	eventually(tr.t, "more sends are accepted", func() bool { now, _ := tr.counts(); return now >= before+n || tr.t.Failed() })
}

// end stops the senders, waits until their last sends are accepted, and returns all sends.
func (tr *traffic) end() []*attempt {
	close(tr.stop)
	tr.sending.Wait()
	return tr.attempts
}

// While the store does not answer, calls are refused in time and connections stay open.
// When it is back, everything works again, and no message is lost or stored twice.
func TestStoreFailsForAWhile(t *testing.T) {
	t.Parallel()
	needsMongo(t)
	for what, fault := range map[string]struct {
		begin, end func(*mongod.Server, mongod.TB)
	}{
		"paused":           {(*mongod.Server).Pause, (*mongod.Server).Resume},
		"gone":             {(*mongod.Server).Kill, (*mongod.Server).Restart},
		"killed at random": {func(m *mongod.Server, tb mongod.TB) { m.Kill(tb); m.Restart(tb) }, nil},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			mongo := mongod.Start(t)
			s := startServerOn(t, mongo.URI())
			people, watchers, group := crowd(t, s)
			lines := map[*device]*client{}
			for i, p := range oneOfEach {
				lines[watchers[i]] = p.live(t, watchers[i], options{})
			}
			tr := startTraffic(t, group, people)
			tr.more(10)
			fault.begin(mongo, t)
			if fault.end == nil {
				for range 2 { // twice more, while other commands run
					tr.more(5)
					fault.begin(mongo, t)
				}
			} else {
				checkOutage(t, s, tr, people[0], len(people))
				fault.end(mongo, t)
			}
			eventually(t, "/readyz says 200 again", func() bool { return s.status("/readyz") == http.StatusOK })
			tr.more(10)
			checkNothingLost(t, group, tr.end(), lines)
		})
	}
}

// crowd is a group of three who write and one watcher for each kind of client.
func crowd(t *testing.T, s *server) (people, watchers []*device, group string) {
	t.Helper()
	names := []string{}
	for _, name := range []string{"ann", "bob", "cid"} {
		people = append(people, s.device(t, name, "d"))
		names = append(names, name)
	}
	for _, p := range oneOfEach {
		watchers = append(watchers, s.device(t, "watcher-"+p.name, "w"))
		names = append(names, "watcher-"+p.name)
	}
	return people, watchers, people[0].createGroup(t, names[1:]...).ID
}

// checkOutage sees what callers are told while the store does not answer.
func checkOutage(t *testing.T, s *server, tr *traffic, d *device, senders int) {
	t.Helper()
	_, before := tr.counts()
	var reading sync.WaitGroup
	for _, path := range []string{"/v1/threads", "/v1/threads/" + tr.thread + "/messages", "/v1/users/me/blocks"} {
		reading.Go(func() {
			started := time.Now()
			d.refused(t, http.StatusServiceUnavailable, "unavailable", http.MethodGet, path, nil)
			if took := time.Since(started); took > deadline {
				t.Errorf("GET %s was answered after %v", path, took)
			}
		})
	}
	eventually(t, "/readyz says 503", func() bool { return s.status("/readyz") == http.StatusServiceUnavailable })
	eventually(t, "all sends are refused", func() bool {
		if got := s.status("/healthz"); got != http.StatusOK {
			t.Fatalf("/healthz is %d while the store is away", got)
		}
		_, now := tr.counts()
		return now >= before+senders || t.Failed()
	})
	reading.Wait()
	accepted, refused := tr.counts()
	eventually(t, "a retry is refused", func() bool { _, now := tr.counts(); return now > refused || t.Failed() })
	if now, _ := tr.counts(); now != accepted {
		t.Errorf("%d sends were accepted while the store was away", now-accepted)
	}
}

// checkNothingLost checks that the log has every send once, that a retry finds its message,
// and that the connections are still open and have got everything.
func checkNothingLost(t *testing.T, group string, attempts []*attempt, lines map[*device]*client) {
	t.Helper()
	d := attempts[0].by
	checkLog(t, d.history(t, group), attempts)
	for _, a := range attempts {
		m, header, err := a.by.post(t.Context(), group, a.out)
		if err != nil || m.ID != a.got.ID || m.Seq != a.got.Seq || header.Get("Idempotency-Replayed") != "true" {
			t.Fatalf("retry of %s: %v, %+v; 202 had said %+v", a.out.Key, err, m, a.got)
		}
	}
	events := d.events(t, group, 0, 100)
	for i, f := range events {
		if f.Seq != uint64(i)+1 {
			t.Fatalf("event %d of the log has seq %d", i, f.Seq)
		}
	}
	if len(events) != len(attempts)+1 {
		t.Errorf("the log has %d events, want the creation and %d messages", len(events), len(attempts))
	}
	last := attempts[0].got
	for _, a := range attempts {
		if a.got.Seq > last.Seq {
			last = a.got
		}
	}
	for w, line := range lines {
		seen := &union{name: w.user}
		line.watch(patience, func(f []frame) bool { return seen.with(f).complete(group, len(events)) })
		if line.over() {
			t.Errorf("%s lost its connection (%#x)", w.user, line.end)
		}
		seen.take(t, line.record)
		seen.checkComplete(t, group, len(events))
		eventually(t, "delivery to "+w.user, func() bool { return d.stateOf(t, last.ID, w.user) == "DELIVERED" })
	}
}

// A server whose store does not answer still exits when it is asked to.
func TestTerminationWithoutTheStore(t *testing.T) {
	t.Parallel()
	needsMongo(t)
	mongo := mongod.Start(t)
	s := startServerOn(t, mongo.URI())
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := ann.createGroup(t, "bob")
	line := mqtt5TCP.live(t, bob, options{manual: true})
	sent := ann.send(t, group.ID, "hello")
	line.untilMessage(t, sent.ID)
	mongo.Pause(t)
	line.ackAll() // there is something to store
	started := time.Now()
	s.stop(t)
	if took := time.Since(started); took > deadline {
		t.Errorf("the server took %v to exit", took)
	}
	mongo.Resume(t)
	s.start(t)
	if got := ann.history(t, group.ID); len(got) != 1 || got[0].ID != sent.ID {
		t.Errorf("after the restart the history is %v", ids(got))
	}
}

// A start with an unreachable MongoDB ends with one clear line, without the password.
func TestUnreachableMongoDB(t *testing.T) {
	needsMongo(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the system accepts, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	const password = "hunter2-of-parley"
	nobody, mute := closed.Addr().String(), silent.Addr().String()
	for what, c := range map[string]struct {
		at   string // the rest of the URL
		says string // what the line has to name
	}{
		"nobody listens":  {nobody + "/parley", nobody},
		"nobody answers":  {mute + "/parley?connectTimeoutMS=60000", mute},
		"no such host":    {"no-such-host.invalid:27017/parley", "no-such-host.invalid"},
		"no database":     {nobody, nobody},
		"no host":         {"/parley", "host"},
		"a bad option":    {nobody + "/parley?readPreference=whatever", "whatever"},
		"a bad port":      {"127.0.0.1:port/parley", "port"},
		"a bad character": {nobody + "/par%ley", "database"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			line := doesNotStart(t, t.TempDir(), c.says, "serve", "--listen", "127.0.0.1:0", "--jwt-secret", string(secret),
				"--store", "mongodb://parley:"+password+"@"+c.at)
			if strings.Contains(line, password) || !strings.Contains(line, "--store") {
				t.Errorf("the line shows the password, or does not name --store: %s", line)
			}
			t.Log(line)
		})
	}
}

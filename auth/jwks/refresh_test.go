package jwks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parleyhq/parley/auth/jwks/jwkstest"
)

// issuer publishes a key set: it stands for the server or file that a Source fetches
// from. Its time is that of the test's synctest bubble.
type issuer struct {
	mu      sync.Mutex
	doc     []byte
	err     error
	takes   time.Duration
	fetches []time.Time
}

func (i *issuer) publish(doc []byte, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.doc, i.err = doc, err
}

func (i *issuer) delay(d time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.takes = d
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.fetches)
}

// fetch gives the document that was published when the fetch began.
func (i *issuer) fetch(ctx context.Context) ([]byte, error) {
	i.mu.Lock()
	i.fetches = append(i.fetches, time.Now())
	doc, err, takes := i.doc, i.err, i.takes
	i.mu.Unlock()
	select {
	case <-time.After(takes):
		return doc, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// edKeys makes a document of keys of Ed25519, which are made quickly.
func edKeys(t *testing.T, names ...string) []byte {
	t.Helper()
	var keys []jwkstest.JWK
	for _, n := range names {
		keys = append(keys, jwkstest.New(t, EdDSA, n).JWK())
	}
	return document(t, keys...)
}

// logged holds what was logged.
type logged struct{ bytes.Buffer }

// scenario plays a test with a source and its issuer in a synctest bubble.
func scenario(t *testing.T, doc []byte, play func(t *testing.T, i *issuer, s *Source, log *logged)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		i, log := &issuer{doc: doc}, &logged{}
		s, err := open(t.Context(), i.fetch, "the issuer", slog.New(slog.NewJSONHandler(log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		play(t, i, s, log)
	})
}

// knows reports whether the source has the kid, and how long it took to say so.
func knows(s *Source, kid string) (bool, time.Duration) {
	start := time.Now()
	_, _, err := s.Key(EdDSA, kid)
	return err == nil, time.Since(start)
}

func TestRefreshesByItself(t *testing.T) {
	both := edKeys(t, "old", "new")
	scenario(t, edKeys(t, "old"), func(t *testing.T, i *issuer, s *Source, _ *logged) {
		generation := s.Generation()
		i.publish(both, nil)
		time.Sleep(RefreshEvery + time.Second)
		if ok, _ := knows(s, "new"); !ok || i.count() != 2 {
			t.Fatalf("after %d fetches the new key is known: %v", i.count(), ok)
		}
		if s.Generation() == generation {
			t.Error("another set, the same generation")
		}
		generation = s.Generation()
		time.Sleep(10 * RefreshEvery)
		if i.count() != 12 || s.Generation() != generation {
			t.Errorf("%d fetches of the same set made generation %d of %d", i.count(), s.Generation(), generation)
		}
	})
}

func TestUnknownKidHasTheSetFetched(t *testing.T) {
	rotated := edKeys(t, "new")
	scenario(t, edKeys(t, "old"), func(t *testing.T, i *issuer, s *Source, _ *logged) {
		i.publish(rotated, nil)
		if ok, _ := knows(s, "new"); !ok || i.count() != 2 {
			t.Fatalf("after %d fetches the new key is known: %v", i.count(), ok)
		}
		if ok, _ := knows(s, "old"); ok {
			t.Error("the key that was taken away is still good")
		}
		if i.count() != 2 {
			t.Errorf("%d fetches", i.count())
		}
	})
}

// A client that makes up kids causes one fetch in ten seconds at most, and its other
// tokens are refused at once.
func TestMadeUpKids(t *testing.T) {
	scenario(t, edKeys(t, "k"), func(t *testing.T, i *issuer, s *Source, _ *logged) {
		for n := range 6000 { // a hundred in each second of a minute
			if ok, took := knows(s, fmt.Sprint("made up ", n)); ok || took > 0 {
				t.Fatalf("known: %v, after %v", ok, took)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := i.count(); n != 1+6 {
			t.Errorf("%d fetches in a minute", n)
		}
		for n := 2; n < len(i.fetches); n++ {
			if apart := i.fetches[n].Sub(i.fetches[n-1]); apart < AskEvery {
				t.Errorf("two fetches only %v apart", apart)
			}
		}
		if ok, took := knows(s, "k"); !ok || took > 0 {
			t.Errorf("the good one: %v, after %v", ok, took)
		}
	})
}

func TestUnknownKidsShareAFetch(t *testing.T) {
	both := edKeys(t, "old", "new")
	scenario(t, edKeys(t, "old"), func(t *testing.T, i *issuer, s *Source, _ *logged) {
		i.publish(both, nil)
		i.delay(2 * time.Second)
		var wg sync.WaitGroup
		for n := range 100 {
			kid, want := "new", true
			if n%2 == 0 {
				kid, want = fmt.Sprint("made up ", n), false
			}
			wg.Go(func() {
				if ok, took := knows(s, kid); ok != want || took != 2*time.Second {
					t.Errorf("%s: %v after %v", kid, ok, took)
				}
			})
		}
		synctest.Wait()
		if ok, took := knows(s, "old"); !ok || took > 0 {
			t.Errorf("a known key had to wait for the fetch: %v, %v", ok, took)
		}
		wg.Wait()
		if i.count() != 2 {
			t.Errorf("%d fetches", i.count())
		}
	})
}

// A token that comes during the periodic fetch waits for that fetch. If the fetch began
// too early to have the new key, one more follows.
func TestUnknownKidDuringTheFetchOfTheClock(t *testing.T) {
	before, after := edKeys(t, "old"), edKeys(t, "old", "new")
	scenario(t, before, func(t *testing.T, i *issuer, s *Source, _ *logged) {
		i.delay(time.Second)
		time.Sleep(RefreshEvery + 500*time.Millisecond)
		i.publish(after, nil)
		ok, took := knows(s, "new")
		if !ok || took != 1500*time.Millisecond || i.count() != 3 {
			t.Errorf("known: %v after %v and %d fetches", ok, took, i.count())
		}
	})
}

func TestSilentIssuer(t *testing.T) {
	scenario(t, edKeys(t, "k"), func(t *testing.T, i *issuer, s *Source, log *logged) {
		i.delay(time.Hour)
		if ok, took := knows(s, "new"); ok || took != maxWait {
			t.Errorf("known: %v after %v", ok, took)
		}
		time.Sleep(fetchTimeout)
		if ok, took := knows(s, "newer"); ok || took > 0 {
			t.Errorf("known: %v after %v", ok, took)
		}
		if ok, _ := knows(s, "k"); !ok {
			t.Error("the good key is lost")
		}
		if st := s.Stats(); st.Failures != 1 || st.Fetches != 2 || !strings.Contains(log.String(), "no answer within 5s") {
			t.Errorf("%+v, log: %s", st, log)
		}
	})
}

func TestLastGoodSetStays(t *testing.T) {
	good := edKeys(t, "k", "l")
	scenario(t, good, func(t *testing.T, i *issuer, s *Source, log *logged) {
		start := s.Stats().Succeeded
		for n, bad := range []struct {
			doc  []byte
			err  error
			says string
		}{
			{nil, errors.New("connection refused"), "connection refused"},
			{[]byte("<html>"), nil, "no JSON Web Key Set"},
			{document(t), nil, "empty"},
			{document(t, jwkstest.New(t, EdDSA, "k").JWK().With("use", "enc")), nil, "not for signatures"},
		} {
			log.Reset()
			i.publish(bad.doc, bad.err)
			time.Sleep(RefreshEvery)
			synctest.Wait()
			if ok, _ := knows(s, "k"); !ok || s.Generation() != 1 {
				t.Fatalf("%s: the last good set is gone", bad.says)
			}
			if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, bad.says) || !strings.Contains(text, `"WARN"`) {
				t.Errorf("the log should have a line with %q, it has: %s", bad.says, text)
			}
			st := s.Stats()
			if st.Failures != int64(n+1) || st.Keys != 2 || !st.Succeeded.Equal(start) {
				t.Errorf("%s: %+v", bad.says, st)
			}
		}
		log.Reset()
		i.publish(good, nil)
		time.Sleep(RefreshEvery)
		synctest.Wait()
		if s.Stats().Succeeded.Equal(start) || log.Len() != 0 {
			t.Errorf("back again: %+v, log: %s", s.Stats(), log)
		}
	})
}

func TestNoFirstSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, i := range []*issuer{
			{err: errors.New("connection refused")}, {doc: document(t)}, {doc: []byte("garbage")}, {takes: time.Hour},
		} {
			start := time.Now()
			s, err := open(t.Context(), i.fetch, "the issuer", slog.New(slog.DiscardHandler))
			if err == nil {
				s.Close()
				t.Errorf("%+v: it opened", i)
				continue
			}
			if !strings.HasPrefix(err.Error(), "the issuer: ") || time.Since(start) > 8*time.Second {
				t.Errorf("after %v: %v", time.Since(start), err)
			}
		}
	})
}

func TestCloseEndsAFetchAndWhoWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{doc: edKeys(t, "k")}
		s, err := open(t.Context(), i.fetch, "the issuer", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		i.delay(time.Hour)
		var wg sync.WaitGroup
		wg.Go(func() {
			if ok, took := knows(s, "new"); ok || took > 0 {
				t.Errorf("known: %v after %v", ok, took)
			}
		})
		synctest.Wait()
		s.Close()
		wg.Wait()
		if ok, took := knows(s, "newer"); ok || took > 0 {
			t.Errorf("after the end: known: %v after %v", ok, took)
		}
		if ok, _ := knows(s, "k"); !ok {
			t.Error("after the end: the good key is lost")
		}
	})
}

// A key that is missing from two fetches running is gone; a fetch that fails says nothing,
// and a key that comes back begins anew.
func TestKeysThatAreGone(t *testing.T) {
	both, one := edKeys(t, "old", "new"), edKeys(t, "other")
	scenario(t, both, func(t *testing.T, i *issuer, s *Source, _ *logged) {
		var gone []string
		s.OnGone(func(keys []string) { gone = append(gone, keys...) })
		var want []string
		for _, kid := range []string{"old", "new"} {
			key, _, err := s.Key(EdDSA, kid)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, Fingerprint(key))
		}
		fetch := func(doc []byte, err error) int {
			i.publish(doc, err)
			time.Sleep(RefreshEvery)
			synctest.Wait()
			return len(gone)
		}
		for what, n := range map[string]int{
			"missing once":          fetch(one, nil),
			"then not to be had":    fetch(nil, errors.New("down")),
			"back":                  fetch(both, nil),
			"missing once more":     fetch(one, nil),
			"and not to be had now": fetch([]byte(`{"keys":[]}`), nil),
		} {
			if n != 0 {
				t.Fatalf("%s: %d keys are gone", what, n)
			}
		}
		fetch(one, nil)
		slices.Sort(gone)
		slices.Sort(want)
		if !slices.Equal(gone, want) {
			t.Errorf("gone are %x, want %x", gone, want)
		}
		if n := fetch(one, nil); n != 2 {
			t.Errorf("gone were told again: %d", n)
		}
	})
}

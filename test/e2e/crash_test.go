package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// attempt is one send and its outcome, which the test knows after the crash.
type attempt struct {
	by  *device
	out outgoing
	got *message // nil: no answer came, and the message may be stored or not
}

// Every message that was answered 202 is there once after a kill -9, and a retry of any
// send finds its message.
func TestKillDuringSends(t *testing.T) {
	const senders = 8
	enough := int64(bulk(300))
	s := startServer(t)
	people := make([]*device, senders)
	names := []string{}
	for i := range people {
		people[i] = s.device(t, fmt.Sprint("sender-", i), "d")
		names = append(names, people[i].user)
	}
	watcher := s.device(t, "watcher", "w")
	group := people[0].createGroup(t, append(names[1:], watcher.user)...)
	line := mqtt5TCP.live(t, watcher, options{})

	var mu sync.Mutex
	var attempts []*attempt
	var accepted atomic.Int64
	reached := make(chan struct{})
	var sending sync.WaitGroup
	for _, p := range people {
		sending.Go(func() {
			for seq := int64(1); ; seq++ {
				a := &attempt{by: p, out: outgoing{Key: fmt.Sprint(p.user, "-", seq), ClientSeq: seq, Ciphertext: fmt.Append(nil, p.user, seq)}}
				mu.Lock()
				attempts = append(attempts, a)
				mu.Unlock()
				m, _, err := p.post(context.Background(), group.ID, a.out)
				if err != nil {
					if breach := (contractError{}); errors.As(err, &breach) || errors.Is(err, errRefused) {
						t.Error(err)
					}
					return // the server is gone
				}
				a.got = &m
				if accepted.Add(1) == enough {
					close(reached)
				}
			}
		})
	}
	<-reached
	s.kill(t)
	sending.Wait()
	line.drop()
	s.start(t)

	// The retry of an answered send gives the same message. The retry of an unanswered one
	// finds the message that was stored, or stores it now.
	for _, a := range attempts {
		m, header, err := a.by.post(t.Context(), group.ID, a.out)
		if err != nil {
			t.Fatalf("retry of %s: %v", a.out.Key, err)
		}
		if a.got == nil {
			a.got = &m
			continue
		}
		if m.ID != a.got.ID || m.Seq != a.got.Seq || header.Get("Idempotency-Replayed") != "true" {
			t.Fatalf("retry of %s: %s (seq %d, replayed %q), 202 had said %s (seq %d)",
				a.out.Key, m.ID, m.Seq, header.Get("Idempotency-Replayed"), a.got.ID, a.got.Seq)
		}
	}
	checkLog(t, people[0].history(t, group.ID), attempts)

	// The watcher was connected during the sends and connects again: it learns the same log.
	seen := &union{}
	seen.take(t, line.record)
	back := mqtt5TCP.open(t, watcher, options{})
	back.watch(patience, func(f []frame) bool { return seen.with(f).complete(group.ID, len(attempts)+1) })
	seen.take(t, back.record)
	seen.checkComplete(t, group.ID, len(attempts)+1)
	for _, a := range attempts {
		seen.checkMessages(t, []message{*a.got})
	}
}

// checkLog checks that the history has every attempt once, with seq 2, 3, 4 … after the
// thread's creation, and that the ids rise with seq.
func checkLog(t *testing.T, history []message, attempts []*attempt) {
	t.Helper()
	if len(history) != len(attempts) {
		t.Errorf("the history has %d messages, %d were sent", len(history), len(attempts))
	}
	byID := map[string]message{}
	for i, m := range history {
		if m.Seq != uint64(i+2) {
			t.Fatalf("message %d of the history has seq %d, want %d", i, m.Seq, i+2)
		}
		if i > 0 && m.ID <= history[i-1].ID {
			t.Fatalf("seq %d has id %s, not above %s", m.Seq, m.ID, history[i-1].ID)
		}
		byID[m.ID] = m
	}
	for _, a := range attempts {
		m, there := byID[a.got.ID]
		if !there || string(m.Ciphertext) != string(a.out.Ciphertext) || m.SenderID != a.by.user {
			t.Errorf("%s: 202 said %s, the history has %+v", a.out.Key, a.got.ID, m)
		}
	}
}

// A clean restart keeps threads, receipts and positions too.
func TestRestartKeepsEverything(t *testing.T) {
	s := startServer(t)
	ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
	group := ann.createGroup(t, "bob")
	sent := sendMany(t, ann, group.ID, 3)
	line := mqtt311TCP.live(t, bob, options{})
	eventually(t, "delivery", func() bool { return ann.stateOf(t, sent[2].ID, "bob") == "DELIVERED" })
	bob.markRead(t, group.ID, sent[1].ID)
	s.stop(t)
	line.drop()
	s.start(t)
	for i, want := range []string{"READ", "READ", "DELIVERED"} {
		if got := ann.stateOf(t, sent[i].ID, "bob"); got != want {
			t.Errorf("message %d is %s after the restart, want %s", i, got, want)
		}
	}
	missed := sendMany(t, ann, group.ID, 2)
	checkCatchUp(t, mqtt311TCP.open(t, bob, options{}), missed)
}

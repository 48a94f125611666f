package chat_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parleyhq/parley/chat"
)

// keeper is a store's clock, as far behind the node's as it is set to be. Each question
// takes a while, half of it until the keeper reads its clock.
type keeper struct {
	node *clock

	mu     sync.Mutex
	behind time.Duration
	takes  time.Duration
	err    error
	asked  int
}

func (k *keeper) set(behind, takes time.Duration, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.behind, k.takes, k.err = behind, takes, err
}

func (k *keeper) questions() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asked
}

func (k *keeper) Time(context.Context) (time.Time, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	k.node.advance(k.takes / 2)
	at := k.node.Now().Add(-k.behind)
	k.node.advance(k.takes - k.takes/2)
	return at, k.err
}

// guardedWorld is a world whose store has a clock, behind the node's.
func guardedWorld(t *testing.T, shared func(time.Duration) bool) (*world, *keeper, *chat.Skew) {
	t.Helper()
	w := newWorld(t)
	k := &keeper{node: w.clock}
	skew := chat.NewSkew(chat.SkewConfig{Keeper: k, Now: w.clock.Now, Shared: shared})
	w.Close(t.Context())
	w.Service = chat.New(chat.Config{Store: w.store, Bus: w.bus, Now: w.clock.Now, Skew: skew})
	return w, k, skew
}

// A node whose clock is apart says so over the first bound, and stores nothing over the
// second.
func TestClockApartFromTheStores(t *testing.T) {
	w, k, skew := guardedWorld(t, nil)
	id := w.newGroup("alice", "bob")
	for _, tc := range []struct {
		behind time.Duration
		apart  bool
		wrong  bool
	}{
		{0, false, false},
		{5 * time.Second, false, false},
		{5*time.Second + time.Millisecond, true, false},
		{time.Minute, true, false},
		{time.Minute + time.Millisecond, true, true},
		{30 * 24 * time.Hour, true, true},
		{0, false, false}, // it was set right
	} {
		for _, behind := range []time.Duration{tc.behind, -tc.behind} {
			for _, takes := range []time.Duration{0, 2 * time.Millisecond, time.Second} {
				k.set(behind, takes, nil)
				must(t, skew.Compare(t.Context()))
				same(t, "the skew", w.ClockSkew(), behind)
				health := w.Health(t.Context()).Clock
				if (health != nil) != tc.apart || errors.Is(health, chat.ErrClockWrong) != tc.wrong {
					t.Errorf("%v behind: %v", behind, health)
				}
				before := len(w.log(id))
				_, err := w.Send(t.Context(), as("alice"), w.request(id, "hello"))
				_, _, creation := w.CreateThread(t.Context(), as("alice"), chat.CreateThread{Type: chat.Group})
				if !tc.wrong {
					must(t, err)
					must(t, creation)
					continue
				}
				unavailable(t, err, chat.ErrClockWrong)
				unavailable(t, creation, chat.ErrClockWrong)
				same(t, "events of the log", len(w.log(id)), before)
			}
		}
	}
}

// A message that was stored before is still found while nothing is stored.
func TestRetryIsAnsweredWhileTheClockIsWrong(t *testing.T) {
	w, k, skew := guardedWorld(t, nil)
	id := w.newGroup("alice", "bob")
	req := w.request(id, "hello")
	first, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	k.set(time.Hour, 0, nil)
	must(t, skew.Compare(t.Context()))
	again, err := w.Send(t.Context(), as("alice"), req)
	must(t, err)
	same(t, "the message", again.Event.ID, first.Event.ID)
	sameList(t, "the history", w.history("bob", id), "hello")
}

// If most nodes have such a clock too, the store's is wrong: the node goes on storing.
func TestClockThatMostNodesShare(t *testing.T) {
	shared := false
	w, k, skew := guardedWorld(t, func(by time.Duration) bool { return shared && by == time.Hour })
	id := w.newGroup("alice", "bob")
	k.set(time.Hour, 0, nil)
	must(t, skew.Compare(t.Context()))
	_, err := w.Send(t.Context(), as("alice"), w.request(id, "refused"))
	unavailable(t, err, chat.ErrClockWrong)
	shared = true
	w.send("alice", id, "stored")
	if health := w.Health(t.Context()).Clock; health == nil || errors.Is(health, chat.ErrClockWrong) {
		t.Errorf("the clock is %v, want it to be apart and no more", health)
	}
}

// A comparison that took long, or failed, says nothing: what was known before stands.
func TestComparisonThatSaysTooLittle(t *testing.T) {
	w, k, skew := guardedWorld(t, nil)
	k.set(10*time.Second, 0, nil)
	must(t, skew.Compare(t.Context()))
	k.set(time.Hour, time.Second+time.Millisecond, nil)
	if err := skew.Compare(t.Context()); err == nil {
		t.Error("a comparison that took over a second counts")
	}
	k.set(time.Hour, 0, errDisk)
	if err := skew.Compare(t.Context()); !errors.Is(err, errDisk) {
		t.Errorf("Compare: %v", err)
	}
	same(t, "the skew", w.ClockSkew(), 10*time.Second)
}

// The clocks are compared every ten seconds, and a second after a comparison that failed: so
// within 15 s of its step a clock is known to be apart.
func TestClocksAreComparedAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keeper{node: &clock{now: time.Now()}}
		skew := chat.NewSkew(chat.SkewConfig{Keeper: k, Now: k.node.Now})
		ctx, stop := context.WithCancel(t.Context())
		go skew.Watch(ctx)
		synctest.Wait()
		same(t, "comparisons at the start", k.questions(), 1)
		k.set(time.Minute, 0, errDisk)
		time.Sleep(12500 * time.Millisecond)
		synctest.Wait()
		same(t, "comparisons, of which three have failed", k.questions(), 4)
		k.set(time.Minute, 0, nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		same(t, "the skew", skew.By(), time.Minute)
		k.set(0, 0, nil)
		time.Sleep(11 * time.Second)
		synctest.Wait()
		same(t, "the skew", skew.By(), 0)
		stop()
		synctest.Wait()
	})
}

// Every method of the store is known to write, and refused, or to read, and not.
// AdmitDevice counts as a read: without it nobody could read what was stored before.
func TestEveryWriteIsRefusedWhileTheClockIsWrong(t *testing.T) {
	reads := strings.Fields(`
		ID Thread UserThreads UserThread Peers ShareThread OwnState Pairs AcceptedBy PeersWhoAccepted ParticipantsAt LastClientSeqs
		SentBefore Events SeqAt NewestID Messages Message MessageIn Threads MarksOf CountUnreadIn SeqsAt ReactionsOf Reactors Expired Marks MarksAt
		AdmitDevice Devices UnseenDevices RemovedAt RemovedSince KeysChangedAt Position LastSeen Subscriptions PrekeyDevices CountPrekeys Blocks HasBlocked BlockedAmong WhoBlocks Reports AttachmentDenied
		Ping Close`)
	k := &keeper{node: &clock{now: time.Now()}, behind: time.Hour}
	skew := chat.NewSkew(chat.SkewConfig{Keeper: k, Now: k.node.Now})
	must(t, skew.Compare(t.Context()))
	store := reflect.ValueOf(skew.Guard(nil))
	for method := range reflect.TypeFor[chat.Store]().Methods() {
		if i := slices.Index(reads, method.Name); i >= 0 {
			reads = slices.Delete(reads, i, i+1)
			continue
		}
		call := store.MethodByName(method.Name)
		args := []reflect.Value{reflect.ValueOf(t.Context())}
		for i := 1; i < call.Type().NumIn(); i++ {
			args = append(args, reflect.Zero(call.Type().In(i)))
		}
		if method.Name == "Append" {
			args[2] = reflect.ValueOf([]chat.Event{{}})
		}
		func() {
			defer func() {
				if recover() != nil {
					t.Errorf("%s writes and skewguard.go does not refuse it, or it is missing in this list of reads", method.Name)
				}
			}()
			results := call.Call(args)
			if err, _ := results[len(results)-1].Interface().(error); !errors.Is(err, chat.ErrClockWrong) {
				t.Errorf("%s: %v", method.Name, err)
			}
		}()
	}
	if len(reads) > 0 {
		t.Errorf("the store has no %v", reads)
	}
}

func TestMostAgree(t *testing.T) {
	live := func(skews ...time.Duration) (live []chat.Standing) {
		for i, skew := range skews {
			live = append(live, chat.Standing{Node: chat.NodeID(i + 1), Skew: skew})
		}
		return live
	}
	const off = 90 * time.Second
	for _, tt := range []struct {
		what string
		live []chat.Standing
		want bool
	}{
		{"nobody is listed", nil, false},
		{"alone", live(off), false},
		{"one of two", live(off, 0), false},
		{"both of two", live(off, off+5*time.Second), true},
		{"both, and not alike", live(off, off+5*time.Second+1), false},
		{"as far the other way", live(off, -off), false},
		{"one of three", live(off, 0, 0), false},
		{"two of three", live(off, 0, off), true},
		{"two of four", live(off, 0, off, 0), false},
		{"this one says nothing of itself yet", live(0, off, off), true},
	} {
		if got := chat.MostAgree(off, 1, tt.live); got != tt.want {
			t.Errorf("%s: most agree is %v", tt.what, got)
		}
	}
}

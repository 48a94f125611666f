package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/storetest"
)

// cuts copies a disk, as a crash would leave it, around every sync.
type cuts struct {
	disk   *vfs.MemFS
	random *rand.Rand

	mu     sync.Mutex
	done   int // steps that were answered
	points []crashPoint
}

// crashPoint is a disk after a crash, when so many steps had been answered and
// perhaps one more was under way.
type crashPoint struct {
	name string
	disk *vfs.MemFS
	done int
}

func (c *cuts) sync(name string, sync func() error) error {
	c.cut("before syncing "+name, vfs.CrashCloneCfg{})
	c.cut("before syncing, some written, "+name, vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: c.random})
	return sync() // what a crash leaves after it, it leaves before the next one too
}

func (c *cuts) cut(name string, cfg vfs.CrashCloneCfg) {
	c.mu.Lock() // no step is answered meanwhile
	defer c.mu.Unlock()
	c.points = append(c.points, crashPoint{name, c.disk.CrashClone(cfg), c.done})
}

// TestCrashAtEverySync plays a script of every kind of write, cuts the disk off
// between the syncs of it, and opens what is left: that is exactly the
// state after all steps that were answered, or after the one more that was under
// way, and never a part of a step.
func TestCrashAtEverySync(t *testing.T) {
	seed := *crashSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("to play this again: -crash.seed=%d", seed)
	now := testTime
	c := &cuts{disk: vfs.NewCrashableMem(), random: rand.New(rand.NewPCG(seed, 0))}
	s := open(t, Options{FS: syncFS{c.disk, c.sync}, Now: func() time.Time { return now }})
	s.stopSweeping() // it would look at the clock that the script moves
	s.sweeping.Wait()
	c.mu.Lock()
	c.points = nil // the making of a store is Pebble's affair
	c.mu.Unlock()

	states := []map[string][]byte{durablePart(t, s)}
	script := crashScript(func(d time.Duration) { now = now.Add(d) })
	for _, step := range script {
		if err := step.do(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		state := durablePart(t, s)
		if !step.idle && maps.EqualFunc(state, states[len(states)-1], bytes.Equal) {
			t.Errorf("%s wrote nothing", step.name)
		}
		c.mu.Lock()
		c.done++
		states = append(states, state)
		c.mu.Unlock()
	}
	for thread := range byte(3) {
		storetest.Verify(t, s, chat.ThreadID{15: thread})
	}
	c.cut("at the end", vfs.CrashCloneCfg{})

	c.mu.Lock()
	points := c.points // those of closing the store do not count
	c.mu.Unlock()
	if len(points) < 2*len(script) {
		t.Errorf("%d crashes for %d steps", len(points), len(script))
	}
	for i, p := range points {
		t.Run(fmt.Sprintf("%d after %d steps", i, p.done), func(t *testing.T) {
			crashed, err := Open("db", Options{FS: p.disk, Now: func() time.Time { return testTime }})
			if err != nil {
				t.Fatalf("%s: %v", p.name, err)
			}
			defer func() { _ = crashed.Close() }()
			checkOneOf(t, p, durablePart(t, crashed), states, script)
		})
	}
}

// checkOneOf fails unless what is left is the state after the steps answered, or
// after one more.
func checkOneOf(t *testing.T, p crashPoint, left map[string][]byte, states []map[string][]byte, script []crashStep) {
	t.Helper()
	for _, state := range states[p.done:min(p.done+2, len(states))] {
		if maps.EqualFunc(left, state, bytes.Equal) {
			return
		}
	}
	name := "the end"
	if p.done < len(script) {
		name = script[p.done].name
	}
	t.Errorf("%s, %s: what is left is no state before or after it:\n%s", p.name, name, difference(left, states[p.done]))
}

// raisedDevice is the one whose position is raised, which may be lost.
const raisedDevice chat.DeviceID = "raised"

// durablePart is all of a store that must survive.
func durablePart(t *testing.T, s *Store) map[string][]byte {
	t.Helper()
	all := dump(t, s)
	raised := []string{string(positionKey("ann", raisedDevice)), string(throughPrefix("ann", raisedDevice))}
	maps.DeleteFunc(all, func(key string, _ []byte) bool {
		return key[0] == prefixLastSeen || strings.HasPrefix(key, raised[0]) || strings.HasPrefix(key, raised[1])
	})
	return all
}

func difference(left, right map[string][]byte) string {
	var lines []string
	for key, value := range left {
		if other, there := right[key]; !there || !bytes.Equal(value, other) {
			lines = append(lines, fmt.Sprintf("is there: %q = %x", key, value))
		}
	}
	for key, value := range right {
		if other, there := left[key]; !there || !bytes.Equal(value, other) {
			lines = append(lines, fmt.Sprintf("was there: %q = %x", key, value))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// crashStep is one call that writes; an idle one leaves the same keys behind.
type crashStep struct {
	name string
	idle bool
	do   func(ctx context.Context, s *Store) error
}

// crashScript writes in every way the store can. advance moves its clock.
func crashScript(advance func(time.Duration)) []crashStep {
	sent := make(map[chat.Seq]chat.Event)
	for seq := chat.Seq(2); seq <= 6; seq++ {
		sent[seq] = messageOf(0, seq, fmt.Sprintf("key%d", seq))
	}
	sent[3].Message.ExpiresAt, sent[4].Message.HiddenFrom = testTime.Add(time.Hour), "bob"
	joining := aboutOf(sent[2], 11, chat.KindThread)
	joining.Target, joining.Change = chat.Target{}, &chat.ThreadChange{Event: chat.ParticipantAdded, User: "cid", Role: chat.Member}
	leaving := aboutOf(sent[2], 12, chat.KindThread)
	leaving.Target, leaving.Change = chat.Target{}, &chat.ThreadChange{Event: chat.ParticipantRemoved, User: "cid"}
	unpinning := pinOf(sent[2], 17)
	unpinning.Change = &chat.ThreadChange{Event: chat.Unpinned}
	return slices.Concat(
		[]crashStep{
			creating(creationOf(chat.Group, 0, "ann", "bob")),
			creating(creationOf(chat.OneToOne, 1, "ann", "bob")),
			creating(creationOf(chat.Group, 2, "bob")),
			appending("a message", sent[2]),
			appending("messages that expire and hide", sent[3], sent[4], sent[5], sent[6]),
			appending("an edit", editOf(sent[2], 7, "edited")),
			appending("a reaction", reactionOf(sent[2], 8, "+1")),
			appending("pins", pinOf(sent[2], 9), pinOf(sent[3], 10)),
			appending("a joining and a leaving", joining, leaving),
			flushing(),
			appending("the deletion of what is pinned and expires", deletionOf(sent[3], 13)),
			appending("a redelivery", aboutOf(sent[4], 14, chat.KindRedelivery)),
			appending("an edit and a deletion", editOf(sent[5], 15, "edited too"), deletionOf(sent[6], 16)),
			appending("an unpinning", unpinning),
			marking(chat.Read, 5), marking(chat.Delivered, 9), marking(chat.Read, 17),
		},
		prekeySteps(), asideSteps(),
		[]crashStep{
			flushing(),
			{"dropping old idempotency keys", false, func(ctx context.Context, s *Store) error {
				advance(10 * 24 * time.Hour)
				return s.sweep(ctx)
			}},
			flushing(),
			appending("a message after all that", messageOf(0, 18, "key18")),
		},
	)
}

func prekeySteps() (steps []crashStep) {
	for i, device := range []chat.DeviceID{"phone", "tablet", "phone"} {
		u := chat.PrekeyUpload{Identity: []byte("identity"), At: testTime.Add(time.Duration(i) * time.Second)}
		for id := range uint32(4) {
			u.OneTime = append(u.OneTime, chat.Prekey{ID: uint32(i) + id, Public: []byte{byte(i)}})
		}
		steps = append(steps, crashStep{"an upload of prekeys", false, func(ctx context.Context, s *Store) error {
			_, err := s.PutPrekeys(ctx, "ann", device, u)
			return err
		}})
		for range 2 {
			steps = append(steps, crashStep{"taking a prekey", false, func(ctx context.Context, s *Store) error {
				_, err := takeOne(ctx, s, device)
				return err
			}})
		}
	}
	return steps
}

func asideSteps() []crashStep {
	sha := strings.Repeat("0f", 32)
	return []crashStep{
		{"a block", false, func(ctx context.Context, s *Store) error {
			return s.PutBlock(ctx, chat.Block{User: "ann", Blocked: "bob", At: testTime})
		}},
		{"a position", false, func(ctx context.Context, s *Store) error {
			_, err := s.BeginPosition(ctx, "ann", "phone", chat.Position{Through: map[chat.ThreadID]chat.Seq{{15: 1}: 1}})
			return err
		}},
		{"a raised position", true, func(ctx context.Context, s *Store) error {
			_, err := s.BeginPosition(ctx, "ann", raisedDevice, chat.Position{})
			return errors.Join(err, s.RaisePosition(ctx, "ann", raisedDevice, 0, chat.Position{Through: map[chat.ThreadID]chat.Seq{{15: 1}: 2}}))
		}},
		{"a lifted block", false, func(ctx context.Context, s *Store) error { return s.DeleteBlock(ctx, "ann", "bob") }},
		{"a report", false, func(ctx context.Context, s *Store) error {
			_, _, err := s.PutReport(ctx, chat.Report{ID: numberedID(1), Sender: "ann", By: "bob", Reason: chat.ReportSpam})
			return err
		}},
		{"when one was seen", true, func(ctx context.Context, s *Store) error { return s.PutLastSeen(ctx, "ann", testTime) }},
		{"a denied attachment", false, func(ctx context.Context, s *Store) error { return s.DenyAttachment(ctx, sha) }},
		{"an allowed attachment", false, func(ctx context.Context, s *Store) error { return s.AllowAttachment(ctx, sha) }},
	}
}

func creating(e chat.Event) crashStep {
	return crashStep{"a creation", false, func(ctx context.Context, s *Store) error { return s.CreateThread(ctx, e) }}
}

func appending(name string, events ...chat.Event) crashStep {
	return crashStep{name, false, func(ctx context.Context, s *Store) error {
		_, err := s.Append(ctx, chat.Head{Seq: events[0].Seq - 1}, events)
		return err
	}}
}

func marking(kind chat.MarkKind, seq chat.Seq) crashStep {
	return crashStep{"a receipt", false, func(ctx context.Context, s *Store) error {
		_, _, err := s.PutMark(ctx, chat.Mark{Thread: chat.ThreadID{}, User: "bob", Kind: kind, Seq: seq, At: testTime})
		return err
	}}
}

func flushing() crashStep {
	return crashStep{"a flush", true, func(ctx context.Context, s *Store) error {
		return errors.Join(s.db.Flush(), s.db.Compact(ctx, []byte{0}, []byte{0xff}, false))
	}}
}

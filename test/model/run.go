// Package model holds the product's use cases to a model of the contract: it plays
// random histories on both and compares all that anybody is told.
package model

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/storetest"
)

// Effort says how many random histories are played and how many steps each takes.
// Zero is what the flags -rapid.checks and -rapid.steps say.
type Effort struct {
	Histories, Steps int

	// LookEvery spaces the looks of RunContract at what a step has touched, for a store
	// that is slow to read: one step in so many has one, by chance. Zero is every step.
	LookEvery int
}

// apply sets rapid's flags until the test ends; it has no other way to be told.
func (e Effort) apply(t *testing.T) {
	t.Helper()
	for name, n := range map[string]int{"rapid.checks": e.Histories, "rapid.steps": e.Steps} {
		if n == 0 {
			continue
		}
		before := flag.Lookup(name).Value.String()
		if err := flag.Set(name, strconv.Itoa(n)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = flag.Set(name, before) })
	}
}

// window is the idempotency window of the stores.
var window = chat.DefaultLimits.IdempotencyWindow

// hashes of attachments that are denied and allowed.
var hashes = []string{fmt.Sprintf("%064x", 1), fmt.Sprintf("%064x", 2)}

// RunContract plays random histories of six people on two services that share the
// subject's store, and on a model of the contract that shares no rule with package
// chat: what they create, send, retry, edit, delete, pin, block, read and let
// expire. After each wish it compares the answer, what the bus was told and what
// the wish touched, and now and then all that anybody may see.
//
// Zero effort is 20 histories of 2,000 wishes. A failed history is cut down to the
// wishes that matter and printed, with how to play it again (-rapid.seed). It must
// not run in parallel with other tests that use rapid.
func RunContract(t *testing.T, s storetest.Subject, effort Effort) {
	t.Helper()
	effort.Histories, effort.Steps = cmp.Or(effort.Histories, 20), cmp.Or(effort.Steps, 2000)
	effort.apply(t)
	leaveCuttingToUs(t)
	var failed *rehearsal // rapid plays what failed again
	played := 0
	rapid.Check(t, func(rt *rapid.T) {
		played++
		if failed == nil {
			history := drawWishes(rt, effort)
			if r := rehearse(rt, s, history); r.failure != "" {
				failed = cutDown(rt, s, history[:r.played])
			}
		}
		if failed != nil {
			for _, line := range failed.lines {
				rt.Log(line)
			}
			rt.Fatal(failed.failure)
		}
	})
	if played < effort.Histories { // rapid stops when the time of go test is nearly over, and calls it well
		t.Errorf("only %d histories of %d were played: give go test a longer -timeout", played, effort.Histories)
	}
}

// wish is what somebody wants to do, in numbers that mean something whatever the
// state is: so any wish can be left out of a history.
type wish struct {
	what, by, other, thread, message, a, b int

	node  int
	again bool // at once, on the other node
	look  bool // at what it touched
}

// drawWishes draws a history, all of it from one number.
func drawWishes(rt *rapid.T, effort Effort) []wish {
	history := make([]wish, effort.Steps)
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "history"), 0))
	for i := range history {
		history[i] = wish{
			what: random.IntN(len(wishTable)), by: random.IntN(len(actors)), other: random.IntN(len(actors)),
			thread: random.IntN(64), message: random.IntN(256), a: random.IntN(1000), b: random.IntN(1000),
			node: random.IntN(2), again: random.IntN(8) == 0, look: random.IntN(max(effort.LookEvery, 1)) == 0,
		}
		if history[i].message < 192 { // a newer message, mostly
			history[i].message %= 12
		}
	}
	return history
}

// granted are the wishes there are, and how often each is drawn.
var granted = []struct {
	often int
	play  func(*player, wish)
}{
	{30, (*player).send},
	{10, (*player).retry},
	{4, (*player).create},
	{12, (*player).edit},
	{5, (*player).erase},
	{12, (*player).react},
	{6, (*player).unreact},
	{1, (*player).reactOften},
	{7, (*player).pin},
	{4, (*player).unpin},
	{4, (*player).add},
	{4, (*player).remove},
	{3, (*player).setRole},
	{2, (*player).setTitle},
	{5, (*player).block},
	{6, (*player).unblock},
	{10, (*player).read},
	{12, (*player).acknowledge},
	{14, (*player).wait},
	{5, (*player).expire},
	{2, (*player).upload},
	{3, (*player).fetch},
	{2, (*player).report},
	{1, (*player).deny},
	{2, (*player).presence},
	{16, (*player).look},
	{1, (*player).lookAtEverything},
}

// wishTable has each wish as often as it is to be drawn.
var wishTable = func() (table []int) {
	for i, g := range granted {
		table = append(table, slices.Repeat([]int{i}, g.often)...)
	}
	return table
}()

// actors are who plays; the shop is a service, and online are those who are connected.
var (
	actors = []chat.UserID{"ann", "bob", "cid", "dan", "eve", "fay"}
	online = []chat.UserID{"ann", "bob", "cid"}
	shop   = chat.Caller{User: "shop", Device: "job", Scopes: []chat.Scope{chat.ScopeSystem}}
	boss   = chat.Caller{User: "boss", Device: "desk", Scopes: []chat.Scope{chat.ScopeAdmin}}
)

// The limits that are played with: small ones are met more often.
var playedLimits = chat.Limits{Participants: 5, CiphertextBytes: 16, EditWindow: 15 * time.Minute, Pins: 3}

// maxPlayedThreads keeps people together.
const maxPlayedThreads = 9

// player plays wishes on the services and on the model.
type player struct {
	*spec
	r        *rehearsal
	nodes    [2]*chat.Service
	bus      *listener
	start    time.Time
	played   int
	wish     wish     // the one that is played
	expected []string // notices, as describeNotice writes them
}

func newPlayer(r *rehearsal, s storetest.Subject) *player {
	clock := storetest.NewClock()
	store := s.Open(r, clock.Now)
	p := &player{spec: newSpec(clock), r: r, bus: &listener{}, start: clock.Now()}
	for i := range p.nodes {
		p.nodes[i] = chat.New(chat.Config{
			Store: store, Bus: p.bus, Limits: playedLimits, Now: clock.Now,
			Online: func(_ context.Context, u chat.UserID) (bool, error) { return slices.Contains(online, u), nil },
		})
		r.Cleanup(func() { p.nodes[i].Close(context.Background()) })
	}
	return p
}

func (p *player) play(w wish) {
	p.played++
	p.wish = w
	granted[wishTable[w.what]].play(p, w)
	p.settle()
	if w.again {
		w.node = 1 - w.node
		granted[wishTable[w.what]].play(p, w)
		p.settle()
	}
}

// say adds a line to the history that is printed if it fails.
func (p *player) say(format string, args ...any) {
	if p.r.aloud {
		p.r.Logf("%4d %9s  "+format, append([]any{p.played, p.now().Sub(p.start)}, args...)...)
	}
}

// ctx is the context of every call.
func (p *player) ctx() context.Context { return p.r.Context() }

// node is one of the two services.
func (p *player) node(w wish) *chat.Service { return p.nodes[w.node] }

// caller is who wishes, on one of two devices, with the rights of a user.
func (p *player) caller(w wish) chat.Caller {
	device := chat.DeviceID("phone")
	if w.b%5 == 1 {
		device = "tablet"
	}
	return chat.Caller{User: actors[w.by], Device: device, Scopes: []chat.Scope{chat.ScopeRead, chat.ScopeWrite}}
}

// answered compares how a call ended with what it should have been, "" for well,
// and reports whether there is an answer to look at.
func (p *player) answered(err error, want chat.Code) bool {
	if got := codeOf(err); got != want {
		p.r.Fatalf("it ended with %q, want %q", got, want)
	}
	return want == ""
}

// codeOf is the code of a refusal, "" for none.
func codeOf(err error) chat.Code {
	var refusal *chat.Error
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &refusal):
		return "an error without a code"
	}
	return refusal.Code
}

// specSame ends the history if two values differ. Messages of failures name no
// ids, which are different each time.
func specSame[T comparable](p *player, what, detail string, got, want T) {
	if got != want {
		p.r.Fatalf("%s: %s: %v, want %v", what, detail, got, want)
	}
}

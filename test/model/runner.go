package model

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/store/storetest"
)

// people are the users of a history; online are those who are connected.
var (
	people = []chat.UserID{"ann", "bob", "cid", "dan", "eve", "fay"}
	online = []chat.UserID{"ann", "bob", "cid"}
)

// The callers with rights that a user does not have.
var (
	service       = chat.Caller{User: "shop", Device: "job", Scopes: []chat.Scope{chat.ScopeSystem}}
	administrator = chat.Caller{User: "boss", Device: "desk", Scopes: []chat.Scope{chat.ScopeAdmin}}
)

// limits are small, so that histories reach them often.
var limits = chat.Limits{Participants: 5, CiphertextBytes: 16, EditWindow: 15 * time.Minute, Pins: 3, Strangers: 2}

// maxThreads keeps threads few, so that each has a long history.
const maxThreads = 9

// window is the idempotency window of the stores.
var window = chat.DefaultLimits.IdempotencyWindow

// hashes are of the attachments that are sent, denied and allowed.
var hashes = []string{fmt.Sprintf("%064x", 1), fmt.Sprintf("%064x", 2)}

// runner applies operations to the services and to the model, and compares them.
type runner struct {
	*model
	trial     *trial
	nodes     [2]*chat.Service
	bus       *recordingBus
	start     time.Time
	done      int       // how many operations
	lookEvery int       // see Effort
	current   operation // the one that is run
	expected  []string  // what the bus is to be told, as describeNotice writes it
}

func newRunner(t *trial, s storetest.Subject, lookEvery int) *runner {
	clock := storetest.NewClock()
	store := s.Open(t, clock.Now)
	r := &runner{model: newModel(clock), trial: t, bus: &recordingBus{}, start: clock.Now(), lookEvery: max(lookEvery, 1)}
	for i := range r.nodes {
		r.nodes[i] = chat.New(chat.Config{
			Store: store, Bus: r.bus, Limits: limits, Now: clock.Now,
			Online: func(_ context.Context, u chat.UserID) (bool, error) { return slices.Contains(online, u), nil },
		})
		t.Cleanup(func() { r.nodes[i].Close(context.Background()) })
	}
	return r
}

// do applies an operation and compares.
func (r *runner) do(op operation) {
	r.done++
	r.current = op
	weights[op.what].run(r, op)
	r.compareNotices()
	if op.again {
		op.node = 1 - op.node
		weights[op.what].run(r, op)
		r.compareNotices()
	}
}

// tracef adds a line to what is printed of a failed history.
func (r *runner) tracef(format string, args ...any) {
	if !r.trial.verbose {
		return
	}
	for i, a := range args {
		if a == chat.Code("") {
			args[i] = "ok"
		}
	}
	r.trial.Logf("%4d %9s  "+format, append([]any{r.done, r.now().Sub(r.start)}, args...)...)
}

// ctx is the context of every call.
func (r *runner) ctx() context.Context { return r.trial.Context() }

// node is one of the two services.
func (r *runner) node(op operation) *chat.Service { return r.nodes[op.node] }

// caller is who acts, on one of two devices, with the rights of a user.
func (r *runner) caller(op operation) chat.Caller {
	device := chat.DeviceID("phone")
	if op.b%5 == 1 {
		device = "tablet"
	}
	return chat.Caller{User: people[op.by], Device: device, Scopes: []chat.Scope{chat.ScopeRead, chat.ScopeWrite}}
}

// checkError ends the trial unless a call ended with the wanted code, "" for success.
// It reports whether there is an answer to compare.
func (r *runner) checkError(err error, want chat.Code) bool {
	if got := codeOf(err); got != want {
		r.trial.Fatalf("it ended with %q, want %q", got, want)
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

// equal ends the trial if two values differ. What it prints names no ids: they are
// different each time.
func equal[T comparable](r *runner, what, detail string, got, want T) {
	if got != want {
		r.trial.Fatalf("%s: %s: %v, want %v", what, detail, got, want)
	}
}

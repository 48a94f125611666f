package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parleyhq/parley/chat"
)

// pairs are the pairs of people whose 1:1s histories are about.
var pairs = [][2]chat.UserID{{"ann", "bob"}, {"ann", "cid"}, {"bob", "cid"}, {"dan", "ann"}}

// create makes a group or a 1:1. One creation in four has an idempotency key, which
// may make it a retry.
func (r *runner) create(op operation) {
	c := r.caller(op)
	req := chat.CreateThread{Type: chat.Group, Title: []string{"", "tea", "coffee", strings.Repeat("é", 256), strings.Repeat("é", 257)}[op.b%5]}
	for i := range op.a % 6 {
		req.Participants = append(req.Participants, people[(op.other+i*op.b)%len(people)])
	}
	switch {
	case op.a%3 == 0 || len(r.threads) >= maxThreads:
		pair := pairs[op.other%len(pairs)]
		req = chat.CreateThread{Type: chat.OneToOne, Participants: []chat.UserID{pair[(op.b+1)%2], pair[op.b%2]}}
		c.User = pair[op.b%2]
	case op.a%20 == 19:
		req.Type = chat.OneToOne // with any number of people
	}
	if op.b%4 == 1 {
		req.IdempotencyKey = fmt.Sprintf("k%d", op.message%40)
	}
	r.tryCreate(c, r.node(op), req)
}

// tryCreate creates what was asked for: a new thread, or one that exists.
func (r *runner) tryCreate(c chat.Caller, node *chat.Service, req chat.CreateThread) {
	users := mergedUsers(c, req)
	pair := r.pairOf(req, users)
	use, used := r.used(idempotencyKey{user: c.User, key: req.IdempotencyKey})
	same := used && use.message == nil && sameCreation(use.create, req, c)
	code, outcome, t := chat.Code(""), chat.Created, (*thread)(nil)
	switch {
	case len(users) > limits.Participants, req.Type == chat.OneToOne && len(users) != 2, len([]rune(req.Title)) > chat.MaxTitleChars:
		code = chat.CodeInvalidRequest
	case used && !same:
		code = chat.CodeIdempotencyKeyReused
	case same:
		outcome, t = chat.Recreated, use.thread
		code = refuseOutsider(t, c.User)
	case pair != nil:
		outcome, t = chat.AlreadyExists, pair
	}
	if code == "" && outcome == chat.Created && len(r.threads) >= maxThreads {
		return
	}
	strangers, code := r.refuseMeeting(c, req, users, code, outcome)
	r.tracef("%s creates a %s of %v, key %q: %q", c.User, req.Type, users, req.IdempotencyKey, code)
	v, got, err := node.CreateThread(r.ctx(), c, req)
	if !r.checkError(err, code) {
		return
	}
	equal(r, "the answer", "outcome", got, outcome)
	switch outcome {
	case chat.Created:
		r.noteStrangers(c.User, strangers)
		t = r.addThread(c, req, users, v.ID)
		r.expectEvent(t, t.log[0])
		if req.IdempotencyKey != "" {
			r.keys[idempotencyKey{user: c.User, key: req.IdempotencyKey}] = keyUse{at: r.now(), thread: t, create: req}
		}
	case chat.Recreated:
		r.expectEvent(t, t.log[0])
	case chat.AlreadyExists:
	}
	r.tracef("     it is %s", t)
	r.compareNotices()
	r.compareThreadView("the thread created", v, c.User, t)
	r.compareMembers("the thread created", v, c.User, t)
}

// refuseMeeting refuses a new group with somebody who blocks its creator, and a new thread with too
// many strangers, unless it is refused already. It lists the strangers of a new thread.
func (r *runner) refuseMeeting(c chat.Caller, req chat.CreateThread, users []chat.UserID, code chat.Code, outcome chat.CreateOutcome) ([]chat.UserID, chat.Code) {
	if code != "" || outcome != chat.Created {
		return nil, code
	}
	blocks := func(u chat.UserID) bool { _, is := r.blocks[block{u, c.User}]; return is }
	strangers := r.strangersAmong(c.User, users)
	return strangers, firstRefusal(
		refuseIf(req.Type == chat.Group && slices.ContainsFunc(users, blocks), chat.CodeCannotAdd), r.refuseStrangers(c.User, strangers))
}

// addThread adds a new thread to the model.
func (r *runner) addThread(c chat.Caller, req chat.CreateThread, users []chat.UserID, id chat.ThreadID) *thread {
	t := &thread{
		name: fmt.Sprintf("t%d", len(r.threads)+1), id: id, kind: req.Type, title: req.Title, by: c.User, at: r.now(),
		marks: make(map[chat.UserID][]mark), changes: make(map[chat.UserID]uint64),
	}
	e := event{kind: chat.KindThread, what: chat.ThreadCreated, title: req.Title}
	for _, u := range users {
		role := chat.Member
		if u == c.User && req.Type == chat.Group {
			role = chat.Admin
		}
		pending := u != c.User && !r.knows(c.User, u)
		e.members = append(e.members, chat.InitialMember{User: u, Role: role, Pending: pending})
		t.members = append(t.members, member{user: u, role: role, joined: 1, at: r.now(), accepted: !pending})
		t.stints = append(t.stints, stint{user: u, joined: 1})
	}
	r.threads = append(r.threads, t)
	r.append(t, c, e)
	return t
}

// mergedUsers are the people of a creation, each once. The creator comes first unless
// the request names it.
func mergedUsers(c chat.Caller, req chat.CreateThread) (users []chat.UserID) {
	if !slices.Contains(req.Participants, c.User) {
		users = append(users, c.User)
	}
	for _, u := range req.Participants {
		if !slices.Contains(users, u) {
			users = append(users, u)
		}
	}
	return users
}

func sameCreation(a, b chat.CreateThread, by chat.Caller) bool {
	return a.Type == b.Type && a.Title == b.Title && slices.Equal(mergedUsers(by, a), mergedUsers(by, b))
}

func (r *runner) pairOf(req chat.CreateThread, users []chat.UserID) *thread {
	for _, t := range r.threads {
		if req.Type == chat.OneToOne && t.kind == chat.OneToOne && slices.Equal(sortedUsers(t.users()), sortedUsers(users)) {
			return t
		}
	}
	return nil
}

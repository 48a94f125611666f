package model

import (
	"cmp"
	"slices"

	"github.com/parleyhq/parley/chat"
)

// block blocks a user.
func (r *runner) block(op operation) {
	c, user := r.caller(op), people[op.other]
	if op.a%2 == 0 { // of a 1:1: only there does a block matter
		pair := pairs[op.other%len(pairs)]
		c.User, user = pair[op.b%2], pair[(op.b+1)%2]
	}
	code := refuseIf(c.User == user, chat.CodeInvalidRequest)
	r.tracef("%s blocks %s: %q", c.User, user, code)
	if !r.checkError(r.node(op).Block(r.ctx(), c, user), code) {
		return
	}
	if _, blocked := r.blocks[block{c.User, user}]; !blocked {
		r.blocks[block{c.User, user}] = r.now()
	}
	r.compareBlocks(c.User)
}

// unblock unblocks a user, mostly one who is blocked.
func (r *runner) unblock(op operation) {
	c, user := r.caller(op), people[op.other]
	if mine := r.blocked(c.User); len(mine) > 0 && op.a%3 > 0 { // mostly one who is blocked
		user = mine[op.a%len(mine)].Blocked
	}
	code := refuseIf(c.User == user, chat.CodeInvalidRequest)
	r.tracef("%s unblocks %s: %q", c.User, user, code)
	if r.checkError(r.node(op).Unblock(r.ctx(), c, user), code) {
		delete(r.blocks, block{c.User, user})
		r.compareBlocks(c.User)
	}
}

// blocked is whom a user blocks, in order of their ids.
func (md *model) blocked(u chat.UserID) (all []chat.Block) {
	for b, at := range md.blocks {
		if b.user == u {
			all = append(all, chat.Block{User: u, Blocked: b.blocked, At: at})
		}
	}
	slices.SortFunc(all, func(a, b chat.Block) int {
		return cmp.Compare(a.Blocked, b.Blocked)
	})
	return all
}

// presence asks whether a user is online.
func (r *runner) presence(op operation) {
	c, user := r.caller(op), people[op.other]
	shared := c.User == user || slices.ContainsFunc(r.threads, func(t *thread) bool {
		return t.member(c.User) != nil && t.member(user) != nil
	})
	code := refuseIf(!shared, chat.CodeNoSharedThread)
	_, blocked := r.blocks[block{user, c.User}]
	hides := blocked || c.User != user && !r.shows(user, c.User)
	r.tracef("%s asks for the presence of %s: %q", c.User, user, code)
	got, err := r.node(op).Presence(r.ctx(), c, user)
	if r.checkError(err, code) {
		equal(r, "the answer", "presence", got, chat.Presence{User: user, Online: slices.Contains(online, user) && !hides})
	}
}

func (r *runner) compareBlocks(u chat.UserID) {
	page, err := r.nodes[1].Blocks(r.ctx(), reader(u), chat.PageRequest{Size: chat.DefaultPageSize})
	r.checkError(err, "")
	got, want := page.Blocks, r.blocked(u)
	same := slices.EqualFunc(got, want, func(a, b chat.Block) bool {
		return a.User == b.User && a.Blocked == b.Blocked && a.At.Equal(b.At)
	})
	if !same {
		r.trial.Fatalf("%s blocks %v, want %v", u, got, want)
	}
}

package broker

import (
	"sync"

	"github.com/parleyhq/parley/chat"
)

// userBytes bounds what the unanswered publishes of one user hold in memory, over all its
// connections (docs/contract.md#mqtt).
type userBytes struct {
	mu    sync.Mutex
	freed sync.Cond // with mu: there may be room
	bytes int
	conns int // of the user; allUserBytes guards it
}

// maxUserBytes is the bound. A publish that is larger waits alone.
const maxUserBytes = 1 << 20

func newUserBytes() *userBytes {
	u := new(userBytes)
	u.freed.L = &u.mu
	return u
}

// reserve waits until there is room for so many bytes, and counts them. It reports false, and
// counts none, once stopped is true; whoever makes it so calls wake.
func (u *userBytes) reserve(bytes int, stopped func() bool) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.bytes > 0 && u.bytes+bytes > maxUserBytes && !stopped() {
		u.freed.Wait()
	}
	if stopped() {
		return false
	}
	u.bytes += bytes
	return true
}

func (u *userBytes) free(bytes int) {
	if bytes == 0 {
		return
	}
	u.mu.Lock()
	u.bytes -= bytes
	u.mu.Unlock()
	u.freed.Broadcast()
}

// wake has those who wait look whether they are stopped.
func (u *userBytes) wake() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.freed.Broadcast()
}

// allUserBytes holds the userBytes of the users who are connected.
type allUserBytes struct {
	mu    sync.Mutex
	users map[chat.UserID]*userBytes
}

// join finds those of a user, for one more connection.
func (a *allUserBytes) join(user chat.UserID) *userBytes {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.users[user]
	if u == nil {
		if a.users == nil {
			a.users = make(map[chat.UserID]*userBytes)
		}
		u = newUserBytes()
		a.users[user] = u
	}
	u.conns++
	return u
}

// leave forgets those of a user whose last connection is gone.
func (a *allUserBytes) leave(user chat.UserID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.users[user]
	if u.conns--; u.conns == 0 {
		delete(a.users, user)
	}
}

package session

import (
	"bytes"
	"container/heap"
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// Token is what the token of a connection says: for whom the connection is, and until when.
type Token struct {
	Caller  chat.Caller
	Expires time.Time
	Key     string // fingerprint of the key of a set that verified it; "": it was the secret
}

// warnBefore is how long before a token's end its client is told
// (docs/contract.md#authentication).
const warnBefore = time.Minute

// maxRefusedTokens is how many tokens that were refused end a connection.
const maxRefusedTokens = 10

// Caller is whose session it is, with the scopes of its present token.
func (s *Session) Caller() chat.Caller { return s.token.Load().Caller }

// Expired reports whether the client's token has expired. The session ends soon then.
func (s *Session) Expired() bool {
	expires := s.token.Load().Expires
	return !expires.IsZero() && !s.reg.now().Before(expires)
}

// Authenticate gives the connection a new token. If that fails, with an *chat.Error, the old one
// stays in force. A token that cannot be checked now does not count as refused; last says that this
// was one refused token too many: once the client was told, the connection is to be closed with
// TokensRefused.
//
// Nothing else of the session changes: neither presence, nor position, nor subscriptions.
func (s *Session) Authenticate(token string) (last bool, err error) {
	fresh, err := s.reg.verify(token, s.Caller())
	if err != nil {
		if chat.CodeOf(err) == chat.CodeUnavailable {
			return false, err
		}
		s.mu.Lock()
		s.refusedTokens++
		last = s.refusedTokens >= maxRefusedTokens
		s.mu.Unlock()
		return last, err
	}
	expiring := s.reg.beat.renew(s, &fresh, s.reg.now())
	s.tellLatest(contracts.AuthFrame(fresh.Expires))
	if expiring {
		s.tellLatest(contracts.TokenExpiringFrame(fresh.Expires))
	}
	return false, nil
}

// authenticate is Authenticate for a frame of a JSON client, which is told of a refusal by an
// error frame. It is none of the wrong frames that end a connection.
func (s *Session) authenticate(token string) {
	last, err := s.Authenticate(token)
	if err == nil {
		return
	}
	if last {
		s.mu.Lock()
		s.inbox.last = TokensRefused // once the error frame is out
		s.mu.Unlock()
	}
	problem := contracts.ProblemOf(err)
	s.Warn(problem.Code, problem.Detail)
}

// EndTokensOf ends the connections whose tokens were verified with these keys, as if the
// tokens had expired.
func (r *Registry) EndTokensOf(keys []string) {
	for _, s := range r.all() {
		if key := s.token.Load().Key; key != "" && slices.Contains(keys, key) {
			s.Close(TokenExpired)
		}
	}
}

// warnIfDue tells the client that its token expires, if that is due now.
func (s *Session) warnIfDue() {
	if s.reg.beat.warns(s, s.reg.now()) {
		s.tellLatest(contracts.TokenExpiringFrame(s.token.Load().Expires))
	}
}

// tellLatest queues a control frame in place of an earlier one of its type that still waits.
func (s *Session) tellLatest(f contracts.Frame) {
	s.mu.Lock()
	s.inbox.control = slices.DeleteFunc(s.inbox.control, func(c control) bool {
		return c.told == nil && bytes.Equal(c.frame.Type(), f.Type())
	})
	s.inbox.control = append(s.inbox.control, control{frame: f})
	s.mu.Unlock()
	s.params.Transport.Wake()
}

// oweWarning keeps in mind that a client which has not subscribed the topic of its device
// was not told that its token expires. The connection's writer calls it.
func (s *Session) oweWarning() {
	s.mu.Lock()
	s.inbox.warning = true
	s.mu.Unlock()
	s.payWarning()
}

// payWarning tells the client what oweWarning has kept in mind, if it has subscribed that now.
func (s *Session) payWarning() {
	s.mu.Lock()
	due := s.inbox.warning && s.interest.device().ok
	s.inbox.warning = s.inbox.warning && !due
	s.mu.Unlock()
	if due {
		s.tellLatest(contracts.TokenExpiringFrame(s.token.Load().Expires))
	}
}

// renew puts a new token in force. It reports whether that expires so soon that the client is
// to be told at once.
func (h *heartbeat) renew(s *Session, t *Token, now time.Time) (expiring bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.token.Store(t)
	s.due = t.Expires.Add(-warnBefore)
	if s.expiry < 0 { // it ends already
		return false
	}
	if expiring = !now.Before(s.due); expiring {
		s.due = t.Expires
	}
	heap.Fix(&h.expiring, s.expiry)
	return expiring
}

// warns reports whether the client is to be told now that its token expires. It does so once
// for a token.
func (h *heartbeat) warns(s *Session, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	expires := s.token.Load().Expires
	if s.expiry < 0 || now.Before(s.due) || !s.due.Before(expires) {
		return false
	}
	s.due = expires
	heap.Fix(&h.expiring, s.expiry)
	return true
}

// dueTokens lists the sessions whose tokens have expired, and those whose clients are to be
// told that theirs will.
func (h *heartbeat) dueTokens(now time.Time) (expired, expiring []*Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.expiring) > 0 && !now.Before(h.expiring[0].due) {
		s := h.expiring[0]
		if expires := s.token.Load().Expires; now.Before(expires) {
			s.due = expires
			heap.Fix(&h.expiring, 0)
			expiring = append(expiring, s)
		} else {
			expired = append(expired, heap.Pop(&h.expiring).(*Session))
		}
	}
	return expired, expiring
}

package chat

import (
	"context"
	"slices"
	"time"
)

// Block says that User does not want to hear from Blocked
// (docs/contract.md#blocks).
type Block struct {
	User    UserID
	Blocked UserID
	At      time.Time
}

// Block keeps a user's messages in their 1:1 from the caller
// (docs/contract.md#blocks).
func (s *Service) Block(ctx context.Context, c Caller, user UserID) error {
	if err := c.need(ScopeWrite); err != nil {
		return err
	}
	if err := c.other(user); err != nil {
		return err
	}
	return s.changeBlock(ctx, c, user, true, func() error {
		return s.store.PutBlock(ctx, Block{User: c.User, Blocked: user, At: s.markTime()})
	})
}

// Unblock removes a block. A message that was sent meanwhile stays hidden, unless its
// sender tries again.
func (s *Service) Unblock(ctx context.Context, c Caller, user UserID) error {
	if err := c.need(ScopeWrite); err != nil {
		return err
	}
	if err := c.other(user); err != nil {
		return err
	}
	return s.changeBlock(ctx, c, user, false, func() error { return s.store.DeleteBlock(ctx, c.User, user) })
}

// changeBlock makes a change of the caller's blocks, unless the user is blocked or not, as
// wanted, already.
func (s *Service) changeBlock(ctx context.Context, c Caller, user UserID, wanted bool, change func() error) error {
	return s.writing(c, costWrite, func() (wrote bool, err error) {
		switch blocked, err := s.store.HasBlocked(ctx, c.User, user); {
		case err != nil:
			return false, Unavailable("look up the block", err)
		case blocked == wanted:
			return false, nil
		}
		if err := change(); err != nil {
			return false, Unavailable("change the block", err)
		}
		return true, nil
	})
}

func (c Caller) other(user UserID) error {
	if _, err := ParseUserID(string(user)); err != nil {
		return err
	}
	if user == c.User {
		return Invalid("user_id", "is yourself")
	}
	return nil
}

// BlockPage is one page of whom a user blocks.
type BlockPage struct {
	Blocks []Block
	Next   string // "" at the end
}

// Blocks lists whom the caller blocks, in order of their ids.
func (s *Service) Blocks(ctx context.Context, c Caller, p PageRequest) (BlockPage, error) {
	if err := c.need(ScopeRead); err != nil {
		return BlockPage{}, err
	}
	size, err := s.pageSize(p)
	if err != nil {
		return BlockPage{}, err
	}
	var after UserID
	if p.Cursor != "" {
		if after, err = decodeBlockCursor(c.User, p.Cursor); err != nil {
			return BlockPage{}, err
		}
	}
	if err := s.spendRead(c); err != nil {
		return BlockPage{}, err
	}
	found, err := s.store.Blocks(ctx, c.User, after, size+1)
	if err != nil {
		return BlockPage{}, Unavailable("list the blocks", err)
	}
	if len(found) <= size {
		return BlockPage{Blocks: found}, nil
	}
	return BlockPage{Blocks: found[:size], Next: encodeBlockCursor(c.User, found[size-1].Blocked)}, nil
}

// blockedBy is the other user of a 1:1 if that one blocks the caller, else "". A
// service is no participant: it speaks to both, and no block stops it.
func (s *Service) blockedBy(ctx context.Context, c Caller, t Thread) (UserID, error) {
	if _, in := t.Participant(c.User); t.Type != OneToOne || !in {
		return "", nil
	}
	for _, p := range t.Participants {
		if p.User == c.User {
			continue
		}
		blocked, err := s.store.HasBlocked(ctx, p.User, c.User)
		if err != nil {
			return "", Unavailable("look up the block", err)
		}
		if blocked {
			return p.User, nil
		}
	}
	return "", nil
}

// withoutBlocked removes from people those whom a user blocks: they are not told when
// that user comes, goes or types. It writes into the slice.
func (s *Service) withoutBlocked(ctx context.Context, user UserID, people []UserID) ([]UserID, error) {
	if len(people) == 0 {
		return nil, nil
	}
	blocked, err := s.store.BlockedAmong(ctx, user, people)
	if err != nil {
		return nil, Unavailable("look up the blocks", err)
	}
	if len(blocked) == 0 {
		return people, nil
	}
	slices.Sort(blocked)
	return slices.DeleteFunc(people, func(u UserID) bool {
		_, is := slices.BinarySearch(blocked, u)
		return is
	}), nil
}

package rest

import (
	"context"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

func (s *server) getPresence(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
	user, err := chat.ParseUserID(pathValue(c, "id"))
	if err != nil {
		return chat.Refuse(chat.CodeNoSharedThread, "you share no thread with such a user")
	}
	presence, err := s.chat.Presence(ctx, caller, user)
	return respondWith(c, presence, err, contracts.NewPresence)
}

func (s *server) listBlocks(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
	p, err := page(c)
	if err != nil {
		return err
	}
	blocks, err := s.chat.Blocks(ctx, caller, p)
	return respondWith(c, blocks, err, contracts.NewBlocks)
}

// blockUser passes the id on unchecked: the use case refuses a malformed one as an invalid
// request, whereas a malformed id in other paths is answered like an unknown one.
func (s *server) blockUser(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
	return noContent(c, s.chat.Block(ctx, caller, chat.UserID(pathValue(c, "uid"))))
}

func (s *server) unblockUser(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
	return noContent(c, s.chat.Unblock(ctx, caller, chat.UserID(pathValue(c, "uid"))))
}

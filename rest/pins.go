package rest

import (
	"context"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

func (s *server) listPins(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.ThreadID) error {
	pins, err := s.chat.Pins(ctx, caller, id)
	return respondWith(c, pins, err, contracts.NewPins)
}

func (s *server) addPin(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.ThreadID) error {
	message, err := decode(c, contracts.DecodePin)
	if err != nil {
		return err
	}
	pin, added, err := s.chat.Pin(ctx, caller, id, message)
	if err != nil {
		return err
	}
	return respond(c, statusOf(added), contracts.NewPin(pin))
}

func (s *server) removePin(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.ThreadID) error {
	return noContent(c, s.chat.Unpin(ctx, caller, id, messageInPath(c, "message_id")))
}

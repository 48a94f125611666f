package rest

import (
	"context"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

func (s *server) editMessage(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.MessageID) error {
	b, err := body(c)
	if err != nil {
		return err
	}
	req, err := contracts.DecodeEdit(b)
	if err != nil {
		return err
	}
	message, err := s.chat.Edit(ctx, caller, id, req)
	if err != nil {
		return err
	}
	return respond(c, http.StatusOK, contracts.NewMessage(message))
}

func (s *server) deleteMessage(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.MessageID) error {
	if err := s.chat.Delete(ctx, caller, id); err != nil {
		return err
	}
	return noContent(c)
}

func (s *server) addReaction(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.MessageID) error {
	b, err := body(c)
	if err != nil {
		return err
	}
	emoji, err := contracts.DecodeReaction(b)
	if err != nil {
		return err
	}
	message, err := s.chat.React(ctx, caller, id, emoji)
	if err != nil {
		return err
	}
	return respond(c, http.StatusOK, contracts.NewMessage(message))
}

func (s *server) removeReaction(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.MessageID) error {
	if err := s.chat.Unreact(ctx, caller, id, pathValue(c, "emoji")); err != nil {
		return err
	}
	return noContent(c)
}

func (s *server) reportMessage(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.MessageID) error {
	b, err := body(c)
	if err != nil {
		return err
	}
	reason, note, err := contracts.DecodeReport(b)
	if err != nil {
		return err
	}
	report, err := s.chat.Report(ctx, caller, id, reason, note)
	if err != nil {
		return err
	}
	return respond(c, http.StatusCreated, contracts.NewReportReceipt(report))
}

package rest

import (
	"context"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

func (s *server) listReports(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
	p, err := page(c)
	if err != nil {
		return err
	}
	reports, err := s.chat.Reports(ctx, caller, p)
	return respondWith(c, reports, err, contracts.NewReportPage)
}

func (s *server) denyAttachment(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
	return noContent(c, s.chat.DenyAttachment(ctx, caller, pathValue(c, "sha256")))
}

func (s *server) allowAttachment(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
	return noContent(c, s.chat.AllowAttachment(ctx, caller, pathValue(c, "sha256")))
}

func (s *server) reportMessage(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.MessageID) error {
	reason, note, err := contracts.DecodeReport(body(c))
	if err != nil {
		return err
	}
	report, added, err := s.chat.Report(ctx, caller, id, reason, note)
	if err != nil {
		return err
	}
	return respond(c, statusOf(added), contracts.NewReportReceipt(report))
}

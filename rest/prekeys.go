package rest

import (
	"context"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

func (s *server) uploadPrekeys(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
	upload, err := decode(c, contracts.DecodePrekeyUpload)
	if err != nil {
		return err
	}
	device, err := s.chat.UploadPrekeys(ctx, caller, upload)
	if err != nil {
		return err
	}
	return respond(c, http.StatusOK, contracts.NewPrekeyStatus(device))
}

func (s *server) countPrekeys(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
	devices, err := s.chat.OwnPrekeys(ctx, caller)
	if err != nil {
		return err
	}
	return respond(c, http.StatusOK, contracts.NewPrekeyStatuses(devices))
}

func (s *server) fetchPrekeys(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
	user, err := chat.ParseUserID(pathValue(c, "id"))
	if err != nil {
		return chat.Refuse(chat.CodeNoPrekeys, "no such user has uploaded prekeys")
	}
	bundle, err := s.chat.FetchPrekeys(ctx, caller, user)
	if err != nil {
		return err
	}
	return respond(c, http.StatusOK, contracts.NewPrekeyBundle(bundle))
}

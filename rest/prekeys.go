package rest

import (
	"context"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

func (s *server) uploadPrekeys(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
	upload, err := decode(c, contracts.DecodePrekeyUpload)
	if err != nil {
		return err
	}
	stored, err := s.chat.UploadPrekeys(ctx, caller, upload)
	return respondWith(c, stored, err, contracts.NewPrekeysStored)
}

func (s *server) countPrekeys(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
	devices, err := s.chat.OwnPrekeys(ctx, caller)
	return respondWith(c, devices, err, contracts.NewPrekeyStatuses)
}

func (s *server) fetchPrekeys(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
	user, err := chat.ParseUserID(pathValue(c, "id"))
	if err != nil {
		return chat.Refuse(chat.CodeNoPrekeys, "no such user has uploaded prekeys")
	}
	bundle, err := s.chat.FetchPrekeys(ctx, caller, user)
	return respondWith(c, bundle, err, contracts.NewPrekeyBundle)
}

func (s *server) fetchGroupPrekeys(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.ThreadID) error {
	users, err := decode(c, contracts.DecodeGroupPrekeys)
	if err != nil {
		return err
	}
	keys, err := s.chat.FetchGroupPrekeys(ctx, caller, id, users)
	return respondWith(c, keys, err, contracts.NewGroupPrekeys)
}

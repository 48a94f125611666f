package rest

import (
	"context"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

func (s *server) listDevices(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
	devices, err := s.chat.Devices(ctx, caller)
	return respondWith(c, devices, err, contracts.NewDevices)
}

// removeDevice passes a malformed id on as the empty one, which names no device.
func (s *server) removeDevice(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
	device, err := chat.ParseDeviceID(pathValue(c, "device_id"))
	if err != nil {
		device = ""
	}
	return noContent(c, s.chat.RemoveDevice(ctx, caller, device))
}

func (s *server) listDevicesOf(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
	user, err := chat.ParseUserID(pathValue(c, "id"))
	if err != nil {
		return chat.Refuse(chat.CodeNoSharedThread, "you share no thread with such a user")
	}
	devices, err := s.chat.DevicesOf(ctx, caller, user)
	return respondWith(c, devices, err, contracts.NewDeviceIdentities)
}

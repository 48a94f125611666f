package rest

import (
	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/chat"
)

// routes adds the calls of docs/contract.md#requests. app.Get adds HEAD too,
// with the same handler; a GET that has an effect is added by app.Add, for GET
// alone.
func (s *server) routes(app *fiber.App, cfg Config) {
	s.threadRoutes(app)
	s.messageRoutes(app)
	s.userRoutes(app)

	app.Get("/v1/admin/reports", s.call(operating.paged(), s.listReports))
	app.Put("/v1/admin/attachment-denylist/:sha256", s.call(operating, s.denyAttachment))
	app.Delete("/v1/admin/attachment-denylist/:sha256", s.call(operating, s.allowAttachment))

	app.Get("/healthz", routed(s.healthz))
	app.Get("/readyz", routed(s.readyz))
	if cfg.ServeMetrics {
		app.Get("/metrics", routed(metricsHandler(cfg.Metrics)))
	}
	if cfg.Pages != nil {
		cfg.Pages(func(method, path string, handle fiber.Handler) { app.Add(method, path, routed(withoutBody(handle))) })
	}
	if cfg.Realtime != nil {
		app.Add(fiber.MethodGet, realtimePath, routed(withoutBody(cfg.Realtime)))
	}
}

func (s *server) threadRoutes(app *fiber.App) {
	app.Post("/v1/threads", s.call(writing.withBody(), s.createThread))
	app.Get("/v1/threads", s.call(reading.with("cursor", "page_size", "state"), s.listThreads))
	app.Get("/v1/threads/:id", s.onThread(reading, s.getThread))
	app.Patch("/v1/threads/:id", s.onThread(writing.withBody(), s.setTitle))
	app.Get("/v1/threads/:id/me", s.onThread(reading, s.getOwnState))
	app.Patch("/v1/threads/:id/me", s.onThread(writing.withBody(), s.setOwnState))
	app.Post("/v1/threads/:id/participants", s.onThread(writing.withBody(), s.addParticipant))
	app.Patch("/v1/threads/:id/participants/:uid", s.onThread(writing.withBody(), s.setRole))
	app.Delete("/v1/threads/:id/participants/:uid", s.onThread(writing, s.removeParticipant))
	app.Post("/v1/threads/:id/messages", s.onThread(sending.withBody(), s.sendMessage))
	app.Get("/v1/threads/:id/messages", s.onThread(reading.with("cursor", "page_size", "since", "content_type"), s.fetchHistory))
	app.Get("/v1/threads/:id/events", s.onThread(reading.with("page_size", "since_seq"), s.fetchEvents))
	app.Post("/v1/threads/:id/prekeys", s.onThread(writing.withBody(), s.fetchGroupPrekeys))
	app.Post("/v1/threads/:id/read", s.onThread(writing.withBody(), s.markRead))
	app.Get("/v1/threads/:id/pins", s.onThread(reading, s.listPins))
	app.Post("/v1/threads/:id/pins", s.onThread(writing.withBody(), s.addPin))
	app.Delete("/v1/threads/:id/pins/:message_id", s.onThread(writing, s.removePin))
}

func (s *server) messageRoutes(app *fiber.App) {
	app.Get("/v1/messages/:id", s.onMessage(reading, s.getMessage))
	app.Patch("/v1/messages/:id", s.onMessage(writing.withBody(), s.editMessage))
	app.Delete("/v1/messages/:id", s.onMessage(writing, s.deleteMessage))
	app.Get("/v1/messages/:id/receipts", s.onMessage(reading, s.getReceipts))
	app.Get("/v1/messages/:id/reactions", s.onMessage(reading.with("emoji", "cursor", "page_size"), s.listReactions))
	app.Post("/v1/messages/:id/reactions", s.onMessage(writing.withBody(), s.addReaction))
	app.Delete("/v1/messages/:id/reactions/:emoji", s.onMessage(writing, s.removeReaction))
	app.Post("/v1/messages/:id/reports", s.onMessage(writing.withBody(), s.reportMessage))
}

// userRoutes adds the routes of `me` before those with a user's id, which would match `me`
// too.
func (s *server) userRoutes(app *fiber.App) {
	app.Put("/v1/users/me/prekeys", s.call(writing.withBody(), s.uploadPrekeys))
	app.Get("/v1/users/me/prekeys", s.call(reading, s.countPrekeys))
	app.Get("/v1/users/me/devices", s.call(reading, s.listDevices))
	app.Delete("/v1/users/me/devices/:device_id", s.call(writing, s.removeDevice))
	app.Get("/v1/users/me/unread", s.call(reading, s.countUnread))
	app.Get("/v1/users/me/blocks", s.call(reading.paged(), s.listBlocks))
	app.Put("/v1/users/me/blocks/:uid", s.call(writing, s.blockUser))
	app.Delete("/v1/users/me/blocks/:uid", s.call(writing, s.unblockUser))
	app.Add(fiber.MethodGet, "/v1/users/:id/prekeys", s.call(reading, s.fetchPrekeys)) // it uses up keys
	app.Get("/v1/users/:id/devices", s.call(reading, s.listDevicesOf))
	app.Get("/v1/users/:id/presence", s.call(reading, s.getPresence))
}

// withoutBody refuses a request that has a body: behind an upgrade it would be taken for what
// the client says in the new protocol.
func withoutBody(handle fiber.Handler) fiber.Handler {
	return func(c *fiber.Ctx) error {
		if !connOf(c).bodyDone {
			return chat.Refuse(chat.CodeInvalidRequest, "this request has no body")
		}
		return handle(c)
	}
}

package rest

import "github.com/gofiber/fiber/v2"

// routes adds the calls of docs/contract.md#requests. app.Get adds HEAD too,
// with the same handler; a GET that has an effect is added by app.Add, for GET
// alone.
func (s *server) routes(app *fiber.App, cfg Config) {
	s.threadRoutes(app)
	s.messageRoutes(app)
	s.userRoutes(app)

	app.Get("/v1/admin/reports", s.call(s.listReports))
	app.Put("/v1/admin/attachment-denylist/:sha256", s.call(s.denyAttachment))
	app.Delete("/v1/admin/attachment-denylist/:sha256", s.call(s.allowAttachment))

	app.Get("/healthz", routed(s.healthz))
	app.Get("/readyz", routed(s.readyz))
	if cfg.ServeMetrics {
		app.Get("/metrics", routed(metricsHandler(cfg.Metrics)))
	}
	if cfg.Realtime != nil {
		app.Add(fiber.MethodGet, "/v1/realtime", routed(cfg.Realtime))
	}
}

func (s *server) threadRoutes(app *fiber.App) {
	app.Post("/v1/threads", s.call(s.createThread))
	app.Get("/v1/threads", s.call(s.listThreads))
	app.Get("/v1/threads/:id", s.onThread(s.getThread))
	app.Patch("/v1/threads/:id", s.onThread(s.setTitle))
	app.Post("/v1/threads/:id/participants", s.onThread(s.addParticipant))
	app.Patch("/v1/threads/:id/participants/:uid", s.onThread(s.setRole))
	app.Delete("/v1/threads/:id/participants/:uid", s.onThread(s.removeParticipant))
	app.Post("/v1/threads/:id/messages", s.onThread(s.sendMessage))
	app.Get("/v1/threads/:id/messages", s.onThread(s.fetchHistory))
	app.Get("/v1/threads/:id/events", s.onThread(s.fetchEvents))
	app.Post("/v1/threads/:id/read", s.onThread(s.markRead))
	app.Get("/v1/threads/:id/pins", s.onThread(s.listPins))
	app.Post("/v1/threads/:id/pins", s.onThread(s.addPin))
	app.Delete("/v1/threads/:id/pins/:message_id", s.onThread(s.removePin))
}

func (s *server) messageRoutes(app *fiber.App) {
	app.Get("/v1/messages/:id", s.onMessage(s.getMessage))
	app.Patch("/v1/messages/:id", s.onMessage(s.editMessage))
	app.Delete("/v1/messages/:id", s.onMessage(s.deleteMessage))
	app.Get("/v1/messages/:id/receipts", s.onMessage(s.getReceipts))
	app.Post("/v1/messages/:id/reactions", s.onMessage(s.addReaction))
	app.Delete("/v1/messages/:id/reactions/:emoji", s.onMessage(s.removeReaction))
	app.Post("/v1/messages/:id/reports", s.onMessage(s.reportMessage))
}

// userRoutes adds the routes of `me` before those with a user's id, which would match `me`
// too.
func (s *server) userRoutes(app *fiber.App) {
	app.Put("/v1/users/me/prekeys", s.call(s.uploadPrekeys))
	app.Get("/v1/users/me/prekeys", s.call(s.countPrekeys))
	app.Get("/v1/users/me/blocks", s.call(s.listBlocks))
	app.Put("/v1/users/me/blocks/:uid", s.call(s.blockUser))
	app.Delete("/v1/users/me/blocks/:uid", s.call(s.unblockUser))
	app.Add(fiber.MethodGet, "/v1/users/:id/prekeys", s.call(s.fetchPrekeys)) // it uses up keys
	app.Get("/v1/users/:id/presence", s.call(s.getPresence))
}

package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/chat"
)

// readyTimeout is shorter than the period of common readiness probes.
const readyTimeout = 2 * time.Second

type health struct {
	Status string `json:"status"`
}

// healthz says that the process answers requests.
func (s *server) healthz(c *fiber.Ctx) error {
	return respond(c, http.StatusOK, health{"ok"})
}

// readyz says whether a load balancer should send new clients to this node
// (docs/contract.md#running-a-server).
func (s *server) readyz(c *fiber.Ctx) error {
	if s.draining() {
		return chat.Refuse(chat.CodeUnavailable, "this node is shutting down")
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	if err := s.chat.Ready(ctx); err != nil {
		return err
	}
	return respond(c, http.StatusOK, health{"ready"})
}

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

// health is the answer to a probe (docs/contract.md#running-a-server).
type health struct {
	Status  string   `json:"status"`
	Reasons []string `json:"reasons"` // why it is not ok
}

// The statuses of a node. One that is degraded serves, and something of it needs repair.
const (
	statusOK          = "ok"
	statusDegraded    = "degraded"
	statusUnavailable = "unavailable"
)

// The reasons why a node is not ok.
const (
	reasonDraining = "draining"
	reasonStore    = "store"
	reasonBus      = "bus"
)

// healthz says that the process answers requests.
func (s *server) healthz(c *fiber.Ctx) error {
	return respond(c, http.StatusOK, health{statusOK, []string{}})
}

// readyz says whether a load balancer should send new clients to this node
// (docs/contract.md#running-a-server).
func (s *server) readyz(c *fiber.Ctx) error {
	h := s.health()
	if h.Status != statusUnavailable {
		return respond(c, http.StatusOK, h)
	}
	c.Set(fiber.HeaderRetryAfter, "1")
	return respond(c, http.StatusServiceUnavailable, h)
}

func (s *server) health() health {
	if s.draining() {
		return health{statusUnavailable, []string{reasonDraining}}
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	found := s.chat.Health(ctx)
	h := health{statusOK, []string{}}
	if found.Bus != nil {
		h.Status = statusDegraded
		h.Reasons = append(h.Reasons, reasonBus)
	}
	if found.Store != nil {
		h.Status = statusUnavailable
		h.Reasons = append(h.Reasons, reasonStore)
	}
	if h.Status != statusOK {
		s.logHealth(h, found)
	}
	return h
}

// logHealth logs why the node is not ok, once a second at most: anybody may ask.
func (s *server) logHealth(h health, found chat.Health) {
	if _, ok := s.illness.Pass(time.Now()); ok {
		s.log.Warn("not in good health", "status", h.Status, "reasons", h.Reasons, "store", found.Store, "bus", found.Bus)
	}
}

package rest

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// readyTimeout is shorter than the period of common readiness probes.
const readyTimeout = 2 * time.Second

// health is the answer to a probe (docs/contract.md#running-a-server).
type health struct {
	Status  string   `json:"status"`
	Reasons []string `json:"reasons"` // why it is not ok
	retry   string   // Retry-After of one that is unavailable
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
	reasonClock    = "clock"
)

// healthz says that the process answers requests, and 503 once only a restart can help it.
func (s *server) healthz(c *fiber.Ctx) error {
	if s.dead() {
		c.Set(fiber.HeaderRetryAfter, "1")
		return respond(c, http.StatusServiceUnavailable, health{Status: statusUnavailable, Reasons: []string{reasonStore}})
	}
	return respond(c, http.StatusOK, health{Status: statusOK, Reasons: []string{}})
}

// readyz says whether a load balancer should send new clients to this node
// (docs/contract.md#running-a-server).
func (s *server) readyz(c *fiber.Ctx) error {
	h := s.health()
	if h.Status != statusUnavailable {
		return respond(c, http.StatusOK, h)
	}
	c.Set(fiber.HeaderRetryAfter, cmp.Or(h.retry, "1"))
	return respond(c, http.StatusServiceUnavailable, h)
}

func (s *server) health() health {
	if s.draining() {
		return health{Status: statusUnavailable, Reasons: []string{reasonDraining}}
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	found := s.chat.Health(ctx)
	h := health{Status: statusOK, Reasons: []string{}}
	if found.Bus != nil {
		h.Status = statusDegraded
		h.Reasons = append(h.Reasons, reasonBus)
	}
	if found.Clock != nil {
		h.Status = statusDegraded
		h.Reasons = append(h.Reasons, reasonClock)
	}
	if errors.Is(found.Clock, chat.ErrClockWrong) {
		h.Status = statusUnavailable
		h.retry = retryAfter("store anything", found.Clock)
	}
	if found.Store != nil {
		h.Status = statusUnavailable
		h.Reasons = append(h.Reasons, reasonStore)
		h.retry = retryAfter("reach the store", found.Store)
	}
	if h.Status != statusOK {
		s.logHealth(h, found)
	}
	return h
}

// retryAfter is what a call is told that cannot be done for this reason.
func retryAfter(doing string, cause error) string {
	return strconv.Itoa(contracts.ProblemOf(chat.Unavailable(doing, cause)).RetryAfter)
}

// logHealth logs why the node is not ok, once a second at most: anybody may ask.
func (s *server) logHealth(h health, found chat.Health) {
	if _, ok := s.illness.Pass(time.Now()); ok {
		s.log.Warn("not in good health", "status", h.Status, "reasons", h.Reasons, "store", found.Store, "bus", found.Bus, "clock", found.Clock)
	}
}

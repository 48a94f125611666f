package rest

import (
	"context"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

func (s *server) createThread(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
	req, err := decode(c, contracts.DecodeCreateThread)
	if err != nil {
		return err
	}
	if req.IdempotencyKey, err = idempotencyKey(c); err != nil { // optional here
		return err
	}
	thread, outcome, err := s.chat.CreateThread(ctx, caller, req)
	if err != nil {
		return err
	}
	if outcome == chat.AlreadyExists {
		return respond(c, http.StatusOK, contracts.NewThread(thread))
	}
	if outcome == chat.Recreated {
		c.Set(idempotencyReplayedHeader, "true")
	}
	c.Set(fiber.HeaderLocation, "/v1/threads/"+thread.ID.String())
	return respond(c, http.StatusCreated, contracts.NewThread(thread))
}

func (s *server) listThreads(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
	p, err := page(c)
	if err != nil {
		return err
	}
	if hasQuery(c, "state") {
		if p.State = chat.ThreadFilter(c.Query("state")); p.State == "" {
			return chat.Invalid("state", "must be inbox, requests or archived")
		}
	}
	threads, err := s.chat.Threads(ctx, caller, p)
	return respondWith(c, threads, err, contracts.NewThreadPage)
}

func (s *server) getThread(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.ThreadID) error {
	thread, err := s.chat.Thread(ctx, caller, id)
	return respondWith(c, thread, err, contracts.NewThreadWithParticipants)
}

func (s *server) getOwnState(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.ThreadID) error {
	me, err := s.chat.OwnState(ctx, caller, id)
	return respondWith(c, me, err, contracts.NewMe)
}

func (s *server) setOwnState(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.ThreadID) error {
	change, err := decode(c, contracts.DecodeOwnState)
	if err != nil {
		return err
	}
	me, err := s.chat.SetOwnState(ctx, caller, id, change)
	return respondWith(c, me, err, contracts.NewMe)
}

func (s *server) countUnread(ctx context.Context, c *fiber.Ctx, caller chat.Caller) error {
	n, err := s.chat.Unread(ctx, caller)
	return respondWith(c, n, err, contracts.NewUnreadCounts)
}

func (s *server) setTitle(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.ThreadID) error {
	title, err := decode(c, contracts.DecodeSetTitle)
	if err != nil {
		return err
	}
	thread, err := s.chat.SetTitle(ctx, caller, id, title)
	return respondWith(c, thread, err, contracts.NewThread)
}

func (s *server) addParticipant(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.ThreadID) error {
	user, err := decode(c, contracts.DecodeAddParticipant)
	if err != nil {
		return err
	}
	participant, added, err := s.chat.AddParticipant(ctx, caller, id, user)
	if err != nil {
		return err
	}
	return respond(c, statusOf(added), contracts.NewParticipant(participant))
}

func (s *server) setRole(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.ThreadID) error {
	role, err := decode(c, contracts.DecodeSetRole)
	if err != nil {
		return err
	}
	participant, err := s.chat.SetRole(ctx, caller, id, participantInPath(c), role)
	return respondWith(c, participant, err, contracts.NewParticipant)
}

func (s *server) removeParticipant(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.ThreadID) error {
	return noContent(c, s.chat.RemoveParticipant(ctx, caller, id, participantInPath(c)))
}

// participantInPath is the participant that the path names. A malformed user id is no
// participant of any thread.
func participantInPath(c *fiber.Ctx) chat.UserID { return chat.UserID(pathValue(c, "uid")) }

func (s *server) markRead(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.ThreadID) error {
	upTo, err := decode(c, contracts.DecodeMarkRead)
	if err != nil {
		return err
	}
	return noContent(c, s.chat.MarkRead(ctx, caller, id, upTo))
}

package rest

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// Headers of a send (docs/contract.md#sending).
const (
	idempotencyKeyHeader      = "Idempotency-Key"
	idempotencyReplayedHeader = "Idempotency-Replayed"
	contentDiffersHeader      = "Idempotency-Content-Differs"
)

func (s *server) sendMessage(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.ThreadID) error {
	send, err := decode(c, contracts.DecodeSend)
	if err != nil {
		return err
	}
	key, err := idempotencyKey(c)
	if err != nil {
		return err
	}
	req, err := send.Request(id, key)
	if err != nil {
		return err
	}
	result, err := s.chat.Send(ctx, caller, req)
	if err != nil {
		return err
	}
	status := http.StatusAccepted
	switch result.Outcome {
	case chat.Sent, chat.Retried:
	case chat.Replayed:
		c.Set(idempotencyReplayedHeader, "true")
	case chat.ClientSeqTaken, chat.Gone:
		status = http.StatusConflict // without a problem document: the client needs the message that it sent before
	}
	if result.Differs {
		c.Set(contentDiffersHeader, "true")
	}
	return respond(c, status, contracts.NewMessage(result.Event))
}

// idempotencyKey is the key of the request, "" if it has none. Some clients write it in quotes,
// which are no part of it (docs/contract.md#sending).
func idempotencyKey(c *fiber.Ctx) (string, error) {
	key := c.Get(idempotencyKeyHeader)
	front, back := strings.HasPrefix(key, `"`), strings.HasSuffix(key, `"`)
	switch {
	case len(c.Request().Header.PeekAll(idempotencyKeyHeader)) > 1:
		return "", chat.Invalid(idempotencyKeyHeader, "must come once")
	case !front && !back:
		return key, nil
	case front != back || len(key) < len(`"k"`):
		return "", chat.Invalid(idempotencyKeyHeader, "must have a quote at both ends or at none, and a key between them")
	}
	return key[1 : len(key)-1], nil
}

func (s *server) fetchHistory(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.ThreadID) error {
	p, err := page(c)
	if err != nil {
		return err
	}
	if hasQuery(c, "content_type") {
		if p.ContentType = chat.ContentType(c.Query("content_type")); p.ContentType == "" {
			return chat.Invalid("content_type", "must not be empty")
		}
	}
	var messages chat.MessagePage
	if hasQuery(c, "since") {
		since, bad := chat.ParseMessageID(c.Query("since"))
		if bad != nil {
			return chat.Invalid("since", "must be a message id")
		}
		messages, err = s.chat.HistorySince(ctx, caller, id, since, p)
	} else {
		messages, err = s.chat.History(ctx, caller, id, p)
	}
	return respondWith(c, messages, err, contracts.NewMessagePage)
}

func (s *server) fetchEvents(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.ThreadID) error {
	p, err := page(c)
	if err != nil {
		return err
	}
	since := uint64(0)
	if hasQuery(c, "since_seq") {
		if since, err = strconv.ParseUint(c.Query("since_seq"), 10, 63); err != nil {
			return chat.Invalid("since_seq", "must be an integer of 0 or more")
		}
	}
	events, err := s.chat.Events(ctx, caller, id, chat.Seq(since), p)
	return respondWith(c, events, err, contracts.NewEventPage)
}

func (s *server) getMessage(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.MessageID) error {
	message, err := s.chat.Message(ctx, caller, id)
	return respondWith(c, message, err, contracts.NewMessage)
}

func (s *server) getReceipts(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.MessageID) error {
	receipts, err := s.chat.Receipts(ctx, caller, id)
	return respondWith(c, receipts, err, contracts.NewReceipts)
}

func (s *server) editMessage(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.MessageID) error {
	req, err := decode(c, contracts.DecodeEdit)
	if err != nil {
		return err
	}
	message, err := s.chat.Edit(ctx, caller, id, req)
	return respondWith(c, message, err, contracts.NewMessage)
}

func (s *server) deleteMessage(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.MessageID) error {
	return noContent(c, s.chat.Delete(ctx, caller, id))
}

func (s *server) addReaction(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.MessageID) error {
	emoji, err := decode(c, contracts.DecodeReaction)
	if err != nil {
		return err
	}
	message, err := s.chat.React(ctx, caller, id, emoji)
	return respondWith(c, message, err, contracts.NewMessage)
}

func (s *server) listReactions(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.MessageID) error {
	p, err := page(c)
	if err != nil {
		return err
	}
	reactions, err := s.chat.Reactions(ctx, caller, id, c.Query("emoji"), p)
	return respondWith(c, reactions, err, contracts.NewReactionPage)
}

func (s *server) removeReaction(ctx context.Context, c *fiber.Ctx, caller chat.Caller, id chat.MessageID) error {
	return noContent(c, s.chat.Unreact(ctx, caller, id, pathValue(c, "emoji")))
}

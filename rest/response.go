package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/gofiber/fiber/v2"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// respond answers with a JSON body.
func respond(c *fiber.Ctx, status int, body any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the response: %w", err)
	}
	c.Status(status).Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	c.Response().SetBodyRaw(encoded) // without a copy: nothing else refers to it
	return nil
}

// respondWith answers 200 with the converted result of a use case that ended without an error;
// else it passes the error on.
func respondWith[Result, Body any](c *fiber.Ctx, result Result, err error, convert func(Result) Body) error {
	if err != nil {
		return err
	}
	return respond(c, http.StatusOK, convert(result))
}

// noContent answers 204 to a call that ended without an error; else it passes the
// error on.
func noContent(c *fiber.Ctx, err error) error {
	if err == nil {
		c.Status(http.StatusNoContent)
	}
	return err
}

// statusOf is the status of a call that adds something, unless it is there already.
func statusOf(added bool) int {
	if added {
		return http.StatusCreated
	}
	return http.StatusOK
}

// Failure says which kind of call failed for the store.
type Failure string

// The kinds of calls: those with GET, and all others.
const (
	ReadFailed  Failure = "rest_read"
	WriteFailed Failure = "rest_write"
)

// noteFailure counts a call that the store, or what waits for it, has made fail. A caller who
// has hung up is none, nor is a refusal of the server itself, which has no cause.
func (s *server) noteFailure(c *fiber.Ctx, refusal error) {
	told, ok := errors.AsType[*chat.Error](refusal)
	if !ok || told.Code != chat.CodeUnavailable || errors.Unwrap(told) == nil || errors.Is(refusal, context.Canceled) {
		return
	}
	if c.Method() == fiber.MethodGet {
		s.failed(ReadFailed)
		return
	}
	s.failed(WriteFailed)
}

// refuse answers with the problem that a client is told of err. If that is a 5xx, err
// itself goes to the log only.
func (s *server) refuse(c *fiber.Ctx, ex *exchange, err error) {
	refusal := refusalOf(err)
	problem := contracts.ProblemOf(refusal)
	s.noteFailure(c, refusal)
	ex.code, ex.reason = problem.Code, auth.ReasonOf(err)
	s.refused(problem.Code)
	if problem.Status >= http.StatusInternalServerError {
		ex.err = err
	}
	if problem.Status == http.StatusUnauthorized {
		c.Set(fiber.HeaderWWWAuthenticate, "Bearer")
	}
	if problem.RetryAfter > 0 {
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(problem.RetryAfter))
	}
	encoded, err := json.Marshal(problem)
	if err != nil { // the detail is not valid UTF-8
		ex.err = errors.Join(ex.err, fmt.Errorf("encode the problem: %w", err))
	}
	c.Status(problem.Status).Set(fiber.HeaderContentType, contracts.ProblemContentType)
	c.Response().SetBodyRaw(encoded)
}

// refusalOf turns errors of Fiber, of fasthttp and of a deadline into a *chat.Error. It
// returns all others as they are.
func refusalOf(err error) error {
	if _, ok := errors.AsType[*chat.Error](err); ok {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return chat.Unavailable("serve the request", err)
	}
	fiberErr, ok := errors.AsType[*fiber.Error](err)
	if !ok {
		return err
	}
	switch fiberErr.Code {
	case http.StatusNotFound:
		return chat.Refuse(contracts.CodeNotFound, "there is no such route")
	case http.StatusMethodNotAllowed:
		return chat.Refuse(contracts.CodeMethodNotAllowed, "see the header Allow")
	case http.StatusRequestTimeout:
		return chat.Refuse(contracts.CodeRequestTimeout, "the request did not arrive in time")
	case http.StatusRequestHeaderFieldsTooLarge:
		return chat.Refuse(contracts.CodeHeadersTooLarge, "the request line and headers exceed the limit")
	}
	return chat.Refuse(chat.CodeInvalidRequest, "the request is not well-formed HTTP")
}

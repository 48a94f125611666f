package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/parleyhq/parley/contracts"
)

// ProblemError is a refusal of the server (docs/contract.md#requests). Decide by Code.
type ProblemError struct {
	contracts.Problem
	RequestID string
}

func (e *ProblemError) Error() string {
	text := e.Detail
	if text == "" {
		text = e.Title
	}
	return fmt.Sprintf("%s (%d %s)", text, e.Status, e.Code)
}

// IsCode reports whether err is a refusal with that code, as "not_a_participant"
// (docs/contract.md#codes).
func IsCode(err error, code string) bool {
	var problem *ProblemError
	return errors.As(err, &problem) && string(problem.Code) == code
}

// passes reports whether the same request may succeed later: the network, the server's or the
// rate's fault. What has no code is the page of a proxy, as during a deploy, which says nothing of
// the request, unless that is too large for it.
func passes(err error) bool {
	var problem *ProblemError
	if !errors.As(err, &problem) {
		return true
	}
	switch problem.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusUnauthorized:
		return true
	case http.StatusRequestEntityTooLarge:
		return false
	}
	return problem.Code == "" || problem.Status >= 500
}

// longestRetryAfter is the longest pause that a call makes because it was asked to.
const longestRetryAfter = 30

// answerLimit bounds what is read of an answer: a page of bundles has 4 MiB, base64 included.
const answerLimit = 16 << 20

// API is the HTTP side. It tries again what may succeed, as late as Retry-After says, and leaves
// it to the caller where that is over 30 s: every call of it may be repeated safely. It follows no
// redirects, which would make another call of one. Its methods may be called from several
// goroutines.
type API struct {
	url      string
	deviceID string
	tokens   *tokens
	http     *http.Client
	attempts int
	first    time.Duration // the pause after the first failure
}

// NewAPI makes calls to the server at url as that device. With a nil client it uses one that
// gives up after 30 s.
func NewAPI(url, deviceID string, token TokenProvider, httpClient *http.Client) *API {
	if httpClient == nil {
		httpClient = &http.Client{Timeout: 30 * time.Second}
	}
	direct := *httpClient
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &API{
		url: strings.TrimRight(url, "/"), deviceID: deviceID, tokens: newTokens(token), http: &direct,
		attempts: 5, first: 300 * time.Millisecond,
	}
}

// Request is one call, for what API has no method for.
type Request struct {
	Method         string
	Path           string // escaped, as /v1/threads
	Query          url.Values
	Body           any // written as JSON; nil for none
	IdempotencyKey string
	once           bool // no second attempt but for a token that was refused
}

// Do makes a call, and reads its answer into the value that out points to unless that is nil.
// It returns the header of the answer. A refusal is a *ProblemError.
func (a *API) Do(ctx context.Context, r Request, out any) (http.Header, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = json.Marshal(r.Body); err != nil {
			return nil, fmt.Errorf("write the body of %s: %w", r.Path, err)
		}
	}
	renewed := false
	for attempt := 0; ; attempt++ {
		token, err := a.tokens.get(ctx)
		if err != nil {
			return nil, err
		}
		header, err := a.once(ctx, r, body, token, out)
		var problem *ProblemError
		switch {
		case err == nil:
			return header, nil
		case errors.As(err, &problem) && problem.Status == http.StatusUnauthorized:
			if renewed {
				return nil, err
			}
			renewed = true
			if _, err := a.tokens.renewed(ctx, token); err != nil {
				return nil, err
			}
			continue
		case r.once || !passes(err) || attempt+1 >= a.attempts || ctx.Err() != nil || problem != nil && problem.RetryAfter > longestRetryAfter:
			return nil, err
		}
		wait := backoff(attempt, a.first, 10*time.Second)
		if problem != nil {
			wait = max(wait, time.Duration(problem.RetryAfter)*time.Second)
		}
		if err := pause(ctx, wait, nil); err != nil {
			return nil, err
		}
	}
}

func (a *API) once(ctx context.Context, r Request, body []byte, token string, out any) (http.Header, error) {
	address := a.url + r.Path
	if len(r.Query) > 0 {
		address += "?" + r.Query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("X-Device-Id", a.deviceID)
	if r.IdempotencyKey != "" {
		request.Header.Set("Idempotency-Key", r.IdempotencyKey)
	}
	if r.Body != nil {
		request.Header.Set("Content-Type", contracts.JSONContentType)
	}
	answer, err := a.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, answerLimit))
	if err != nil {
		return nil, fmt.Errorf("read the answer to %s: %w", r.Path, err)
	}
	if !succeeded(answer) {
		return nil, problemOf(answer, text)
	}
	if out != nil && len(text) > 0 {
		if err := json.Unmarshal(text, out); err != nil {
			return nil, fmt.Errorf("read the answer to %s: %w", r.Path, err)
		}
	}
	return answer.Header, nil
}

// succeeded reports whether the server has done what was asked of it. A 409 with the type of other
// answers is the Message that was sent before. What has another type is the page of a proxy, as of a
// network that wants a login first.
func succeeded(answer *http.Response) bool {
	switch answer.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusConflict:
		return strings.HasPrefix(answer.Header.Get("Content-Type"), contracts.JSONContentType)
	default:
		return answer.StatusCode == http.StatusNoContent
	}
}

// problemOf reads a refusal; the page of a proxy has only a status.
func problemOf(answer *http.Response, text []byte) *ProblemError {
	e := &ProblemError{RequestID: answer.Header.Get("X-Request-Id")}
	if json.Unmarshal(text, &e.Problem) != nil || e.Code == "" {
		e.Problem = contracts.Problem{Title: answer.Status}
	}
	e.Status = answer.StatusCode
	e.RetryAfter, _ = strconv.Atoi(answer.Header.Get("Retry-After")) // absent or a date: as if it were 0
	return e
}

package client

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strconv"

	"github.com/parleyhq/parley/contracts"
)

// The thread types and roles of docs/contract.md#threads.
const (
	OneToOne = "1_TO_1"
	Group    = "GROUP"

	RoleAdmin  = "admin"
	RoleMember = "member"
)

func get[T any](ctx context.Context, a *API, path string, query url.Values) (T, error) {
	var out T
	_, err := a.Do(ctx, Request{Method: http.MethodGet, Path: path, Query: query}, &out)
	return out, err
}

func call[T any](ctx context.Context, a *API, method, path string, body any) (T, error) {
	var out T
	_, err := a.Do(ctx, Request{Method: method, Path: path, Body: body}, &out)
	return out, err
}

func (a *API) do(ctx context.Context, method, path string, body any) error {
	_, err := a.Do(ctx, Request{Method: method, Path: path, Body: body}, nil)
	return err
}

func threadPath(id string) string  { return "/v1/threads/" + url.PathEscape(id) }
func messagePath(id string) string { return "/v1/messages/" + url.PathEscape(id) }

// query makes parameters of pairs, without those that have no value.
func query(pairs ...string) url.Values {
	v := make(url.Values)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}

// CreateThread makes a group, or gives the 1:1 with somebody, which is made if there is none
// (docs/contract.md#threads). The caller need not be listed. A title of "" is none.
func (a *API) CreateThread(ctx context.Context, threadType string, participants []string, title string) (contracts.Thread, error) {
	body := map[string]any{"type": threadType, "participants": append([]string{}, participants...)} // an array also if it is nil
	if title != "" {
		body["title"] = title
	}
	var out contracts.Thread
	_, err := a.Do(ctx, Request{Method: http.MethodPost, Path: "/v1/threads", Body: body, IdempotencyKey: rand.Text()}, &out)
	return out, err
}

// Threads gives one page of the caller's threads, latest activity first. The state is "inbox",
// "archived", "requests" or "" for all; the first page has the cursor "".
func (a *API) Threads(ctx context.Context, state, cursor string) (contracts.ThreadPage, error) {
	return get[contracts.ThreadPage](ctx, a, "/v1/threads", query("state", state, "cursor", cursor, "page_size", "100"))
}

// AllThreads gives all pages of Threads.
func (a *API) AllThreads(ctx context.Context, state string) ([]contracts.Thread, error) {
	var all []contracts.Thread
	for cursor := ""; ; {
		page, err := a.Threads(ctx, state, cursor)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Threads...)
		if page.NextCursor == nil {
			return all, nil
		}
		cursor = *page.NextCursor
	}
}

// Thread gives one thread with its participants.
func (a *API) Thread(ctx context.Context, id string) (contracts.Thread, error) {
	return get[contracts.Thread](ctx, a, threadPath(id), nil)
}

// MessageQuery says which messages a page should have (docs/contract.md#history). Zero members
// ask for nothing: the newest page.
type MessageQuery struct {
	Cursor      string
	Since       string // a message id: those after it, oldest first
	ContentType string
	PageSize    int
}

// Messages gives one page of a thread's messages, newest first.
func (a *API) Messages(ctx context.Context, thread string, q MessageQuery) (contracts.MessagePage, error) {
	size := ""
	if q.PageSize > 0 {
		size = strconv.Itoa(q.PageSize)
	}
	return get[contracts.MessagePage](ctx, a, threadPath(thread)+"/messages",
		query("cursor", q.Cursor, "since", q.Since, "content_type", q.ContentType, "page_size", size))
}

// Message gives one message with all of its content.
func (a *API) Message(ctx context.Context, thread, id string) (contracts.Message, error) {
	return get[contracts.Message](ctx, a, messagePath(id), query("thread_id", thread))
}

// EventPage is one page of a thread's log, oldest first (docs/contract.md#history).
type EventPage struct {
	Events       []Frame `json:"events"`
	NextSinceSeq *uint64 `json:"next_since_seq"` // nil: there are no more
	StoreID      string  `json:"store_id"`
}

// Events gives what happened in a thread after an event.
func (a *API) Events(ctx context.Context, thread string, sinceSeq uint64) (EventPage, error) {
	return get[EventPage](ctx, a, threadPath(thread)+"/events", query("since_seq", strconv.FormatUint(sinceSeq, 10), "page_size", "100"))
}

// MarkRead says that the user has read everything up to a message (docs/contract.md#receipts).
func (a *API) MarkRead(ctx context.Context, thread, upTo string) error {
	return a.do(ctx, http.MethodPost, threadPath(thread)+"/read", map[string]string{"up_to_msg_id": upTo})
}

// Receipts gives the state of a message for each of its recipients.
func (a *API) Receipts(ctx context.Context, id string) (contracts.Receipts, error) {
	return get[contracts.Receipts](ctx, a, messagePath(id)+"/receipts", nil)
}

// Edit gives a message new content (docs/contract.md#editing-and-deleting).
func (a *API) Edit(ctx context.Context, id string, ciphertext []byte) (contracts.Message, error) {
	return call[contracts.Message](ctx, a, http.MethodPatch, messagePath(id), map[string]any{"ciphertext": ciphertext})
}

// Delete makes a message a tombstone.
func (a *API) Delete(ctx context.Context, id string) error {
	return a.do(ctx, http.MethodDelete, messagePath(id), nil)
}

// React gives a message a reaction (docs/contract.md#reactions).
func (a *API) React(ctx context.Context, id, emoji string) (contracts.Message, error) {
	return call[contracts.Message](ctx, a, http.MethodPost, messagePath(id)+"/reactions", map[string]string{"emoji": emoji})
}

// Unreact takes a reaction back.
func (a *API) Unreact(ctx context.Context, id, emoji string) error {
	return a.do(ctx, http.MethodDelete, messagePath(id)+"/reactions/"+url.PathEscape(emoji), nil)
}

// Pins gives the pinned messages of a thread (docs/contract.md#pins).
func (a *API) Pins(ctx context.Context, thread string) (contracts.Pins, error) {
	return get[contracts.Pins](ctx, a, threadPath(thread)+"/pins", nil)
}

// Pin pins a message.
func (a *API) Pin(ctx context.Context, thread, message string) error {
	return a.do(ctx, http.MethodPost, threadPath(thread)+"/pins", map[string]string{"message_id": message})
}

// Unpin takes a pin away.
func (a *API) Unpin(ctx context.Context, thread, message string) error {
	return a.do(ctx, http.MethodDelete, threadPath(thread)+"/pins/"+url.PathEscape(message), nil)
}

// SetTitle names a group; "" takes the name away.
func (a *API) SetTitle(ctx context.Context, thread, title string) error {
	body := map[string]*string{"title": &title}
	if title == "" {
		body["title"] = nil
	}
	return a.do(ctx, http.MethodPatch, threadPath(thread), body)
}

// AddParticipant adds somebody to a group.
func (a *API) AddParticipant(ctx context.Context, thread, user string) error {
	return a.do(ctx, http.MethodPost, threadPath(thread)+"/participants", map[string]string{"user_id": user})
}

// RemoveParticipant removes somebody from a group; with the own id it means to leave.
func (a *API) RemoveParticipant(ctx context.Context, thread, user string) error {
	return a.do(ctx, http.MethodDelete, threadPath(thread)+"/participants/"+url.PathEscape(user), nil)
}

// SetRole makes a participant of a group an admin or a member.
func (a *API) SetRole(ctx context.Context, thread, user, role string) error {
	return a.do(ctx, http.MethodPatch, threadPath(thread)+"/participants/"+url.PathEscape(user), map[string]string{"role": role})
}

// SetMe changes what the user keeps of a thread for itself: the members of the change that are
// there, as {"archived": true} (docs/contract.md#own-state).
func (a *API) SetMe(ctx context.Context, thread string, change map[string]any) (contracts.Me, error) {
	return call[contracts.Me](ctx, a, http.MethodPatch, threadPath(thread)+"/me", change)
}

// Unread counts what the user has not read.
func (a *API) Unread(ctx context.Context) (contracts.UnreadCounts, error) {
	return get[contracts.UnreadCounts](ctx, a, "/v1/users/me/unread", nil)
}

// Presence says whether somebody is connected (docs/contract.md#presence-and-typing).
func (a *API) Presence(ctx context.Context, user string) (contracts.Presence, error) {
	return get[contracts.Presence](ctx, a, "/v1/users/"+url.PathEscape(user)+"/presence", nil)
}

// Block blocks somebody (docs/contract.md#blocks).
func (a *API) Block(ctx context.Context, user string) error {
	return a.do(ctx, http.MethodPut, "/v1/users/me/blocks/"+url.PathEscape(user), nil)
}

// Unblock ends a block.
func (a *API) Unblock(ctx context.Context, user string) error {
	return a.do(ctx, http.MethodDelete, "/v1/users/me/blocks/"+url.PathEscape(user), nil)
}

// Devices lists the user's own devices (docs/contract.md#devices).
func (a *API) Devices(ctx context.Context) (contracts.Devices, error) {
	return get[contracts.Devices](ctx, a, "/v1/users/me/devices", nil)
}

// RemoveDevice removes one of the user's devices.
func (a *API) RemoveDevice(ctx context.Context, device string) error {
	return a.do(ctx, http.MethodDelete, "/v1/users/me/devices/"+url.PathEscape(device), nil)
}

// Report tells the operators of a message (docs/contract.md#reports). A note of "" is none.
func (a *API) Report(ctx context.Context, message, reason, note string) (contracts.ReportReceipt, error) {
	body := map[string]string{"reason": reason}
	if note != "" {
		body["note"] = note
	}
	return call[contracts.ReportReceipt](ctx, a, http.MethodPost, messagePath(message)+"/reports", body)
}

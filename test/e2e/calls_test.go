package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"testing"
)

// The REST calls of a user. Each fails the test if the answer is not the one wanted.

func (d *device) createGroup(t testing.TB, others ...string) thread {
	t.Helper()
	var th thread
	d.must(t, http.StatusCreated, http.MethodPost, "/v1/threads",
		map[string]any{"type": "GROUP", "participants": append([]string{d.user}, others...)}).into(t, &th)
	return th
}

func (d *device) createOneToOne(t testing.TB, other string) thread {
	t.Helper()
	var th thread
	d.must(t, http.StatusCreated, http.MethodPost, "/v1/threads",
		map[string]any{"type": "1_TO_1", "participants": []string{d.user, other}}).into(t, &th)
	return th
}

// thread is one thread with its participants.
func (d *device) thread(t testing.TB, id string) thread {
	t.Helper()
	var th thread
	d.must(t, http.StatusOK, http.MethodGet, "/v1/threads/"+id, nil).into(t, &th)
	return th
}

func (d *device) add(t testing.TB, thread, user string) {
	t.Helper()
	d.must(t, http.StatusCreated, http.MethodPost, "/v1/threads/"+thread+"/participants", map[string]any{"user_id": user})
}

func (d *device) remove(t testing.TB, thread, user string) {
	t.Helper()
	d.must(t, http.StatusNoContent, http.MethodDelete, "/v1/threads/"+thread+"/participants/"+user, nil)
}

// send posts a message that has to be accepted.
func (d *device) send(t testing.TB, thread, text string) message {
	t.Helper()
	return d.sendOut(t, thread, outgoing{Ciphertext: []byte(text)})
}

// sendOut posts a message with any of its fields, which has to be accepted.
func (d *device) sendOut(t testing.TB, thread string, out outgoing) message {
	t.Helper()
	m, _, err := d.post(context.Background(), thread, out)
	if err != nil {
		t.Fatalf("sending as %s: %v", d.user, err)
	}
	return m
}

var errRefused = errors.New("refused")

// post sends; a status other than 202 is errRefused.
func (d *device) post(ctx context.Context, thread string, out outgoing) (message, http.Header, error) {
	a, err := d.try(ctx, thread, out)
	if err != nil {
		return message{}, nil, err
	}
	if a.status != http.StatusAccepted {
		return message{}, nil, fmt.Errorf("%w: %d %s", errRefused, a.status, a.body)
	}
	var m message
	return m, a.header, json.Unmarshal(a.body, &m)
}

// try posts a message and returns the answer, whatever it is.
func (d *device) try(ctx context.Context, thread string, out outgoing) (answer, error) {
	if out.ClientSeq == 0 {
		out.ClientSeq = d.sent.Add(1)
	}
	if out.Key == "" {
		out.Key = d.user + "-" + d.id + "-" + strconv.FormatInt(out.ClientSeq, 10)
	}
	return d.call(ctx, http.MethodPost, "/v1/threads/"+thread+"/messages", out, "Idempotency-Key", out.Key)
}

// resend posts a message, for the first time or again. The answer has to have the status
// and a message.
func (d *device) resend(t testing.TB, status int, thread string, out outgoing) (message, http.Header) {
	t.Helper()
	a, err := d.try(t.Context(), thread, out)
	if err != nil {
		t.Fatalf("sending as %s: %v", d.user, err)
	}
	if a.status != status || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("sending as %s: %d (%s), want %d with a message: %s", d.user, a.status, a.header.Get("Content-Type"), status, a.body)
	}
	var m message
	a.into(t, &m)
	return m, a.header
}

func (d *device) markRead(t testing.TB, thread, upTo string) {
	t.Helper()
	d.must(t, http.StatusNoContent, http.MethodPost, "/v1/threads/"+thread+"/read", map[string]any{"up_to_msg_id": upTo})
}

// message is one message as the caller sees it now.
func (d *device) message(t testing.TB, id string) message {
	t.Helper()
	var m message
	d.must(t, http.StatusOK, http.MethodGet, "/v1/messages/"+id, nil).into(t, &m)
	return m
}

func (d *device) edit(t testing.TB, id, text string) message {
	t.Helper()
	var m message
	d.must(t, http.StatusOK, http.MethodPatch, "/v1/messages/"+id, map[string]any{"ciphertext": []byte(text)}).into(t, &m)
	return m
}

func (d *device) del(t testing.TB, id string) {
	t.Helper()
	d.must(t, http.StatusNoContent, http.MethodDelete, "/v1/messages/"+id, nil)
}

func (d *device) react(t testing.TB, id, emoji string) message {
	t.Helper()
	var m message
	d.must(t, http.StatusOK, http.MethodPost, "/v1/messages/"+id+"/reactions", map[string]any{"emoji": emoji}).into(t, &m)
	return m
}

func (d *device) unreact(t testing.TB, id, emoji string) {
	t.Helper()
	d.must(t, http.StatusNoContent, http.MethodDelete, "/v1/messages/"+id+"/reactions/"+url.PathEscape(emoji), nil)
}

// receiptsOf gives the state of a message for each recipient.
func (d *device) receiptsOf(t testing.TB, messageID string) receipts {
	t.Helper()
	var r receipts
	d.must(t, http.StatusOK, http.MethodGet, "/v1/messages/"+messageID+"/receipts", nil).into(t, &r)
	return r
}

// receiptOf gives the state of a message for one recipient.
func (d *device) receiptOf(t testing.TB, messageID, recipient string) receipt {
	t.Helper()
	r := d.receiptsOf(t, messageID)
	for _, s := range r.States {
		if s.RecipientID == recipient {
			return s
		}
	}
	t.Fatalf("%s is no recipient of %s: %+v", recipient, messageID, r)
	return receipt{}
}

func (d *device) stateOf(t testing.TB, messageID, recipient string) string {
	t.Helper()
	return d.receiptOf(t, messageID, recipient).State
}

// history is every message of a thread, oldest first.
func (d *device) history(t testing.TB, threadID string) []message {
	t.Helper()
	var all []message
	for cursor := ""; ; {
		var page struct {
			Messages   []message `json:"messages"`
			NextCursor *string   `json:"next_cursor"`
		}
		d.must(t, http.StatusOK, http.MethodGet, "/v1/threads/"+threadID+"/messages?page_size=100"+cursor, nil).into(t, &page)
		for _, m := range page.Messages {
			all = append([]message{m}, all...)
		}
		if page.NextCursor == nil {
			return all
		}
		cursor = "&cursor=" + *page.NextCursor
	}
}

// since is every message that came after one, oldest first.
func (d *device) since(t testing.TB, threadID, messageID string) []message {
	t.Helper()
	var all []message
	for query := "since=" + messageID; ; {
		var page struct {
			Messages   []message `json:"messages"`
			NextCursor *string   `json:"next_cursor"`
		}
		d.must(t, http.StatusOK, http.MethodGet, "/v1/threads/"+threadID+"/messages?page_size=100&"+query, nil).into(t, &page)
		all = append(all, page.Messages...)
		if page.NextCursor == nil {
			return all
		}
		query = "cursor=" + url.QueryEscape(*page.NextCursor)
	}
}

// events is a thread's log after a seq, read in pages of that size. Each event is checked
// against asyncapi.yaml.
func (d *device) events(t testing.TB, threadID string, after uint64, pageSize int) []frame {
	t.Helper()
	var all []frame
	for last := after; ; {
		var page struct {
			Events       []json.RawMessage `json:"events"`
			NextSinceSeq *uint64           `json:"next_since_seq"`
		}
		path := fmt.Sprintf("/v1/threads/%s/events?since_seq=%d&page_size=%d", threadID, last, pageSize)
		d.must(t, http.StatusOK, http.MethodGet, path, nil).into(t, &page)
		if len(page.Events) > pageSize {
			t.Fatalf("%s has %d events", path, len(page.Events))
		}
		for _, raw := range page.Events {
			f := eventFrame(t, raw)
			if f.Seq <= last || f.ThreadID != threadID {
				t.Fatalf("%s: %s came after seq %d", path, raw, last)
			}
			last = f.Seq
			all = append(all, f)
		}
		if page.NextSinceSeq == nil {
			return all
		}
		if len(page.Events) == 0 && *page.NextSinceSeq <= last {
			t.Fatalf("%s leads nowhere: next_since_seq is %d", path, *page.NextSinceSeq)
		}
		last = *page.NextSinceSeq
	}
}

// eventFrame makes an event of a page into the frame that a connection would get.
func eventFrame(t testing.TB, raw []byte) frame {
	t.Helper()
	numbered := slices.Concat(raw[:len(raw)-1], []byte(`,"frame_seq":1}`))
	if err := checkFrame(numbered); err != nil {
		t.Errorf("an event is no frame: %v\n%s", err, raw)
	}
	f := frame{raw: numbered}
	if err := json.Unmarshal(numbered, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// pin is one of a thread's pinned messages.
type pin struct {
	MessageID string `json:"message_id"`
	PinnedBy  string `json:"pinned_by"`
	PinnedAt  string `json:"pinned_at"`
}

// pin pins a message, which has to be answered with the status.
func (d *device) pin(t testing.TB, status int, threadID, messageID string) pin {
	t.Helper()
	var p pin
	d.must(t, status, http.MethodPost, "/v1/threads/"+threadID+"/pins", map[string]any{"message_id": messageID}).into(t, &p)
	return p
}

func (d *device) unpin(t testing.TB, threadID, messageID string) {
	t.Helper()
	d.must(t, http.StatusNoContent, http.MethodDelete, "/v1/threads/"+threadID+"/pins/"+messageID, nil)
}

// pins are the ids of a thread's pinned messages.
func (d *device) pins(t testing.TB, threadID string) []string {
	t.Helper()
	var page struct {
		Pins []pin `json:"pins"`
	}
	d.must(t, http.StatusOK, http.MethodGet, "/v1/threads/"+threadID+"/pins", nil).into(t, &page)
	ids := []string{}
	for _, p := range page.Pins {
		ids = append(ids, p.MessageID)
	}
	return ids
}

func (d *device) block(t testing.TB, user string) {
	t.Helper()
	d.must(t, http.StatusNoContent, http.MethodPut, "/v1/users/me/blocks/"+user, nil)
}

func (d *device) unblock(t testing.TB, user string) {
	t.Helper()
	d.must(t, http.StatusNoContent, http.MethodDelete, "/v1/users/me/blocks/"+user, nil)
}

// refused makes a request, which may break openapi.yaml, and checks that it is refused
// with that status and code.
func (d *device) refused(t testing.TB, status int, code, method, path string, body any, header ...string) answer {
	t.Helper()
	a, err := d.callBy(t.Context(), wrongClient, method, path, body, header...)
	if err != nil {
		t.Errorf("%s %s as %s: %v", method, path, d.user, err)
		return a
	}
	var problem struct {
		Status int    `json:"status"`
		Code   string `json:"code"`
	}
	_ = json.Unmarshal(a.body, &problem)
	if a.status != status || problem.Status != status || problem.Code != code {
		t.Errorf("%s %s as %s: %d %s, want %d %s", method, path, d.user, a.status, a.body, status, code)
	}
	if again, _ := strconv.Atoi(a.header.Get("Retry-After")); (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) && again < 1 {
		t.Errorf("%s %s as %s: %d with Retry-After %q", method, path, d.user, status, a.header.Get("Retry-After"))
	}
	return a
}

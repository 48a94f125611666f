package client_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/client"
	"github.com/parleyhq/parley/contracts"
	"github.com/parleyhq/parley/test/process"
)

// A message whose client_seq was used for another content is not sent yet, whatever has become of
// that content. Where the content is the same, it is sent.
func TestAClientSeqThatWasUsedBefore(t *testing.T) {
	s := process.Start(t)
	changes := map[string]func(*person, string) error{
		"as it was": func(*person, string) error { return nil },
		"deleted":   func(p *person, id string) error { return p.API.Delete(t.Context(), id) },
		"edited": func(p *person, id string) error {
			_, err := p.API.Edit(t.Context(), id, []byte("better"))
			return err
		},
	}
	for name, transport := range transports(s) {
		for change, made := range changes {
			for _, text := range []string{"used", "another"} {
				t.Run(name+" "+change+" "+text, func(t *testing.T) {
					// The counter goes on from the greatest client_seq that the store has.
					next := time.Now().Add(time.Hour).UnixMilli()
					store := client.NewMemoryStore()
					if err := store.PutOutgoing(t.Context(), client.Outgoing{
						N: 1, Body: client.SendBody{ClientSeq: next - 1}, Problem: &contracts.Problem{Code: chat.CodeInvalidRequest},
					}); err != nil {
						t.Fatal(err)
					}
					ann := join(t, s, "ann-"+name, transport, func(o *client.Options) { o.Store = store })
					thread := ann.create(t, client.Group)
					var used contracts.Message
					if _, err := ann.API.Do(t.Context(), client.Request{
						Method: http.MethodPost, Path: "/v1/threads/" + thread + "/messages", IdempotencyKey: "used",
						Body: client.SendBody{ClientSeq: next, Ciphertext: []byte("used")},
					}, &used); err != nil {
						t.Fatal(err)
					}
					if err := made(ann, used.ID); err != nil {
						t.Fatal(err)
					}
					if item := ann.say(t, thread, text); item.Body.ClientSeq != next {
						t.Fatalf("the message has client_seq %d, that which was used is %d", item.Body.ClientSeq, next)
					}
					ann.flush(t)
					page, err := ann.API.Messages(t.Context(), thread, client.MessageQuery{})
					if err != nil {
						t.Fatal(err)
					}
					newest, want := page.Messages[0], 2
					if text == "used" {
						want = 1
					} else if string(newest.Ciphertext) != text {
						t.Errorf("the newest message is %q", newest.Ciphertext)
					}
					if len(page.Messages) != want {
						t.Errorf("%d messages are stored, want %d", len(page.Messages), want)
					}
				})
			}
		}
	}
}

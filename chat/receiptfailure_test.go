package chat_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/parleyhq/parley/chat"
)

// A receipt moves a mark once. Whatever fails on the way, the try that moved it has told of
// it, or the retry moves it.
func TestAReceiptThatIsTriedAgainIsTold(t *testing.T) {
	for name, use := range map[string]func(context.Context, *chat.Service, []chat.Event) error{
		"delivered": func(ctx context.Context, s *chat.Service, sent []chat.Event) error {
			return s.Acknowledge(ctx, "bob", "phone", ackOf(sent[1:]...)) // with a gap before it
		},
		"read": func(ctx context.Context, s *chat.Service, sent []chat.Event) error {
			return s.MarkRead(ctx, as("bob"), sent[1].Thread, sent[1].ID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.newGroup("alice", "bob", "carol")
			for good := int64(0); ; good++ {
				sent := []chat.Event{w.send("carol", id, "gap"), w.send("alice", id, "hello")}
				w.change("bob", id, chat.StateChange{MarkedUnread: new(true)})
				w.heard.drain()
				flaky := &flakyReads{Store: w.store}
				flaky.good.Store(good)
				s := chat.New(chat.Config{Store: flaky, Bus: w.bus, Now: w.clock.Now})
				err := use(t.Context(), s, sent)
				if err != nil {
					unavailable(t, err, errDisk)
					must(t, use(t.Context(), s, sent))
				}
				s.Close(context.Background())
				r, audience := w.heard.receipt(t)
				what := fmt.Sprintf("after %d reads: ", good)
				same(t, what+"receipt up to", r.Message, sent[1].ID)
				if r.Kind == chat.Delivered {
					sameList(t, what+"audience", audience, "alice", "carol")
				}
				if r.Kind == chat.Read {
					same(t, what+"marked as unread", w.me("bob", id).MarkedUnread, false)
				}
				if err == nil {
					same(t, "it reads at all", good > 0, true)
					return
				}
			}
		})
	}
}

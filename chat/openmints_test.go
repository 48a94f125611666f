package chat_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parleyhq/parley/chat"
)

// An append holds back the closed id from before its ids are made until it is published,
// and for as long as its outcome is unknown.
func TestClosedIDWaitsForAppends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.newGroup("alice", "bob")
		w.heard.drain()
		var minted chat.EventID
		covered := func(what string, want bool) {
			t.Helper()
			w.clock.advance(time.Second)
			st := w.Standing()
			same(t, what+": the id is below the closed one", minted.Compare(st.Closed) < 0, want)
			same(t, what+": something is open", st.Open, !want)
		}
		published := w.bus.Subscribe(onNotice(func(n chat.Notice) {
			minted = n.Event.ID
			covered("while it is published", false)
		}))
		heal := w.store.failAppends(func(ctx context.Context, events []chat.Event, commit appendCall) (int, error) {
			minted = events[0].ID
			covered("while it is stored", false)
			n, err := commit(ctx, events)
			covered("between storing and publishing", false)
			return n, err
		})
		w.send("alice", id, "one")
		published()
		synctest.Wait()
		covered("published", true)
		heal()

		heal = w.store.failAppends(func(_ context.Context, events []chat.Event, _ appendCall) (int, error) {
			minted = events[0].ID
			return 0, errDisk
		})
		_, err := w.Send(t.Context(), as("alice"), w.request(id, "lost"))
		unavailable(t, err, errDisk)
		heal()
		covered("in doubt", false)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		covered("in doubt for 20 s", false)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		covered("in doubt for too long", true)
		same(t, "the node began before", w.Standing().Began.Compare(w.log(id)[0].ID) < 0, true)
	})
}

func TestClosedIDWaitsForCreations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		late := &lateCreations{Store: w.store}
		s := chat.New(chat.Config{Store: late, Bus: w.bus, Now: w.clock.Now})
		defer s.Close(context.Background())
		_, _, err := s.CreateThread(t.Context(), as("alice"), chat.CreateThread{Type: chat.Group, Participants: []chat.UserID{"bob"}})
		unavailable(t, err, errDisk)
		w.clock.advance(time.Second)
		st := s.Standing()
		same(t, "the creation in doubt is below the closed id", late.created.ID.Compare(st.Closed) < 0, false)
		must(t, w.store.CreateThread(t.Context(), late.created))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		w.clock.advance(time.Second)
		st = s.Standing()
		same(t, "one that is known and told is below it", late.created.ID.Compare(st.Closed) < 0, true)
	})
}

// onNotice is a handler of notices alone.
type onNotice func(chat.Notice)

func (f onNotice) HandleNotice(n chat.Notice) { f(n) }
func (f onNotice) HandleLoss()                {}

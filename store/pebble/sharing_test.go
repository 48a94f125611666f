package pebble

import (
	"fmt"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// Whether two share a thread takes as many seeks as the one has threads that has fewer,
// however many the other has, and one look-up if the two have a 1:1. Of those blocked among
// few people, few are looked up, however many there are.
func TestLookUpsDoNotGrowWithWhatIsThere(t *testing.T) {
	c := newCosted(t, 2, 0)
	const threads, blocks = 3270, 3270
	for i := range threads {
		e := creationOf(chat.Group, 0, "busy", chat.UserID(fmt.Sprintf("other%d", i%100)))
		e.Thread = chat.ThreadID{0: 1, 14: byte(i >> 8), 15: byte(i)}
		create(t, c.Store, e)
	}
	create(t, c.Store, creationOf(chat.OneToOne, 2, "busy", "friend"))
	for i := range blocks {
		c.must(c.PutBlock(t.Context(), chat.Block{User: "busy", Blocked: chat.UserID(fmt.Sprintf("foe%04d", i)), At: testTime}))
	}
	share := func(a, b chat.UserID, want bool) cost {
		t.Helper()
		c.costs.take()
		began := time.Now()
		got, err := c.ShareThread(t.Context(), a, b)
		took := time.Since(began)
		c.must(err)
		if got != want {
			t.Errorf("%s and %s share a thread: %v", a, b, got)
		}
		spent := c.costs.take()
		t.Logf("of %d threads: does %s share one with %s: %+v, %v", threads, a, b, spent, took)
		return spent
	}
	for _, pair := range [][2]chat.UserID{{"busy", "user000"}, {"user000", "busy"}} {
		if spent := share(pair[0], pair[1], false); spent.Gets != 1 || spent.Ranges != 2 || spent.Steps > 3 {
			t.Errorf("a stranger costs %+v", spent)
		}
	}
	if spent := share("busy", "friend", true); spent != (cost{Gets: 1}) {
		t.Errorf("the other one of a 1:1 costs %+v", spent)
	}
	if spent := share("other7", "busy", true); spent.Steps > 2*threads/100 {
		t.Errorf("a companion costs %+v", spent)
	}
	c.costs.take()
	blocked, err := c.BlockedAmong(t.Context(), "busy", []chat.UserID{"other1", "foe0007", "other2"})
	if spent := c.costs.take(); err != nil || len(blocked) != 1 || blocked[0] != "foe0007" || spent.Gets != 3 || spent.Steps > 1 {
		t.Errorf("among three people of %d blocked: %v, %v at %+v", blocks, blocked, err, spent)
	}
	page, err := c.Blocks(t.Context(), "busy", "foe0100", 50)
	if spent := c.costs.take(); err != nil || len(page) != 50 || page[0].Blocked != "foe0101" || spent.Steps != 50 {
		t.Errorf("a page of %d blocks: %d, %v at %+v", blocks, len(page), err, spent)
	}
}

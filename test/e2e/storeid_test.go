package e2e

import (
	"fmt"
	"net/http"
	"testing"
)

// storeIDOf is the id that the server's store has by what it tells in all places
// (docs/contract.md#names), which have to agree.
func storeIDOf(t *testing.T, d *device, thread string) string {
	t.Helper()
	line := jsonProtocol.live(t, d, options{})
	hello := line.all()[0]
	if hello.T != "hello" || hello.FrameSeq != 1 {
		t.Fatalf("the first frame is %v, want hello", hello)
	}
	line.close()
	for _, p := range oneOfEach {
		line := p.open(t, d, options{})
		if end := line.untilType(t, "caught_up"); end.StoreID != hello.StoreID {
			t.Errorf("%s: caught_up has store_id %q, hello %q", p.name, end.StoreID, hello.StoreID)
		}
		line.close()
	}
	ack := dialRaw(t, d.srv, mqtt5).accepted(t, helloOf(d))
	if user := ack.props.User; len(user) != 1 || user[0].Key != "store_id" || user[0].Value != hello.StoreID {
		t.Errorf("CONNACK has the user properties %v, want store_id %s", user, hello.StoreID)
	}
	silent := helloOf(d)
	silent.noProblems = true
	if user := dialRaw(t, d.srv, mqtt5).accepted(t, silent).props.User; len(user) != 1 || user[0].Value != hello.StoreID {
		t.Errorf("a client that wants no problem information gets the user properties %v", user)
	}
	for _, since := range []int{0, 1, 1000} {
		var page struct {
			StoreID string `json:"store_id"`
		}
		path := fmt.Sprintf("/v1/threads/%s/events?since_seq=%d&page_size=1", thread, since)
		d.must(t, http.StatusOK, http.MethodGet, path, nil).into(t, &page)
		if page.StoreID != hello.StoreID {
			t.Errorf("the page since %d has store_id %q, want %s", since, page.StoreID, hello.StoreID)
		}
	}
	return hello.StoreID
}

// The store's id is told at every connect and with every page of events, and stays the same
// over a restart.
func TestStoreIDIsToldEverywhere(t *testing.T) {
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	thread := ann.createGroup(t).ID
	id := storeIDOf(t, ann, thread)
	s.stop(t)
	s.start(t)
	if after := storeIDOf(t, ann, thread); after != id {
		t.Errorf("after a restart the store is %s, was %s", after, id)
	}
}

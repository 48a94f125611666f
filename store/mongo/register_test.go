package mongo

import (
	"slices"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

func standing(n chat.NodeID) chat.Standing {
	return chat.Standing{
		Node: n, Began: chat.EventIDAt(time.Unix(int64(n%1000), 0)), Closed: chat.EventIDAt(time.Unix(int64(n%1000)+5, 0)),
		Skew: -time.Duration(n%1000) * time.Millisecond,
	}
}

// A node is listed as long as it says that it lives, by the database's clock, and no longer
// once it has left.
func TestRegister(t *testing.T) {
	server := mongod.Shared(t)
	s := open(t, server, server.URI(), Options{}).Store
	ctx := t.Context()
	live := func(n chat.NodeID, want ...chat.NodeID) {
		t.Helper()
		own := standing(n)
		all, err := s.Live(ctx, own)
		var got []chat.NodeID
		for _, st := range all {
			got = append(got, st.Node)
			if st != standing(st.Node) {
				t.Errorf("%d is said to stand as %+v", st.Node, st)
			}
		}
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d lists %v, %v; want %v", n, got, err, want)
		}
	}
	live(5, 5)
	live(1<<62, 5, 1<<62)
	live(5, 5, 1<<62)
	age := func(n int64, by time.Duration) {
		t.Helper()
		doc, found, err := findOne[nodeDoc](ctx, s.nodes, d("_id", n))
		if err != nil || !found {
			t.Fatal(err)
		}
		if _, err := s.nodes.UpdateByID(ctx, n, d("$set", d("at", doc.At.Add(-by)))); err != nil {
			t.Fatal(err)
		}
	}
	age(1<<62, 2*chat.LiveFor)
	live(5, 5)
	live(1<<62, 5, 1<<62) // it was only slow
	age(1<<62, 2*rememberNodes)
	live(5, 5)
	if _, found, err := findOne[nodeDoc](ctx, s.nodes, d("_id", int64(1<<62))); found || err != nil {
		t.Errorf("a node of long ago is remembered: %v", err)
	}
	live(7, 5, 7)
	if err := s.Leave(ctx, 7); err != nil {
		t.Fatal(err)
	}
	live(5, 5)
}

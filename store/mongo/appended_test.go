package mongo

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

// nodes are two nodes on one database, of which the second's commands are counted.
type nodes struct {
	t    *testing.T
	a, b *chat.Service
	of   *Store // of a
	s    *Store // of b
	sent *commands
	keys int
}

func newNodes(t *testing.T) *nodes {
	n := &nodes{t: t, sent: new(commands)}
	server := mongod.Shared(t)
	uri := server.URI()
	n.of = open(t, server, uri, Options{Node: 7}).Store
	n.a = n.service(n.of)
	n.s = open(t, server, uri, Options{Node: 8, monitor: n.sent.monitor()}).Store
	n.b = n.service(n.s)
	return n
}

func (n *nodes) service(s *Store) *chat.Service {
	svc := chat.New(chat.Config{Store: s, Bus: silent{}})
	n.t.Cleanup(func() { svc.Close(context.Background()) })
	return svc
}

func (n *nodes) group(at *chat.Service, users ...chat.UserID) chat.ThreadID {
	n.t.Helper()
	v, _, err := at.CreateThread(n.t.Context(), user(users[0]), chat.CreateThread{Type: chat.Group, Participants: users[1:]})
	n.must(err)
	return v.ID
}

func (n *nodes) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *nodes) send(at *chat.Service, by chat.UserID, thread chat.ThreadID) {
	n.t.Helper()
	n.keys++
	_, err := at.Send(n.t.Context(), user(by), chat.SendRequest{
		Thread: thread, IdempotencyKey: strconv.Itoa(n.keys), ClientSeq: int64(n.keys), Ciphertext: []byte("text"),
	})
	n.must(err)
}

// appended asks for all of the first node, and wants these threads with these users.
func (n *nodes) appended(from chat.EventID, want map[chat.ThreadID][]chat.UserID) {
	n.t.Helper()
	found, next, err := n.s.AppendedBy(n.t.Context(), 7, from, 100)
	if err != nil || next != (chat.EventID{}) {
		n.t.Fatalf("it goes on from %v, %v", next, err)
	}
	got := make(map[chat.ThreadID][]chat.UserID)
	for _, of := range found {
		slices.Sort(of.Users)
		got[of.Thread] = of.Users
		events, err := n.s.Events(n.t.Context(), of.Thread, of.Seq-1, of.Seq, chat.Limit{Count: 1, Bytes: 1})
		if err != nil || len(events) != 1 || events[0].ID != of.ID {
			n.t.Errorf("event %d of thread %s is not %s: %v, %v", of.Seq, of.Thread, of.ID, events, err)
		}
	}
	if !reflect.DeepEqual(got, want) {
		n.t.Errorf("found %v, want %v", got, want)
	}
}

func TestAppendedByFindsExactlyWhatANodeMade(t *testing.T) {
	n := newNodes(t)
	users := func(u ...chat.UserID) []chat.UserID { return u }
	theirs := n.group(n.a, "ann", "bob")
	own := n.group(n.b, "ann", "cyd")
	from := n.a.Standing().Closed
	n.send(n.b, "ann", theirs)
	n.send(n.b, "ann", own)
	n.appended(from, map[chat.ThreadID][]chat.UserID{})
	n.send(n.a, "ann", own)
	n.appended(from, map[chat.ThreadID][]chat.UserID{own: users("ann", "cyd")})
	n.send(n.a, "bob", theirs)
	n.must(n.a.RemoveParticipant(t.Context(), user("ann"), own, "cyd"))
	n.send(n.b, "ann", own)
	n.appended(from, map[chat.ThreadID][]chat.UserID{theirs: users("ann", "bob"), own: users("ann", "cyd")})
	n.appended(n.a.Standing().Closed, map[chat.ThreadID][]chat.UserID{})
	var parts []chat.ThreadID
	for next := from; ; {
		found, goOn, err := n.s.AppendedBy(t.Context(), 7, next, 1)
		if err != nil || len(found) > 1 {
			t.Fatalf("of one event are found %v, %v", found, err)
		}
		for _, of := range found {
			parts = append(parts, of.Thread)
		}
		if next = goOn; next == (chat.EventID{}) {
			break
		}
	}
	if !slices.Equal(parts, []chat.ThreadID{own, theirs, own}) {
		t.Errorf("one event at a time, %v are found", parts)
	}
}

// Of a node that died between adding somebody and the follow-up writes, the one added is found.
func TestAppendedBySettlesMembership(t *testing.T) {
	n := newNodes(t)
	id := n.group(n.a, "ann", "bob")
	from := n.a.Standing().Closed
	thread, err := n.s.Thread(t.Context(), id)
	n.must(err)
	added := chat.Event{
		Thread: id, Seq: thread.Head.Seq + 1, ID: chat.NextInOrder(from), At: thread.CreatedAt, Kind: chat.KindThread, By: "ann", Device: "phone",
		Change: &chat.ThreadChange{Event: chat.ParticipantAdded, User: "cyd"},
	}
	doc := n.of.newEventDoc(added, headState{Head: thread.Head, changed: thread.Head.Seq})
	if _, err := n.s.log.InsertOne(t.Context(), doc); err != nil {
		t.Fatal(err)
	}
	n.appended(from, map[chat.ThreadID][]chat.UserID{id: {"ann", "bob", "cyd"}})
}

// A repair of 200 threads takes two commands, however many devices are connected.
func TestCostOfARepair(t *testing.T) {
	n := newNodes(t)
	const threads = 200
	want := make(map[chat.ThreadID][]chat.UserID)
	var ids []chat.ThreadID
	for i := range threads {
		a, b := chat.UserID(fmt.Sprintf("a%d", i)), chat.UserID(fmt.Sprintf("b%d", i))
		id := n.group(n.b, a, b)
		ids, want[id] = append(ids, id), []chat.UserID{a, b}
	}
	from := n.a.Standing().Closed
	for i, id := range ids {
		n.send(n.a, chat.UserID(fmt.Sprintf("a%d", i)), id)
	}
	n.sent.take()
	found, _, err := n.s.AppendedBy(t.Context(), 7, from, 10*threads)
	if err != nil || len(found) != threads {
		t.Fatalf("%d threads are found, %v", len(found), err)
	}
	if got := n.sent.take(); got != (cost{Reads: 2}) {
		t.Errorf("it took %+v", got)
	}
}

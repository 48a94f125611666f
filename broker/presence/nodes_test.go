package presence

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parleyhq/parley/chat"
)

// town is several nodes with a tracker each. What they tell each other, and what they announce,
// goes to all at once, unless it is lost.
type town struct {
	t        *testing.T
	trackers map[chat.NodeID]*Tracker
	loses    bool

	mu    sync.Mutex
	said  []string // by which node
	heard []string // what the connections to node 1 were told
	seen  map[chat.UserID]time.Time
}

// townNode is the Chat of one of them.
type townNode struct {
	announcements
	town *town
	node chat.NodeID
}

func describe(p chat.Presence) string {
	if p.Online {
		return string(p.User) + " is online"
	}
	return string(p.User) + " is offline"
}

func (n *townNode) AnnouncePresence(_ context.Context, p chat.Presence) error {
	n.town.mu.Lock()
	n.town.said = append(n.town.said, fmt.Sprint(n.node, ": ", describe(p)))
	n.town.mu.Unlock()
	for node, tr := range n.town.live() {
		if news := tr.Heard(p); news && node == 1 {
			n.town.mu.Lock()
			n.town.heard = append(n.town.heard, describe(p))
			n.town.mu.Unlock()
		}
	}
	return nil
}

func newTown(t *testing.T, nodes ...chat.NodeID) *town {
	w := &town{t: t, trackers: make(map[chat.NodeID]*Tracker), seen: make(map[chat.UserID]time.Time)}
	for _, node := range nodes {
		w.trackers[node] = New(Config{
			Chat: &townNode{town: w, node: node}, Log: slog.New(slog.DiscardHandler), Node: node, Grace: 10 * time.Second, Now: time.Now,
			Spawn: func(f func(context.Context)) { go f(t.Context()) },
			Tell:  func(n chat.NodeNotice) { w.tell(node, n) },
			PutLastSeen: func(_ context.Context, u chat.UserID, at time.Time) error {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.seen[u] = at
				return nil
			},
		})
		t.Cleanup(w.trackers[node].Close)
	}
	for _, node := range nodes {
		w.compare(node)
	}
	return w
}

// tell has all other nodes take what one tells.
func (w *town) tell(from chat.NodeID, n chat.NodeNotice) {
	for node, tr := range w.live() {
		if node == from || w.loses {
			continue
		}
		tr.Alive(from)
		switch {
		case n.Admitted != nil:
			tr.CameElsewhere(from, *n.Admitted)
		case n.Left != nil:
			tr.LeftElsewhere(from, *n.Left)
		case n.Ask != nil && n.Ask.Node == node:
			tr.Answer(n.Ask.Shards)
		case n.Shard != nil:
			tr.Replace(from, *n.Shard)
		case n.Sums != nil:
			tr.Compare(from, n.Sums.Sums)
		}
	}
}

func (w *town) compare(node chat.NodeID) {
	w.tell(node, chat.NodeNotice{Sums: &chat.ConnectionSums{Sums: w.trackers[node].Sums()}})
}

func (w *town) comes(node chat.NodeID, c chat.Connection) {
	w.trackers[node].Came(c)
	w.tell(node, chat.NodeNotice{Admitted: &c})
}

func (w *town) goes(node chat.NodeID, c chat.Connection) {
	w.trackers[node].Left(c)
	w.tell(node, chat.NodeNotice{Left: &c})
}

// live are the nodes that are not dead.
func (w *town) live() map[chat.NodeID]*Tracker {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.trackers)
}

// dies is the end of a node, and what the others notice of it.
func (w *town) dies(node chat.NodeID) {
	w.mu.Lock()
	dead := w.trackers[node]
	delete(w.trackers, node)
	w.mu.Unlock()
	dead.Close()
	for _, tr := range w.live() {
		tr.NodeGone(node)
	}
}

// take gives what was announced and heard since the last time.
func (w *town) take() (said, heard []string) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	said, heard = w.said, w.heard
	w.said, w.heard = nil, nil
	return said, heard
}

// want sees what those who are connected to node 1 heard, of at most so many announcements.
func (w *town) want(most int, heard ...string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.said) > most || !slices.Equal(w.heard, heard) {
		w.t.Fatalf("announced were %q, heard were %q; want at most %d announcements, and %q", w.said, w.heard, most, heard)
	}
}

func (w *town) wantOnline(user chat.UserID, want bool) {
	w.t.Helper()
	for node, tr := range w.trackers {
		if got := tr.Online(user); got != want {
			w.t.Errorf("for node %d it is %v that %s is online", node, got, user)
		}
	}
}

func device(user chat.UserID, name chat.DeviceID, n chat.Conn) chat.Connection {
	return chat.Connection{User: user, Device: name, Conn: n}
}

// A user is announced once when it comes and once when it goes, whatever it does on how many
// nodes in between.
func TestUserOfSeveralNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 1, 2, 3)
		w.comes(2, device("ann", "phone", 1))
		w.want(1, "ann is online")
		w.wantOnline("ann", true)
		w.comes(3, device("ann", "phone", 2)) // it moves: the older connection goes
		w.goes(2, device("ann", "phone", 1))
		w.goes(3, device("ann", "phone", 2))
		time.Sleep(9 * time.Second)
		w.comes(2, device("ann", "web", 1)) // another one, within the grace
		time.Sleep(time.Minute)
		w.want(1, "ann is online")
		w.wantOnline("ann", true)
		w.goes(2, device("ann", "web", 1))
		time.Sleep(9 * time.Second)
		w.want(1, "ann is online")
		time.Sleep(2 * time.Second)
		w.want(2, "ann is online", "ann is offline")
		w.wantOnline("ann", false)
	})
}

// Two devices that come to two nodes at once, and go at once, may be announced twice. Nobody
// is told twice.
func TestTwoNodesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 1, 2, 3)
		phone, web := device("ann", "phone", 1), device("ann", "web", 1)
		w.trackers[2].Came(phone) // neither knows of the other
		w.trackers[3].Came(web)
		w.tell(2, chat.NodeNotice{Admitted: &phone})
		w.tell(3, chat.NodeNotice{Admitted: &web})
		w.want(2, "ann is online")
		w.trackers[2].Left(phone)
		w.trackers[3].Left(web)
		w.tell(2, chat.NodeNotice{Left: &phone})
		w.tell(3, chat.NodeNotice{Left: &web})
		time.Sleep(11 * time.Second)
		w.want(4, "ann is online", "ann is offline")
		w.wantOnline("ann", false)
		w.comes(2, phone)
		w.want(5, "ann is online", "ann is offline", "ann is online")
	})
}

// A user who comes back elsewhere while it is announced as gone is announced as online again.
func TestComingBackWhileAnnouncedAsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 1, 2)
		w.comes(1, device("ann", "phone", 1))
		w.goes(1, device("ann", "phone", 1))
		time.Sleep(10*time.Second - 1)
		w.trackers[2].Came(device("ann", "phone", 2)) // node 1 does not know it in time
		time.Sleep(time.Second)
		w.tell(2, chat.NodeNotice{Admitted: new(device("ann", "phone", 2))})
		w.want(3, "ann is online", "ann is offline", "ann is online")
		w.wantOnline("ann", true)
	})
}

// What nodes tell each other may be lost: the sums show it, and the shard is asked for.
func TestLostNoticesShowInTheSums(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 1, 2)
		w.comes(2, device("ann", "phone", 1))
		w.comes(2, device("bob", "phone", 1))
		w.loses = true
		w.goes(2, device("ann", "phone", 1))
		for i := range 5000 { // more than one notice holds
			w.trackers[2].Came(device("cyd", chat.DeviceID(fmt.Sprint("d", i)), 1))
		}
		w.comes(2, device("bob", "phone", 2))
		w.loses = false
		if got := w.trackers[1].Elsewhere("cyd"); len(got) > 0 {
			t.Fatalf("node 1 knows %v", got)
		}
		w.compare(2)
		if got := w.trackers[1].Elsewhere("bob"); !slices.Equal(got, []chat.Connection{device("bob", "phone", 2)}) {
			t.Errorf("of bob node 1 knows %v", got)
		}
		if got := w.trackers[1].Elsewhere("cyd"); len(got) != 5000 {
			t.Errorf("of cyd node 1 knows %d", len(got))
		}
		if got := w.trackers[1].Elsewhere("ann"); len(got) != 0 {
			t.Errorf("of ann node 1 knows %v", got)
		}
		asked := false
		w.trackers[1].cfg.Tell = func(chat.NodeNotice) { asked = true }
		w.compare(2)
		if asked {
			t.Error("node 1 asks again")
		}
	})
}

// A node that was silent for so long that it was taken for dead shows its connections: its users
// are announced again, once.
func TestNodeThatWasTakenForDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 1, 2, 3)
		for _, u := range []chat.UserID{"ann", "bob", "cyd", "dan"} {
			w.comes(2, device(u, "phone", 1))
		}
		w.take()
		frozen := w.trackers[2]
		w.mu.Lock()
		delete(w.trackers, 2)
		w.mu.Unlock()
		for _, tr := range w.live() {
			tr.NodeGone(2)
		}
		time.Sleep(time.Second)
		if _, heard := w.take(); len(heard) != 4 {
			t.Fatalf("heard %q", heard)
		}
		w.mu.Lock()
		w.trackers[2] = frozen
		w.mu.Unlock()
		w.comes(2, device("eve", "phone", 1))
		w.compare(2)
		time.Sleep(time.Second)
		_, heard := w.take()
		slices.Sort(heard)
		if want := []string{"ann is online", "bob is online", "cyd is online", "dan is online", "eve is online"}; !slices.Equal(heard, want) {
			t.Errorf("heard %q, want %q", heard, want)
		}
		w.compare(2)
		w.want(0)
		w.wantOnline("bob", true)
	})
}

// The users of a dead node who are nowhere else are announced once, 1,000 a second, whichever
// nodes die meanwhile.
func TestUsersOfADeadNode(t *testing.T) {
	const users = 5000
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, 1, 2, 3, 4)
		for i := range users {
			w.comes(2, device(chat.UserID(fmt.Sprint("u", i)), "phone", 1))
		}
		w.comes(2, device("ann", "phone", 1))
		w.comes(3, device("ann", "web", 1)) // is online all the time
		if _, came := w.take(); len(came) != users+1 {
			t.Fatalf("%d came, want %d", len(came), users+1)
		}
		w.dies(2)
		time.Sleep(time.Second / 2)
		w.dies(4) // has told some, and not all of its part
		_, gone := w.take()
		time.Sleep(time.Second)
		said, heard := w.take()
		if len(said) > 2*1100 { // by each of two
			t.Errorf("%d were announced within a second", len(said))
		}
		gone = append(gone, heard...)
		time.Sleep(5 * time.Second)
		_, heard = w.take()
		gone = append(gone, heard...)
		slices.Sort(gone)
		if len(gone) != users || len(slices.Compact(gone)) != users {
			t.Errorf("%d were announced as gone, want %d, each once", len(gone), users)
		}
		w.wantOnline("ann", true)
		w.wantOnline("u7", false)
		if at := w.seen["u7"]; at.IsZero() {
			t.Error("it is not stored when a user of the dead node was last seen")
		}
		for _, tr := range w.trackers { // and they are forgotten
			for range 3 {
				time.Sleep(time.Minute)
				tr.Forget()
			}
			for i := range tr.shards {
				if n := len(tr.shards[i].users); n > 1 {
					t.Fatalf("a shard remembers %d users", n)
				}
			}
		}
	})
}

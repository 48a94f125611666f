package presence

import (
	"maps"
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
)

// maxShardPart is how many connections one notice lists.
const maxShardPart = 4096

// Elsewhere lists the connections of a user to other nodes, with their nodes.
func (t *Tracker) Elsewhere(id chat.UserID) (there []chat.Connection) {
	sh := t.shard(id)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	u := sh.users[id]
	if u == nil {
		return nil
	}
	for _, c := range u.conns {
		if c.node != t.cfg.Node {
			there = append(there, chat.Connection{User: id, Device: c.device, Conn: c.number})
		}
	}
	return there
}

// CameElsewhere notes a connection to another node, which announces the user.
func (t *Tracker) CameElsewhere(node chat.NodeID, c chat.Connection) {
	sh := t.shard(c.User)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.cameElsewhere(t, node, c, false)
}

// cameElsewhere notes a connection to another node. If that node was taken for dead, and so its
// users were announced as gone, one of the others announces that they are not: the node
// itself need not know.
func (sh *shard) cameElsewhere(t *Tracker, node chat.NodeID, c chat.Connection, wasDead bool) {
	u := sh.user(c.User)
	if !sh.add(u, node, c) {
		return
	}
	if wasDead && !u.announced && !u.queued && t.tells(c.User, node) {
		u.orphan = true
		return
	}
	u.announced = u.announced || !u.queued // else this node announces it, too, as the other may wait for this one
	if !u.isAt(t.cfg.Node) {
		u.mine = false
	}
}

// LeftElsewhere notes that a connection to another node has gone.
func (t *Tracker) LeftElsewhere(node chat.NodeID, c chat.Connection) {
	sh := t.shard(c.User)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if u := sh.users[c.User]; u != nil && sh.remove(u, node, c) {
		t.leave(u, c.User, node, t.cfg.Now())
	}
}

// Heard notes an announcement that the connections here are to be told, and reports whether
// it is news to them: two nodes may have announced the same. If it says that a user is offline
// who is connected here, the opposite is announced.
func (t *Tracker) Heard(p chat.Presence) (news bool) {
	now := heardOffline
	if p.Online {
		now = heardOnline
	}
	sh := t.shard(p.User)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	u := sh.users[p.User]
	if u == nil {
		if !p.Online || !t.hasOthers() {
			return true
		}
		u = sh.user(p.User) // the node that says so has not said yet which device it is
		t.leave(u, p.User, 0, t.cfg.Now())
	}
	news = u.heard != now
	u.heard = now
	switch {
	case p.Online:
		u.announced = true
	case u.isAt(t.cfg.Node):
		u.announced = false
		t.change(u, p.User)
	case len(u.conns) == 0:
		u.announced = false
	}
	return news
}

// Alive notes that another node lives.
func (t *Tracker) Alive(node chat.NodeID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.others[node] = true
}

func (t *Tracker) hasOthers() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.others) > 0
}

// LastGone is when another node was last found to be gone; zero: none was.
func (t *Tracker) LastGone() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gone
}

// NodeGone says that another node is dead: nothing was heard of it for so long that its
// users need no grace. Those who have no other connection are announced as gone.
func (t *Tracker) NodeGone(node chat.NodeID) {
	now := t.cfg.Now()
	t.mu.Lock()
	delete(t.others, node)
	t.dead[node] = true
	t.gone = now
	t.mu.Unlock()
	for i := range t.shards {
		t.shards[i].forget(t, node, now)
	}
}

// forget forgets the connections to a dead node. Whoever it, or another dead one, was to
// announce is announced by one of those that live.
func (sh *shard) forget(t *Tracker, node chat.NodeID, now time.Time) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	delete(sh.sums, node)
	for id, u := range sh.users {
		before := len(u.conns)
		u.conns = slices.DeleteFunc(u.conns, func(c conn) bool { return c.node == node })
		if len(u.conns) > 0 {
			continue
		}
		if before > 0 {
			u.last, u.leftAt, u.gone = node, now, true
		}
		if u.gone && u.announced && (before > 0 || !u.mine) {
			t.announceGone(u, id, false)
		}
	}
}

// Sums sums up the connections to this node.
func (t *Tracker) Sums() []uint64 {
	sums := make([]uint64, len(t.shards))
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.RLock()
		sums[i] = sh.sums[t.cfg.Node]
		sh.mu.RUnlock()
	}
	return sums
}

// Compare compares what is known of another node with the sums that it told, and asks it
// for what differs.
func (t *Tracker) Compare(node chat.NodeID, told []uint64) {
	if len(told) != len(t.shards) {
		return // of a version that cuts its shards otherwise
	}
	var differ []int
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.RLock()
		if sh.sums[node] != told[i] {
			differ = append(differ, i)
		}
		sh.mu.RUnlock()
	}
	if len(differ) == 0 {
		t.mu.Lock()
		delete(t.dead, node)
		t.mu.Unlock()
	} else {
		t.cfg.Tell(chat.NodeNotice{Ask: &chat.AskShards{Node: node, Shards: differ}})
	}
}

// Answer tells the other nodes the connections to this one in some shards.
func (t *Tracker) Answer(shards []int) {
	for _, i := range shards {
		if i < 0 || i >= len(t.shards) {
			continue
		}
		there := t.shards[i].of(t.cfg.Node)
		parts := max(1, (len(there)+maxShardPart-1)/maxShardPart)
		for part := range parts {
			s := &chat.ConnectionShard{Shard: i, Part: part, Parts: parts}
			for _, c := range there {
				if partOf(c.User, parts) == part {
					s.Connections = append(s.Connections, c)
				}
			}
			t.cfg.Tell(chat.NodeNotice{Shard: s})
		}
	}
}

func partOf(user chat.UserID, parts int) int {
	return int(chat.UserHash(user) / chat.ConnectionShards % uint64(parts))
}

// of lists the connections to a node.
func (sh *shard) of(node chat.NodeID) (there []chat.Connection) {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	for id, u := range sh.users {
		for _, c := range u.conns {
			if c.node == node {
				there = append(there, chat.Connection{User: id, Device: c.device, Conn: c.number})
			}
		}
	}
	return there
}

// Replace puts what another node answered in place of what is known of that shard.
func (t *Tracker) Replace(node chat.NodeID, told chat.ConnectionShard) {
	if told.Shard < 0 || told.Shard >= len(t.shards) || told.Parts < 1 {
		return
	}
	now := t.cfg.Now()
	listed := make(map[chat.Connection]bool, len(told.Connections))
	for _, c := range told.Connections {
		listed[c] = shardOf(c.User) == told.Shard
	}
	t.mu.Lock()
	wasDead := t.dead[node]
	t.mu.Unlock()
	sh := &t.shards[told.Shard]
	known := sh.of(node)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for c, belongs := range listed {
		if belongs {
			sh.cameElsewhere(t, node, c, wasDead)
		}
	}
	for _, c := range known {
		if u := sh.users[c.User]; u != nil && !listed[c] && partOf(c.User, told.Parts) == told.Part && sh.remove(u, node, c) {
			t.leave(u, c.User, node, now)
		}
	}
}

// tells reports whether this node announces a user whom another one does not. It has the user
// wait among the orphans then.
func (t *Tracker) tells(id chat.UserID, not chat.NodeID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	tells := !t.closed && t.teller(id, not) == t.cfg.Node
	if tells {
		t.orphans.add(t, id)
	}
	return tells
}

// teller is which of the nodes that live, but for one, announces a user in place of another
// node. It is called with mu held.
func (t *Tracker) teller(id chat.UserID, not chat.NodeID) chat.NodeID {
	nodes := append(slices.Collect(maps.Keys(t.others)), t.cfg.Node)
	return chat.Teller(id, slices.DeleteFunc(nodes, func(n chat.NodeID) bool { return n == not }))
}

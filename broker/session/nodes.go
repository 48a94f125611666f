package session

import (
	"context"
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
)

// Several nodes have one store and one bus. A device's connections are numbered by the store,
// and the one with the highest number stays, at whichever node. What the nodes tell each other
// of connections has it end the others soon; where that is lost, an older connection learns of a
// newer one from the store, when it stores what the client acknowledges or subscribes.

var _ chat.NodeWatcher = (*Registry)(nil)

// sumsEvery is how often nodes compare what they know of each other's connections.
const sumsEvery = 5 * time.Second

// tellNodes tells the other nodes something.
func (r *Registry) tellNodes(n chat.NodeNotice) {
	n.From = r.node
	r.bus.Publish(chat.Notice{Node: &n})
}

// compareNodes tells the others the sums of this node's connections, now and then.
func (r *Registry) compareNodes(ctx context.Context) {
	r.tellSums(true)
	tick := time.NewTicker(sumsEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.tellSums(false)
			r.presence.Forget()
			r.endRemoved(ctx)
		case <-r.beat.ending():
			return
		case <-ctx.Done():
			return
		}
	}
}

func (r *Registry) tellSums(asks bool) {
	r.tellNodes(chat.NodeNotice{Sums: &chat.ConnectionSums{Sums: r.presence.Sums(), Asks: asks}})
}

// NodeGone implements [chat.NodeWatcher]: the users of a dead node who are connected nowhere else
// are offline.
func (r *Registry) NodeGone(node chat.NodeID) {
	if node != r.node {
		r.presence.NodeGone(node)
	}
}

// handleNode takes what another node tells.
func (r *Registry) handleNode(n chat.NodeNotice) {
	switch {
	case n.From == r.node:
		return
	case n.Closing:
		r.NodeGone(n.From)
		return
	}
	r.presence.Alive(n.From)
	switch {
	case n.Admitted != nil:
		r.presence.CameElsewhere(n.From, *n.Admitted)
		r.yield(*n.Admitted)
	case n.Left != nil:
		r.presence.LeftElsewhere(n.From, *n.Left)
		r.shard(n.Left.User).left(*n.Left)
	case n.Sums != nil:
		r.presence.Compare(n.From, n.Sums.Sums)
		if n.Sums.Asks {
			r.tellSums(false)
		}
	case n.Ask != nil && n.Ask.Node == r.node:
		r.presence.Answer(n.Ask.Shards)
	case n.Shard != nil:
		r.presence.Replace(n.From, *n.Shard)
		for _, c := range n.Shard.Connections {
			r.yield(c)
		}
	}
}

// number has the store number the session's connection. It gives the device's position if
// that came along and nobody may raise it still.
func (r *Registry) number(s *Session) (*chat.StoredPosition, error) {
	ctx, cancel := context.WithTimeout(r.ctx, keepTimeout)
	defer cancel()
	alone := r.isAlone(s)
	admitted, err := r.store.AdmitDevice(ctx, s.user, s.device)
	if err != nil {
		r.log.Warn("a connection cannot be numbered, the client is to try again", "user", s.user, "error", err)
		return nil, chat.Refuse(chat.CodeUnavailable, "the device cannot be admitted now")
	}
	s.conn = admitted.Conn
	if admitted.New {
		if err := r.welcome(ctx, s); err != nil {
			return nil, err
		}
	}
	if !alone {
		return nil, nil
	}
	return admitted.Stored, nil
}

// welcome looks after a device that connects for the first time. It may be one that was removed
// while its token was looked at: then the connection is refused.
func (r *Registry) welcome(ctx context.Context, s *Session) error {
	if err := r.chat.ForgetOverflow(ctx, s.user); err != nil {
		r.log.Warn("devices that are too many could not be forgotten", "user", s.user, "error", err)
	}
	if !s.params.NamesDevice {
		return nil
	}
	return r.chat.CheckDevice(ctx, s.user, s.device, s.params.Issued)
}

// isAlone reports whether no other connection of the device is known, or has still to store
// what was acknowledged.
func (r *Registry) isAlone(s *Session) bool {
	sh := r.shard(s.user)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	isDevice := func(o *Session) bool { return o.device == s.device }
	return sh.storing[keptKey{s.user, s.device}] == 0 && !slices.ContainsFunc(sh.sessions[s.user], isDevice) &&
		!slices.ContainsFunc(r.presence.Elsewhere(s.user), func(c chat.Connection) bool { return c.Device == s.device })
}

// devicesElsewhere counts the user's devices that are connected to other nodes and to none of
// the sessions. If the device itself is, it takes that connection over: then it is 0 or less.
func (r *Registry) devicesElsewhere(user chat.UserID, device chat.DeviceID, here []*Session) int {
	var devices []chat.DeviceID
	for _, c := range r.presence.Elsewhere(user) {
		if c.Device == device {
			return -len(here)
		}
		if !slices.ContainsFunc(here, func(s *Session) bool { return s.device == c.Device }) && !slices.Contains(devices, c.Device) {
			devices = append(devices, c.Device)
		}
	}
	return len(devices)
}

// noteStored notes that an ended session has stored what was acknowledged, and tells the others.
func (r *Registry) noteStored(s *Session) {
	sh, key := r.shard(s.user), keptKey{s.user, s.device}
	sh.mu.Lock()
	if sh.storing[key]--; sh.storing[key] == 0 {
		delete(sh.storing, key)
	}
	sh.mu.Unlock()
	if !s.beaten {
		r.tellNodes(chat.NodeNotice{Left: new(s.connection())})
	}
}

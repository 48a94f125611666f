package wire

import (
	"encoding/binary"
	"errors"

	"github.com/parleyhq/parley/chat"
)

// The fields of what nodes tell each other: who, and one of the others.
const (
	nodeFrom uint64 = 1 + iota
	nodeAdmitted
	nodeLeft
	nodeSums
	nodeAsk
	nodeShard
	nodeClosing
)

func (w *writer) node(n *chat.NodeNotice) {
	w.uint(nodeFrom, uint64(n.From))
	if n.Admitted != nil {
		w.nest(nodeAdmitted, func() { w.connection(*n.Admitted) })
	}
	if n.Left != nil {
		w.nest(nodeLeft, func() { w.connection(*n.Left) })
	}
	if n.Sums != nil {
		w.nest(nodeSums, func() { w.sums(n.Sums) })
	}
	if n.Ask != nil {
		w.nest(nodeAsk, func() { w.ask(n.Ask) })
	}
	if n.Shard != nil {
		w.nest(nodeShard, func() { w.shard(n.Shard) })
	}
	w.bool(nodeClosing, n.Closing)
}

func (r *reader) node() *chat.NodeNotice {
	n := new(chat.NodeNotice)
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case nodeFrom:
			n.From = chat.NodeID(r.uint(content))
		case nodeAdmitted:
			r.within(content, func(in *reader) { n.Admitted = new(in.connection()) })
		case nodeLeft:
			r.within(content, func(in *reader) { n.Left = new(in.connection()) })
		case nodeSums:
			r.within(content, func(in *reader) { n.Sums = in.sums() })
		case nodeAsk:
			r.within(content, func(in *reader) { n.Ask = in.ask() })
		case nodeShard:
			r.within(content, func(in *reader) { n.Shard = in.shard() })
		case nodeClosing:
			n.Closing = r.bool(content)
		}
	}
	return n
}

// The fields of a connection.
const (
	connectionUser uint64 = 1 + iota
	connectionDevice
	connectionConn
)

func (w *writer) connection(c chat.Connection) {
	str(w, connectionUser, c.User)
	str(w, connectionDevice, c.Device)
	w.int(connectionConn, int64(c.Conn))
}

func (r *reader) connection() (c chat.Connection) {
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case connectionUser:
			c.User = text[chat.UserID](r, content)
		case connectionDevice:
			c.Device = text[chat.DeviceID](r, content)
		case connectionConn:
			c.Conn = chat.Conn(r.int(content))
		}
	}
	return c
}

// The fields of the sums of a node's shards: 8 bytes for each, one behind the other.
const (
	sumsSums uint64 = 1 + iota
	sumsAsks
)

func (w *writer) sums(s *chat.ConnectionSums) {
	sums := make([]byte, 0, 8*len(s.Sums))
	for _, sum := range s.Sums {
		sums = binary.BigEndian.AppendUint64(sums, sum)
	}
	w.bytes(sumsSums, sums)
	w.bool(sumsAsks, s.Asks)
}

func (r *reader) sums() *chat.ConnectionSums {
	s := new(chat.ConnectionSums)
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case sumsSums:
			if len(content)%8 != 0 {
				r.fail(errShort)
				break
			}
			s.Sums = make([]uint64, len(content)/8)
			for i := range s.Sums {
				s.Sums[i] = binary.BigEndian.Uint64([]byte(content[8*i : 8*i+8]))
			}
		case sumsAsks:
			s.Asks = r.bool(content)
		}
	}
	return s
}

// The fields of a question for shards.
const (
	askNode  uint64 = 1 + iota
	askShard        // one for each
)

func (w *writer) ask(a *chat.AskShards) {
	w.uint(askNode, uint64(a.Node))
	for _, shard := range a.Shards {
		w.always(askShard, int64(shard))
	}
}

func (r *reader) ask() *chat.AskShards {
	a := new(chat.AskShards)
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case askNode:
			a.Node = chat.NodeID(r.uint(content))
		case askShard:
			a.Shards = add(r, field, a.Shards, int(r.int(content)))
		}
	}
	return a
}

// The fields of a shard.
const (
	shardShard uint64 = 1 + iota
	shardPart
	shardParts
	shardConnection // one for each
)

// errShard is the error of a shard, or a part of one, that there cannot be.
var errShard = errors.New("there is no such shard")

func (w *writer) shard(s *chat.ConnectionShard) {
	w.int(shardShard, int64(s.Shard))
	w.int(shardPart, int64(s.Part))
	w.int(shardParts, int64(s.Parts))
	for _, c := range s.Connections {
		w.nest(shardConnection, func() { w.connection(c) })
	}
}

func (r *reader) shard() *chat.ConnectionShard {
	s := new(chat.ConnectionShard)
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case shardShard:
			s.Shard = int(r.int(content))
		case shardPart:
			s.Part = int(r.int(content))
		case shardParts:
			s.Parts = int(r.int(content))
		case shardConnection:
			r.within(content, func(in *reader) { s.Connections = add(r, field, s.Connections, in.connection()) })
		}
	}
	if s.Shard < 0 || s.Shard >= chat.ConnectionShards || s.Part < 0 || s.Parts < 1 {
		r.fail(errShard)
	}
	return s
}

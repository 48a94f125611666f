package chat

// NodeID is the number of a process that serves a store together with others. Each draws
// its own when it starts; zero is none.
type NodeID uint64

// Conn numbers the connections of one device: one that was admitted later has a higher
// number, at whichever node, and whatever the clocks say. The one with the highest stays.
// Zero is no connection.
type Conn int64

// Connection is one connection of a device.
type Connection struct {
	User   UserID
	Device DeviceID
	Conn   Conn
}

// NodeNotice is what one node tells the others about who is connected to it. Exactly one of
// the fields behind From is set. Notices of one node arrive in order, or not at all: what
// was lost shows in the next Sums.
type NodeNotice struct {
	From NodeID
	// Admitted says that a device has connected. A connection of it with a lower number
	// is to end, wherever it is.
	Admitted *Connection
	// Left says that a connection has ended, and that what it had acknowledged is stored.
	Left *Connection
	// Sums are those of all shards of the connections at the node.
	Sums *ConnectionSums
	// Ask asks another node for shards whose sums differ from what is known of it.
	Ask *AskShards
	// Shard answers Ask.
	Shard *ConnectionShard
	// Closing says that the node ends, and tells nothing more.
	Closing bool
}

// ConnectionShards is into how many shards the connections at a node are cut, by user.
const ConnectionShards = 256

// ConnectionSums sum up the connections at a node, shard by shard. Equal sums are equal
// connections.
type ConnectionSums struct {
	Sums []uint64 // ConnectionShards of them
	Asks bool     // the node has just started, and wants the sums of the others
}

// AskShards asks a node for the connections in some of its shards.
type AskShards struct {
	Node   NodeID // who is asked
	Shards []int
}

// ConnectionShard lists the connections in a shard, or in a part of a large one: a user
// belongs to part h / ConnectionShards mod Parts, where h is [UserHash].
type ConnectionShard struct {
	Shard       int
	Part, Parts int // Part is one of 0 to Parts-1
	Connections []Connection
}

// UserHash is the same on all nodes. A user belongs to the shard UserHash mod ConnectionShards.
func UserHash(u UserID) uint64 { return hashOn(hashStart, string(u)) }

// Sum is what a connection adds to the sum of its shard, by exclusive or.
func (c Connection) Sum() uint64 {
	h := hashOn(hashOn(UserHash(c.User), "/"), string(c.Device))
	return mix(h ^ mix(uint64(c.Conn)))
}

// Teller is which of some nodes does what has to be done once about a user: all of them
// find the same, and if one of the others goes, it stays. It is zero if there are none.
func Teller(u UserID, nodes []NodeID) (teller NodeID) {
	var highest uint64
	for _, n := range nodes {
		if weight := mix(UserHash(u) ^ mix(uint64(n))); teller == 0 || weight > highest || weight == highest && n > teller {
			teller, highest = n, weight
		}
	}
	return teller
}

// hashStart and the factor in hashOn are those of FNV-1a.
const hashStart = 0xcbf29ce484222325

func hashOn(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return h
}

// mix spreads the bits of a number over all of it (the last step of MurmurHash3).
func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

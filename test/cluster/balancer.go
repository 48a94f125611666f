package cluster

import (
	"math/rand/v2"
	"net"
	"sync"
)

// Balancer hands each connection on to a node chosen at random, of those that accept it.
type Balancer struct {
	proxy

	mu     sync.Mutex
	random *rand.Rand
	nodes  []string
}

// NewBalancer starts a balancer before nodes at these addresses. It ends with the test.
func NewBalancer(tb TB, seed uint64, nodes ...string) *Balancer {
	tb.Helper()
	b := &Balancer{random: rand.New(rand.NewPCG(seed, 0)), nodes: nodes}
	b.listen(tb, b.carry)
	return b
}

func (b *Balancer) carry(client net.Conn) {
	b.mu.Lock()
	var order []string
	for _, i := range b.random.Perm(len(b.nodes)) {
		order = append(order, b.nodes[i])
	}
	b.mu.Unlock()
	if server, err := b.dial(order...); err == nil {
		defer b.drop(server)
		b.join(client, server)
	}
}

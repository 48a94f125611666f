package cluster

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// NATS stands between one node and its NATS server. It reads the protocol of NATS, so that it can lose and
// delay single messages, each way by itself.
type NATS struct {
	proxy

	server string

	mu     sync.Mutex
	random *rand.Rand
	cut    bool
	ways   [2]Way
}

// Way says what becomes of messages that go one way.
type Way struct {
	Lose  float64       // this share of them is lost
	Delay float64       // this share is overtaken by what comes within DelayBy
	By    time.Duration // how long a delayed one takes
	// Hints spares the heartbeats.
	Hints bool
}

// Out and In are the ways from and to the node.
const (
	Out = iota
	In
)

// NewNATS starts a proxy before the NATS server at an address. It ends with the test.
func NewNATS(tb TB, seed uint64, server string) *NATS {
	tb.Helper()
	n := &NATS{server: server, random: rand.New(rand.NewPCG(seed, 1))}
	n.listen(tb, n.carry)
	return n
}

// Cut closes all connections and takes no more until Mend.
func (n *NATS) Cut() {
	n.setCut(true)
	n.dropAll()
}

// Mend ends Cut.
func (n *NATS) Mend() { n.setCut(false) }

func (n *NATS) setCut(cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = cut
}

// Set says what becomes of messages from now on: Out are those from the node, In those to it.
func (n *NATS) Set(direction int, w Way) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ways[direction] = w
}

// fate says what becomes of a message.
func (n *NATS) fate(direction int, subject string) (lost bool, delay time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.ways[direction]
	if w.Hints && strings.HasSuffix(subject, ".beat") {
		return false, 0
	}
	switch x := n.random.Float64(); {
	case x < w.Lose:
		return true, 0
	case x < w.Lose+w.Delay:
		return false, w.By
	}
	return false, 0
}

func (n *NATS) carry(client net.Conn) {
	n.mu.Lock()
	cut := n.cut
	n.mu.Unlock()
	if cut {
		return
	}
	server, err := n.dial(n.server)
	if err != nil {
		return
	}
	defer n.drop(server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.pass(Out, client, server)
		_ = server.Close()
	}()
	n.pass(In, server, client)
	_ = client.Close()
	<-done
}

// pass carries what goes one way, command by command.
func (n *NATS) pass(direction int, from, to net.Conn) {
	w := &lateWriter{to: to}
	defer w.wait()
	r := bufio.NewReaderSize(from, 64<<10)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return
		}
		subject, size := message(line)
		if size < 0 {
			w.write(line)
			continue
		}
		body := make([]byte, size+2) // and the end of the line
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		lost, delay := n.fate(direction, subject)
		if !lost {
			w.later(delay, append(line, body...))
		}
	}
}

// message gives the subject of a message and the length of its payload, of the line that it
// begins with. The length is -1 for any other line.
//
//	PUB subject [reply] length
//	MSG subject subscription [reply] length
func message(line []byte) (subject string, size int) {
	words := strings.Fields(string(bytes.TrimSpace(line)))
	if len(words) < 3 {
		return "", -1
	}
	switch strings.ToUpper(words[0]) {
	case "PUB", "MSG", "HPUB", "HMSG":
	default:
		return "", -1
	}
	size, err := strconv.Atoi(words[len(words)-1])
	if err != nil || size < 0 {
		return "", -1
	}
	return words[1], size
}

// lateWriter writes whole commands, some of them later.
type lateWriter struct {
	mu   sync.Mutex
	to   net.Conn
	late sync.WaitGroup
}

func (w *lateWriter) write(command []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = w.to.Write(command) // its end shows in the reading of the other way
}

func (w *lateWriter) later(by time.Duration, command []byte) {
	if by == 0 {
		w.write(command)
		return
	}
	w.late.Go(func() {
		<-time.After(by)
		w.write(command)
	})
}

func (w *lateWriter) wait() { w.late.Wait() }

package client_test

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parleyhq/parley/client"
	"github.com/parleyhq/parley/client/mqtt"
	"github.com/parleyhq/parley/test/process"
)

// relay passes connections on to a server. When it is to stall it passes nothing more on from the
// client, and takes only the beginning of what is large, as a network does that has lost its way.
type relay struct {
	address string
	stall   atomic.Bool
	stalled chan struct{} // closed when it has read its last
	once    sync.Once
	end     chan struct{}
}

func startRelay(t *testing.T, target string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{address: listener.Addr().String(), stalled: make(chan struct{}), end: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			down, err := listener.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", target)
			if err != nil {
				down.Close()
				continue
			}
			wg.Go(func() {
				<-r.end
				down.Close()
				up.Close()
			})
			wg.Go(func() { _, _ = io.Copy(down, up) })
			wg.Go(func() { r.pass(up, down) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		close(r.end)
		wg.Wait()
	})
	return r
}

func (r *relay) pass(up, down net.Conn) {
	seen := 0
	for buffer := make([]byte, 1<<10); ; {
		n, err := down.Read(buffer)
		if r.stall.Load() && err == nil {
			if seen += n; seen > 64<<10 {
				r.once.Do(func() { close(r.stalled) })
				<-r.end
			}
			continue
		}
		if _, failed := up.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}

// What the network does not take is cut off when Run is to end, and so is the acknowledgement
// that waits behind it: neither waits for a deadline of its own.
func TestRunEndsWhileNothingCanBeWritten(t *testing.T) {
	s := process.Start(t)
	for _, name := range []string{"json", "mqtt", "mqttws"} {
		for kind, acknowledging := range map[string]bool{"write": false, "acknowledgement": true} {
			t.Run(name+" "+kind, func(t *testing.T) {
				target, transport := s.HTTP, transports(s)[name]
				if name == "mqtt" {
					target = s.MQTT
				}
				r := startRelay(t, target)
				if name == "mqtt" {
					transport = mqtt.Transport{Address: "mqtt://" + r.address}
				}
				bob := join(t, s, "bob-"+name+kind, client.JSON{})
				ann := join(t, s, "ann-"+name+kind, transport, func(o *client.Options) {
					if name != "mqtt" {
						o.URL = "http://" + r.address
					}
				})
				thread := bob.create(t, client.Group, "ann-"+name+kind)
				bob.say(t, thread, "to be acknowledged before")
				bob.await(t, "that it was", func(_, frames []client.Frame) bool { // no other acknowledgement is on its way then
					return slices.ContainsFunc(frames, func(f client.Frame) bool { return f.Type == "delivered" })
				})
				r.stall.Store(true)
				written := make(chan error, 1)
				go func() { written <- ann.Signal(t.Context(), thread, "large", make([]byte, 64<<20)) }()
				<-r.stalled
				if acknowledging {
					bob.say(t, thread, "to be acknowledged")
					ann.await(t, "the message", func(events, _ []client.Frame) bool { return len(events) == 3 })
				}
				ended := make(chan struct{})
				go func() {
					ann.stop()
					close(ended)
				}()
				select {
				case <-ended:
				case <-time.After(patience):
					t.Fatal("Run does not end")
				}
				if err := <-written; err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the write ended with %v", err)
				}
			})
		}
	}
}

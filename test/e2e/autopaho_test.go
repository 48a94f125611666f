package e2e

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

// autopaho is used as its makers mean it: it connects again by itself after the server
// has crashed, and its user misses nothing.
func TestAutopahoOverACrash(t *testing.T) {
	s := startServer(t)
	for _, scheme := range []string{"mqtt", "ws"} {
		t.Run(scheme, func(t *testing.T) {
			ann, bob := s.device(t, "ann-"+scheme, "a"), s.device(t, "bob-"+scheme, "b")
			group := ann.createGroup(t, bob.user)
			target, err := url.Parse(map[string]string{"mqtt": "mqtt://" + s.tcp, "ws": "ws://" + s.http + "/v1/realtime"}[scheme])
			if err != nil {
				t.Fatal(err)
			}
			// Each connection has a record of its own, because frame_seq starts anew with it.
			records := make(chan *record, 16)
			var current *record
			manager, err := autopaho.NewConnection(context.Background(), autopaho.ClientConfig{
				ServerUrls:       []*url.URL{target},
				KeepAlive:        30,
				ReconnectBackoff: func(int) time.Duration { return 20 * time.Millisecond },
				ConnectUsername:  bob.user,
				ConnectPassword:  []byte(bob.token),
				OnConnectionUp: func(m *autopaho.ConnectionManager, _ *paho.Connack) {
					go func() {
						_, _ = m.Subscribe(context.Background(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{
							{Topic: "v1/threads/+/frames", QoS: 1}, {Topic: "v1/devices/b/frames", QoS: 0},
						}})
					}()
				},
				ClientConfig: paho.ClientConfig{
					ClientID: bob.id,
					OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
						if first := string(p.Packet.Payload); current == nil || isFirst(first) {
							current = newRecord()
							records <- current
						}
						current.add(p.Packet.Payload, p.Packet.Topic, p.Packet.QoS, func(frame) {})
						return true, nil
					}},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				_ = manager.Disconnect(ctx)
			}()

			before := receiveRecord(t, records)
			before.untilMessage(t, ann.send(t, group.ID, "before the crash").ID)
			s.kill(t)
			s.start(t)
			missed := ann.send(t, group.ID, "while it reconnects")
			after := receiveRecord(t, records)
			after.untilMessage(t, missed.ID)
			after.untilMessage(t, ann.send(t, group.ID, "after").ID)
			for _, r := range []*record{before, after} {
				r.checkContract(t)
				r.checkOrder(t)
			}
		})
	}
}

func isFirst(payload string) bool { return frameEnd.FindString(payload) == `,"frame_seq":1}` }

func receiveRecord(t testing.TB, records <-chan *record) *record {
	t.Helper()
	select {
	case r := <-records:
		return r
	case <-time.After(patience):
		t.Fatal("autopaho got nothing on a new connection")
		return nil
	}
}

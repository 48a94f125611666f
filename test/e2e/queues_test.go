package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	pahov3 "github.com/eclipse/paho.mqtt.golang"
)

// queuedSends is how many messages wait in each library's queue; the one in the middle can
// never be stored.
const (
	queuedSends = 400
	poison      = queuedSends / 2
	queuePeriod = 2 * time.Minute // 18 s at the default rate, and a slow machine
)

// A client with hundreds of messages in its queue sends them all as its library means it to
// be used, at the default limits: each is stored, once, in order, and each is answered. A
// message that can never be stored costs one error frame in 3.1.1, and a reason code in 5.
func TestQueuesOfRealLibraries(t *testing.T) {
	s := startServer(t, "--rate-send", "20", "--rate-send-burst", "40")
	modules := nodeModules(t, "mqttjs")
	type sent struct {
		answers int // how many of the messages the library says were answered
		frames  int // error frames; -1: not counted
	}
	for name, send := range map[string]func(t *testing.T, d *device, topic string, payloads []string) sent{
		"autopaho": func(t *testing.T, d *device, topic string, payloads []string) sent {
			return sent{sendByAutopaho(t, d, topic, payloads), -1}
		},
		"paho.mqtt.golang": func(t *testing.T, d *device, topic string, payloads []string) sent {
			answers, frames := sendByPaho(t, d, topic, payloads)
			return sent{answers, frames}
		},
		"MQTT.js 3.1.1": func(t *testing.T, d *device, topic string, payloads []string) sent {
			answers, frames, _ := sendByMQTTjs(t, modules, d, mqtt311, topic, payloads)
			return sent{answers, frames}
		},
		"MQTT.js 5": func(t *testing.T, d *device, topic string, payloads []string) sent {
			answers, frames, refused := sendByMQTTjs(t, modules, d, mqtt5, topic, payloads)
			if !slices.Equal(refused, []int{0x99}) {
				t.Errorf("refused with %#x, want 0x99 once", refused)
			}
			return sent{answers, frames}
		},
		"paho for Python 3.1.1": func(t *testing.T, d *device, topic string, payloads []string) sent {
			answers, frames := sendByPython(t, d, "3.1.1", topic, payloads)
			return sent{answers, frames}
		},
		"paho for Python 5": func(t *testing.T, d *device, topic string, payloads []string) sent {
			answers, frames := sendByPython(t, d, "5", topic, payloads)
			return sent{answers, frames}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user := strings.NewReplacer(" ", "-").Replace(name)
			d := s.device(t, user, "d")
			d.bulk = true
			group := d.createGroup(t)
			var payloads, want []string
			for i := 1; i <= queuedSends; i++ {
				if i == poison {
					payloads = append(payloads, "poison")
					continue
				}
				payloads = append(payloads, mqttSend(t, fmt.Sprint("k", i), int64(i), strconv.Itoa(i)))
				want = append(want, strconv.Itoa(i))
			}
			began := time.Now()
			got := send(t, d, messagesTopic(group.ID), payloads)
			if got.answers != queuedSends {
				t.Errorf("%d of %d are answered", got.answers, queuedSends)
			}
			if frames := 1; got.frames >= 0 && got.frames != frames && !strings.HasSuffix(name, " 5") {
				t.Errorf("%d error frames, want %d", got.frames, frames)
			}
			stored := d.texts(t, group.ID)
			if !slices.Equal(stored, want) {
				t.Errorf("%d are stored, want %d in order: %v", len(stored), len(want), stored)
			}
			t.Logf("%d sent, %d answered, %d stored, in %.1f s", len(payloads), got.answers, len(stored), time.Since(began).Seconds())
		})
	}
}

// sendByAutopaho puts the messages into autopaho's queue, which tells nobody of answers: they
// are counted where its session sees them.
func sendByAutopaho(t *testing.T, d *device, topic string, payloads []string) int {
	t.Helper()
	target, err := url.Parse("mqtt://" + d.srv.tcp)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), queuePeriod)
	defer cancel()
	m, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: []*url.URL{target}, KeepAlive: 30, ConnectUsername: d.user, ConnectPassword: []byte(d.token),
		SessionExpiryInterval: 3600, ClientConfig: paho.ClientConfig{ClientID: d.id},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range payloads {
		if err := m.PublishViaQueue(ctx, &autopaho.QueuePublish{Publish: &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(payload)}}); err != nil {
			t.Fatal(err)
		}
	}
	thread := strings.Split(topic, "/")[2]
	for len(d.texts(t, thread)) < len(payloads)-1 && ctx.Err() == nil {
		time.Sleep(time.Second)
	}
	// One more behind all others is answered after them.
	r, err := m.Publish(ctx, &paho.Publish{Topic: "v1/devices/" + d.id + "/up", QoS: 1, Payload: []byte(`{"t":"client_ack","frame_seq":0}`)})
	if err != nil || r.ReasonCode != 0 {
		t.Fatalf("the last publish: %+v, %v", r, err)
	}
	return len(payloads)
}

// sendByPaho sends them with paho.mqtt.golang (3.1.1) and a store on disk.
func sendByPaho(t *testing.T, d *device, topic string, payloads []string) (answers, frames int) {
	t.Helper()
	var errorFrames atomic.Int32
	o := pahov3.NewClientOptions().AddBroker("tcp://" + d.srv.tcp).SetClientID(d.id).SetUsername(d.user).SetPassword(d.token).
		SetCleanSession(false).SetStore(pahov3.NewFileStore(t.TempDir())).SetOrderMatters(true)
	c := pahov3.NewClient(o)
	if token := c.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("connecting: %v", token.Error())
	}
	defer c.Disconnect(250)
	token := c.Subscribe("v1/devices/"+d.id+"/frames", 0, func(_ pahov3.Client, m pahov3.Message) {
		if contains(m.Payload(), `"t":"error"`) {
			errorFrames.Add(1)
		}
	})
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("subscribing: %v", token.Error())
	}
	var tokens []pahov3.Token
	for _, payload := range payloads {
		tokens = append(tokens, c.Publish(topic, 1, false, payload))
	}
	for _, token := range tokens {
		if token.WaitTimeout(queuePeriod) && token.Error() == nil {
			answers++
		}
	}
	return answers, int(errorFrames.Load())
}

// sendByMQTTjs sends them with MQTT.js.
func sendByMQTTjs(t *testing.T, modules string, d *device, version int, topic string, payloads []string) (answers, frames int, refused []int) {
	t.Helper()
	js := startMQTTjsWith(t, modules, d, version, map[string]any{"reconnectPeriod": 1000, "clean": false})
	first := js.awaitConnect(t)
	js.subscribe(t, "v1/devices/"+d.id+"/frames")
	for _, payload := range payloads {
		js.publish(t, topic, payload)
	}
	for range payloads {
		switch e := js.awaitFor(t, "published", queuePeriod); {
		case e.Code != 0:
			refused = append(refused, e.Code)
			answers++
		case e.Detail == "":
			answers++
		default:
			t.Errorf("published: %+v", e)
		}
	}
	return answers, first.count("error"), refused
}

// sendByPython sends them with the Python library, if this machine has it.
func sendByPython(t *testing.T, d *device, version, topic string, payloads []string) (answers, frames int) {
	t.Helper()
	python := ""
	for _, candidate := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(candidate, "-c", "import paho.mqtt.client").Run() == nil {
			python = candidate
			break
		}
	}
	if python == "" {
		t.Skip("no paho for Python here (Debian: python3-paho-mqtt)")
	}
	host, port, err := net.SplitHostPort(d.srv.tcp)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, filepath.Join("python", "client.py"), host, port, version, d.user, d.token, d.id, topic)
	cmd.Stdin, cmd.Stderr = strings.NewReader(strings.Join(payloads, "\n")), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(out) {
		var e mqttjsEvent
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		switch {
		case e.Event == "published":
			answers = e.Code
		case e.Event == "message" && strings.Contains(e.Payload, `"t":"error"`):
			frames++
		}
	}
	return answers, frames
}

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// MQTT.js, the client library of browsers, connects over WebSocket, subscribes, sends and
// receives. It reconnects by itself after a crash of the server, and misses nothing.
func TestMQTTjs(t *testing.T) {
	s := startServer(t)
	modules := nodeModules(t, "mqttjs")
	for version, name := range map[int]string{4: "3.1.1", 5: "5"} {
		t.Run(name, func(t *testing.T) {
			ann, bob := s.device(t, "ann-"+name, "a"), s.device(t, "bob-"+name, "b")
			group := ann.createGroup(t, bob.user)
			listener := jsonProtocol.live(t, ann, options{})
			js := startMQTTjs(t, modules, bob, version)

			// Receive.
			line := js.awaitConnect(t)
			js.subscribe(t, "v1/threads/+/frames", "v1/devices/b/frames", "v1/devices/b/replies")
			line.untilType(t, "caught_up")
			received := ann.send(t, group.ID, "to MQTT.js")
			line.untilMessage(t, received.ID)
			eventually(t, "delivery", func() bool { return ann.stateOf(t, received.ID, bob.user) == "DELIVERED" })

			// Send.
			js.publish(t, messagesTopic(group.ID), mqttSend(t, "key-1", 1, "from MQTT.js"))
			if code := js.await(t, "published").Code; code != 0 {
				t.Fatalf("the PUBACK says %#x", code)
			}
			history := ann.history(t, group.ID)
			stored := history[len(history)-1]
			if string(stored.Ciphertext) != "from MQTT.js" || stored.SenderID != bob.user || stored.DeviceID != bob.id {
				t.Errorf("what was sent is stored as %+v", stored)
			}
			listener.untilMessage(t, stored.ID)
			if version == 5 {
				js.refusedAndReplied(t, stored)
			}

			// The server crashes: what was sent meanwhile, by and to the client, arrives once.
			s.kill(t)
			js.await(t, "close")
			js.publish(t, messagesTopic(group.ID), mqttSend(t, "key-2", 2, "from MQTT.js, queued"))
			s.start(t)
			missed := ann.send(t, group.ID, "while it reconnects")
			again := js.awaitConnect(t)
			again.untilMessage(t, missed.ID)
			if code := js.await(t, "published").Code; code != 0 {
				t.Fatalf("the PUBACK of what was queued says %#x", code)
			}
			after := ann.send(t, group.ID, "after")
			again.untilMessage(t, after.ID)
			queued := 0
			for _, m := range ann.history(t, group.ID) {
				if string(m.Ciphertext) == "from MQTT.js, queued" {
					queued++
				}
			}
			if queued != 1 {
				t.Errorf("what was queued is stored %d times", queued)
			}
			for _, r := range []*record{line, again} {
				r.checkContract(t)
				r.checkOrder(t)
			}
		})
	}
}

// mqttjs is one process of mqttjs/client.mjs.
type mqttjs struct {
	stdin   io.WriteCloser
	records chan *record // one for each connection, whose frame_seq starts anew

	mu      sync.Mutex
	events  []mqttjsEvent // those that await has not returned yet
	changed chan struct{}
}

// mqttjsEvent is one line that client.mjs writes.
type mqttjsEvent struct {
	Event       string `json:"event"`
	Topic       string `json:"topic"`
	QoS         byte   `json:"qos"`
	Payload     string `json:"payload"`
	ContentType string `json:"content_type"`
	Correlation string `json:"correlation"`
	Detail      string `json:"detail"`
	Code        int    `json:"code"`
	Codes       []int  `json:"codes"`
}

// startMQTTjs connects a device with MQTT.js until the test ends.
func startMQTTjs(t *testing.T, modules string, d *device, version int) *mqttjs {
	t.Helper()
	return startMQTTjsWith(t, modules, d, version, nil)
}

// startMQTTjsWith is startMQTTjs with more options of the library.
func startMQTTjsWith(t *testing.T, modules string, d *device, version int, more map[string]any) *mqttjs {
	t.Helper()
	dir := t.TempDir()
	source, err := os.ReadFile(filepath.Join("mqttjs", "client.mjs"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "client.mjs"), source, 0o600)
	}
	if err == nil {
		err = os.Symlink(modules, filepath.Join(dir, "node_modules"))
	}
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]any{
		"protocolVersion": version, "clientId": d.id, "username": d.user, "password": d.token,
		"reconnectPeriod": 50, "connectTimeout": patience.Milliseconds(),
	}
	maps.Copy(settings, more)
	cmd := exec.Command("node", "client.mjs", d.srv.url("ws")+"/v1/realtime", asJSON(t, settings))
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	js := &mqttjs{stdin: stdin, records: make(chan *record, 64), changed: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		js.follow(stdout)
	}()
	t.Cleanup(func() {
		stdin.Close()
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("MQTT.js does not end")
			_ = cmd.Process.Kill()
			<-done
		}
		if err := cmd.Wait(); err != nil && !t.Failed() {
			t.Errorf("MQTT.js ended with %v", err)
		}
	})
	return js
}

// follow reads the process's lines: frames go to the record of their connection, all other
// events to await.
func (js *mqttjs) follow(stdout io.Reader) {
	var current *record
	for lines := bufio.NewReader(stdout); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var e mqttjsEvent
		if err := json.Unmarshal(line, &e); err != nil {
			e = mqttjsEvent{Event: "nonsense", Detail: string(line)}
		}
		switch {
		case e.Event == "connect":
			current = newRecord()
			js.records <- current
		case e.Event == "message" && e.ContentType == "":
			current.add([]byte(e.Payload), e.Topic, e.QoS, func(frame) {})
		default:
			js.mu.Lock()
			js.events = append(js.events, e)
			close(js.changed)
			js.changed = make(chan struct{})
			js.mu.Unlock()
		}
	}
}

// await is the first event of that kind that it has not returned yet.
func (js *mqttjs) await(t testing.TB, kind string) mqttjsEvent {
	t.Helper()
	return js.awaitFor(t, kind, patience)
}

// awaitFor is await with another deadline.
func (js *mqttjs) awaitFor(t testing.TB, kind string, limit time.Duration) mqttjsEvent {
	t.Helper()
	deadline := time.After(limit)
	for {
		js.mu.Lock()
		events, changed := js.events, js.changed
		at := slices.IndexFunc(events, func(e mqttjsEvent) bool { return e.Event == kind })
		if at >= 0 {
			js.events = slices.Concat(events[:at], events[at+1:])
		}
		js.mu.Unlock()
		if at >= 0 {
			return events[at]
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("MQTT.js reports no %s; its other events are %+v", kind, events)
		}
	}
}

// awaitConnect is the record of the next connection.
func (js *mqttjs) awaitConnect(t testing.TB) *record {
	t.Helper()
	select {
	case r := <-js.records:
		return r
	case <-time.After(patience):
		t.Fatalf("MQTT.js does not connect: %+v", js.events)
		return nil
	}
}

func (js *mqttjs) tell(t testing.TB, command map[string]any) {
	t.Helper()
	if _, err := fmt.Fprintln(js.stdin, asJSON(t, command)); err != nil {
		t.Fatal(err)
	}
}

func (js *mqttjs) subscribe(t testing.TB, filters ...string) {
	t.Helper()
	js.tell(t, map[string]any{"do": "subscribe", "filters": filters, "qos": 1})
	if e := js.await(t, "subscribed"); e.Detail != "" || slices.ContainsFunc(e.Codes, func(c int) bool { return c != 1 }) {
		t.Fatalf("the SUBACK says %+v", e)
	}
}

func (js *mqttjs) publish(t testing.TB, topic, payload string) {
	t.Helper()
	js.tell(t, map[string]any{"do": "publish", "topic": topic, "payload": payload})
}

// refusedAndReplied checks what only MQTT 5 has: reason codes and response topics.
func (js *mqttjs) refusedAndReplied(t testing.TB, stored message) {
	t.Helper()
	js.publish(t, messagesTopic(noThread), mqttSend(t, "key-x", 9, "x"))
	if code := js.await(t, "published").Code; code != 0x87 {
		t.Errorf("the PUBACK of a message to no thread says %#x", code)
	}
	js.tell(t, map[string]any{
		"do": "publish", "topic": messagesTopic(stored.ThreadID), "payload": mqttSend(t, "key-1", 1, "from MQTT.js"),
		"response": "v1/devices/b/replies", "correlation": "call 1",
	})
	reply := js.await(t, "message")
	var got message
	if err := json.Unmarshal([]byte(reply.Payload), &got); err != nil || got.ID != stored.ID || reply.Correlation != "call 1" || reply.Topic != "v1/devices/b/replies" {
		t.Errorf("the reply is %+v, want the message stored before (%v)", reply, err)
	}
	js.await(t, "published")
}

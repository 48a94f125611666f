package broker

import (
	"bytes"
	"testing"
	"time"

	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// benchDelivery is a message of 300 bytes of ciphertext on its way to one device.
func benchDelivery() session.Delivery {
	thread := chat.ThreadID{1, 15: 2}
	id := chat.EventIDAt(time.UnixMilli(1_780_000_000_000))
	return session.Delivery{
		Frame: contracts.EventFrame(chat.Event{
			Thread: thread, Seq: 12345, ID: id, Kind: chat.KindMessage, By: "alice", Device: "web",
			Message: &chat.Message{Ciphertext: bytes.Repeat([]byte{7}, 300), ContentType: chat.Text, ClientSeq: 99},
		}),
		FrameSeq: 123456, Topic: contracts.Topic{Kind: contracts.TopicThreadFrames, Thread: thread}, QoS: 1, PacketID: 4711,
	}
}

// BenchmarkEncodePacket makes what is written to the socket of a frame, which is
// encoded already: that is done once for all connections.
func BenchmarkEncodePacket(b *testing.B) {
	d := benchDelivery()
	topic := d.Topic.String()
	buf := make([]byte, 0, 1024)
	for _, p := range []struct {
		name   string
		encode func() []byte
	}{
		{"PUBLISH of MQTT 5", func() []byte { return appendPublish(buf, d, topic, true) }},
		{"PUBLISH of MQTT 3.1.1", func() []byte { return appendPublish(buf, d, topic, false) }},
		{"JSON in a WebSocket", func() []byte {
			batch := jsonBatch{buf}
			batch.Put(d)
			return batch.buf
		}},
		{"PUBACK", func() []byte { return appendPuback(buf, 4711, 0, "") }},
	} {
		b.Run(p.name, func(b *testing.B) {
			b.SetBytes(int64(len(p.encode())))
			b.ReportAllocs()
			for b.Loop() {
				p.encode()
			}
		})
	}
}

// BenchmarkFillBatch fills what goes out in one write, 64 KiB of frames of two
// threads in turn. One operation is one batch.
func BenchmarkFillBatch(b *testing.B) {
	d := [2]session.Delivery{benchDelivery(), benchDelivery()}
	d[1].Topic.Thread[0]++
	buf := make([]byte, 0, 2*batchBytes)
	for _, p := range []struct {
		name string
		make func() session.Batch
	}{
		{"MQTT 5", func() session.Batch { return &mqttBatch{conn: &mqttConn{v5: true}, buf: buf} }},
		{"MQTT 3.1.1", func() session.Batch { return &mqttBatch{conn: &mqttConn{}, buf: buf} }},
		{"JSON", func() session.Batch { return &jsonBatch{buf} }},
	} {
		b.Run(p.name, func(b *testing.B) {
			frames := 0
			b.SetBytes(batchBytes)
			b.ReportAllocs()
			for b.Loop() {
				for batch := p.make(); batch.Room(); frames++ {
					if !batch.Put(d[frames%2]) {
						b.Fatal("the frame does not fit")
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(frames), "ns/frame")
		})
	}
}

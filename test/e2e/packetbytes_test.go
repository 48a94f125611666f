package e2e

import (
	"bytes"
	"encoding/binary"
)

// The packets below are made byte by byte, because no codec would write them.

func contains(payload []byte, text string) bool { return bytes.Contains(payload, []byte(text)) }

// packetOf is a packet of less than 128 bytes.
func packetOf(first byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	return append([]byte{first, byte(len(body))}, body...)
}

func textOf(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func idOf(id uint16) []byte { return binary.BigEndian.AppendUint16(nil, id) }

// properties is the property list of an MQTT 5 packet. In an older version it is nothing.
func properties(version byte, list ...byte) []byte {
	if version < mqtt5 {
		return nil
	}
	return append([]byte{byte(len(list))}, list...)
}

// connectPacket is a clean CONNECT of the client x, without a token.
func connectPacket(version byte) []byte {
	return packetOf(0x10, textOf("MQTT"), []byte{version, 0x02, 0, 60}, properties(version), textOf("x"))
}

func subscribePacket(version, first byte, id uint16, filter string) []byte {
	return packetOf(first, idOf(id), properties(version), textOf(filter), []byte{1})
}

func unsubscribePacket(version, first byte, id uint16, filter string) []byte {
	return packetOf(first, idOf(id), properties(version), textOf(filter))
}

// withOptions is a SUBSCRIBE whose filter has these options.
func withOptions(version, options byte) []byte {
	return packetOf(0x82, idOf(1), properties(version), textOf("v1/#"), []byte{options})
}

// publishPacket has a packet id if the QoS in its first byte asks for one.
func publishPacket(version, first byte, topic string, id uint16) []byte {
	var packetID []byte
	if first&0x06 != 0 {
		packetID = idOf(id)
	}
	return packetOf(first, textOf(topic), packetID, properties(version), []byte(`{"t":"client_ack","frame_seq":0}`))
}

// publishWith is a PUBLISH of MQTT 5 with QoS 0 and these properties.
func publishWith(topic string, list ...byte) []byte {
	return packetOf(0x30, textOf(topic), properties(mqtt5, list...), []byte(`{"t":"client_ack","frame_seq":0}`))
}

// subscribeWith is a SUBSCRIBE of MQTT 5 with these properties.
func subscribeWith(filter string, list ...byte) []byte {
	return packetOf(0x82, idOf(1), properties(mqtt5, list...), textOf(filter), []byte{1})
}

package e2e

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"
)

// rawPublish is a PUBLISH as its bytes say it, without a codec in between.
type rawPublish struct {
	dup, retain bool
	qos         byte
	id          uint16
	frame       frame
}

// readPublish reads packets, byte by byte, up to the next PUBLISH with QoS 1.
func (r *raw) readPublish(t testing.TB) rawPublish {
	t.Helper()
	if err := r.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for {
		first, length, shift := r.byte(t), 0, 0
		for more := true; more; shift += 7 {
			b := r.byte(t)
			length |= int(b&0x7f) << shift
			more = b&0x80 != 0
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(r.Conn, body); err != nil {
			t.Fatal(err)
		}
		p := rawPublish{dup: first&0x08 != 0, retain: first&0x01 != 0, qos: first >> 1 & 3}
		if first>>4 != 3 || p.qos == 0 {
			continue
		}
		body = body[2+binary.BigEndian.Uint16(body):] // the topic
		p.id, body = binary.BigEndian.Uint16(body), body[2:]
		if r.version == mqtt5 {
			body = body[1+int(body[0]):]
		}
		if err := json.Unmarshal(body, &p.frame); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		return p
	}
}

func (r *raw) byte(t testing.TB) byte {
	t.Helper()
	var b [1]byte
	if _, err := io.ReadFull(r.Conn, b[:]); err != nil {
		t.Fatal(err)
	}
	return b[0]
}

// What an MQTT session got and did not acknowledge has the DUP flag, and its packet id, when it
// comes again over another connection of the session (MQTT 5, 3.3.1.1 and 4.4). A first delivery
// has it not, nor has anything in another session.
func TestRedeliveryHasTheDupFlag(t *testing.T) {
	s := startServer(t)
	for _, version := range []byte{mqtt311, mqtt5} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			ann, bob := s.device(t, fmt.Sprint("ann-", version), "a"), s.device(t, fmt.Sprint("bob-", version), "b")
			group := ann.createGroup(t, bob.user)
			var ids []string
			for i := range 3 {
				ids = append(ids, ann.send(t, group.ID, fmt.Sprint("message ", i)).ID)
			}
			acked := uint64(0)
			take := func(hello func(*hello), subscribe bool, n int) (r *raw, got []rawPublish) {
				t.Helper()
				r, _ = connectOnce{version: version, hello: hello}.connect(t, s, bob)
				if subscribe {
					r.sendSubscribe(t, 1, 1, "v1/threads/+/frames")
				}
				for len(got) < n {
					p := r.readPublish(t)
					if p.frame.Seq > acked {
						got = append(got, p)
					} else if p.dup { // what it has acknowledged may come again, if the server was cut off from its store
						t.Errorf("what was acknowledged came with DUP: %+v", p)
					}
				}
				return r, got
			}
			check := func(what string, got []rawPublish, dup ...bool) {
				t.Helper()
				for i, p := range got {
					if p.dup != dup[i] || p.retain || p.qos != 1 || p.frame.Seq != got[0].frame.Seq+uint64(i) {
						t.Errorf("%s: PUBLISH %d is %+v, want DUP %t", what, i, p, dup[i])
					}
				}
			}
			idsOf := func(got []rawPublish) (all []uint16) {
				for _, p := range got {
					all = append(all, p.id)
				}
				return all
			}
			// The creation and three messages. The first two are acknowledged.
			r, first := take(keeping, true, 4)
			check("first delivery", first, false, false, false, false)
			r.puback(t, first[0].id)
			r.puback(t, first[1].id)
			acked = first[1].frame.Seq
			eventually(t, "the receipt of the first message", func() bool { return ann.stateOf(t, ids[0], bob.user) == "DELIVERED" })
			connectOnce{}.end(t, r)
			later := ann.send(t, group.ID, "while away")

			_, second := take(keeping, false, 3)
			check("second connection", second, true, true, false)
			if !slices.Equal(idsOf(second)[:2], idsOf(first)[2:]) || slices.Contains(idsOf(first), second[2].id) {
				t.Errorf("packet ids %v after %v", idsOf(second), idsOf(first))
			}
			if second[2].frame.ID != later.ID {
				t.Errorf("the last is %+v", second[2].frame)
			}
			r, third := take(keeping, false, 3) // takes the second one over
			check("third connection", third, true, true, true)
			if !slices.Equal(idsOf(third), idsOf(second)) {
				t.Errorf("packet ids %v after %v", idsOf(third), idsOf(second))
			}
			connectOnce{}.end(t, r)
			_, fresh := take(clean, true, 3)
			check("a new session", fresh, false, false, false)
		})
	}
}

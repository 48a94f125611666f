package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// Each of 16 devices of a user asks for 1,024 long filters and has them kept. What is granted to
// one connection, and what is kept for the user, is bounded: the sessions that are kept longest
// make room.
func TestManyFiltersOfManyDevices(t *testing.T) {
	t.Parallel()
	const (
		devices, filters, bytesEach = 16, 1024, 215
		// Bounds of docs/contract.md#limits.
		perConnection, perUser = 96 << 10, 256 << 10
		atOnce                 = 64
	)
	s := startServer(t)
	heap := newGauge(t, s, "go_memstats_heap_inuse_bytes")
	granted := make([]int, devices) // bytes
	for n := range devices {
		d := s.device(t, "bob", fmt.Sprintf("d%02d", n))
		h := helloOf(d)
		h.keep = true
		names := longFilters(d, filters, bytesEach)
		line := dialRaw(t, s, mqtt5)
		line.accepted(t, h)
		for from := 0; from < filters; from += atOnce {
			for i, code := range line.subscribe(t, uint16(1+from), 0, names[from:from+atOnce]...) {
				switch code {
				case 0:
					granted[n] += len(names[from+i])
				case 0x97:
				default:
					t.Fatalf("filter %d of device %d: %#x", from+i, n, code)
				}
			}
		}
		if granted[n] > perConnection || granted[n] < perConnection-bytesEach {
			t.Errorf("device %d was granted %d bytes of filters, want %d at most, and as many as fit", n, granted[n], perConnection)
		}
		line.hangUp(t, s)
		heap.look(t)
	}
	kept, sessions := 0, 0
	for n := range devices {
		h := helloOf(s.device(t, "bob", fmt.Sprintf("d%02d", n)))
		h.resume = true
		line := dialRaw(t, s, mqtt5)
		if line.accepted(t, h).sessionPresent {
			kept += granted[n]
			sessions++
		}
		line.hangUp(t, s)
	}
	t.Logf("%d devices asked for %d filters of %d bytes each: %d bytes are kept of %d sessions; heap %v",
		devices, filters, bytesEach, kept, sessions, heap)
	if kept > perUser || sessions != perUser/perConnection {
		t.Errorf("%d bytes of %d sessions are kept, want %d at most, of %d", kept, sessions, perUser, perUser/perConnection)
	}
}

// hangUp disconnects the only connection of the server, and waits until it is none any more.
func (r *raw) hangUp(t *testing.T, s *server) {
	t.Helper()
	r.bytes(t, []byte{0xE0, 0})
	r.Close()
	eventually(t, "the connection is gone", func() bool { return s.metric(t, "parley_sessions") == 0 })
}

// longFilters are filters of the answers to what a device publishes, all different.
func longFilters(d *device, n, bytesEach int) []string {
	names := make([]string, n)
	for i := range names {
		name := fmt.Sprintf("v1/devices/%s/answers/%04d", d.id, i)
		names[i] = name + strings.Repeat("x", bytesEach-len(name))
	}
	return names
}

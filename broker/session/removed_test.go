package session

import (
	"testing"

	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/chat"
)

// withoutRemovals is a bus on which every notice of a removed device is lost, unnoticed.
type withoutRemovals struct{ chat.Bus }

func (b withoutRemovals) Publish(n chat.Notice) {
	if n.Removed == nil {
		b.Bus.Publish(n)
	}
}

func (withoutRemovals) Close() error { return nil }

// A device that its user removes at one node loses its connection to another one that does not
// hear of it. Other devices, other people's of its name, and the device that comes back stay.
func TestRemovalThatIsLostIsFound(t *testing.T) {
	bus, url := local.New(), newDatabase(t)
	t.Cleanup(func() { _ = bus.Close() })
	unchanged := func(s chat.Store) chat.Store { return s }
	a := newNodeAmong(t, url, withoutRemovals{bus}, Limits{}, 0, unchanged)
	b := newNodeAmong(t, url, withoutRemovals{bus}, Limits{}, 0, unchanged)
	removed := b.connect(as("bob", "phone"), mqtt)
	stay := []*device{b.connect(as("bob", "tablet")), b.connect(as("ann", "phone"))}
	if err := a.chat.RemoveDevice(t.Context(), as("bob", "web"), "phone"); err != nil {
		t.Fatal(err)
	}
	removed.awaitClosed(DeviceRemoved)
	stay = append(stay, b.connect(as("bob", "phone")), b.connect(as("bob", "watch")))
	if err := a.chat.RemoveDevice(t.Context(), as("bob", "web"), "watch"); err != nil {
		t.Fatal(err)
	}
	last := len(stay) - 1
	stay[last].awaitClosed(DeviceRemoved) // so the removals were looked at once more
	for _, d := range stay[:last] {
		if reason := d.reason(); reason != 0 {
			t.Errorf("%s/%s was closed, too: %v", d.sess.user, d.sess.device, reason)
		}
	}
}

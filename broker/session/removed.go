package session

import (
	"context"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// A device that its user has removed is told so over the bus, at whichever node it is
// connected. What is lost on the way is found in the store.

// lookBack is how far back a look at the store's removals goes: far enough for the clock of
// the node that wrote one to be wrong.
const lookBack = 3 * time.Minute

// endRemoved ends the connections of devices that were removed while the bus lost it, or while
// the connection was being admitted.
func (r *Registry) endRemoved(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	removals, err := r.store.RemovedSince(ctx, r.now().Add(-lookBack))
	if err != nil {
		if ctx.Err() == nil {
			r.log.Warn("the devices that were removed could not be listed, will retry", "error", err)
		}
		return
	}
	for _, removal := range removals {
		r.handleRemoved(removal)
	}
}

// handleRemoved ends the connections of a removed device, but for those that came after.
func (r *Registry) handleRemoved(removal chat.Removal) {
	for _, s := range r.of(removal.User) {
		if s.device != removal.Device {
			continue
		}
		if s.conn < removal.Conn || s.params.NamesDevice && removal.Refuses(s.params.Issued) {
			s.SetKeepFor(0)
			s.Close(DeviceRemoved)
			s.End()
		}
	}
}

// handleDevices tells the sessions of an audience that a device has changed, but for that
// device.
func (r *Registry) handleDevices(audience []chat.UserID, n chat.DeviceNews) {
	var frame contracts.Frame
	for _, user := range audience {
		for _, s := range r.of(user) {
			if user == n.User && s.device == n.Device {
				continue
			}
			if frame == nil {
				frame = contracts.DevicesFrame(n)
			}
			s.tellState("device "+string(n.User)+"/"+string(n.Device), frame)
		}
	}
}

// noteSeenAfter is from which length on the end of a connection is stored as the time when its
// device was last seen. The time when it began is stored already.
const noteSeenAfter = 10 * time.Second

// noteSeen stores that the device was seen until now.
func (s *Session) noteSeen() {
	if s.Lasted() < noteSeenAfter {
		return
	}
	ctx, cancel := context.WithTimeout(s.reg.ctx, keepTimeout)
	defer cancel()
	_ = s.reg.store.RaisePosition(ctx, s.user, s.device, 0, chat.Position{}) // the time of its beginning stays
}

package chat

import (
	"context"
	"slices"
	"time"
)

// Bounds of docs/contract.md#signals.
const (
	MaxSignalBytes = 4 << 10 // decoded
	MaxSignalName  = 32
	peoplePerCost  = 32 // a signal counts one for each so many people begun
)

// SignalErrorEvery is how often a client is told that its signals are dropped as too many.
const SignalErrorEvery = time.Second

// Signal is what a device tells the devices of a thread's people now or never: nothing of it
// is stored (docs/contract.md#signals).
type Signal struct {
	Thread ThreadID
	User   UserID
	Device DeviceID // which is not told itself
	Name   string
	Data   []byte
}

// ValidSignalName reports whether a signal may have that name: 1 to 32 of a-z 0-9 _ . and -.
func ValidSignalName(name string) bool {
	if len(name) == 0 || len(name) > MaxSignalName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// Check refuses a signal with a name or with data that none may have.
func (sig Signal) Check() error {
	switch {
	case !ValidSignalName(sig.Name):
		return Invalid("name", "must be 1 to 32 of a-z 0-9 _ . -")
	case len(sig.Data) > MaxSignalBytes:
		return Invalid("data", "must be at most 4 KiB")
	}
	return nil
}

// Signal tells a signal of the caller's device to the devices of all who have accepted the
// thread, whether the caller has or not. In a 1:1 it does not get past a block. What exceeds
// the rate is refused with CodeRateLimited, and dropped.
func (s *Service) Signal(ctx context.Context, c Caller, sig Signal) error {
	if err := c.need(ScopeWrite); err != nil {
		return err
	}
	if err := sig.Check(); err != nil {
		return err
	}
	// Before anything is read, so that reads are bounded by the rate too.
	if err := s.signals.spend(string(c.User), 1, s.now()); err != nil {
		return err
	}
	if _, err := s.standing(ctx, c.User, sig.Thread); err != nil {
		return err
	}
	t, err := s.cache.thread(ctx, sig.Thread)
	if err != nil {
		return Unavailable("load the thread", err)
	}
	if more := (len(t.Participants) - 1) / peoplePerCost; more > 0 {
		if err := s.signals.spend(string(c.User), more, s.now()); err != nil {
			s.signals.giveBack(string(c.User), 1)
			return err
		}
	}
	audience, err := s.signalled(ctx, c, t)
	if err != nil {
		return err
	}
	if len(audience) > 0 {
		sig.User, sig.Device = c.User, c.Device
		s.bus.Publish(Notice{Audience: audience, Signal: &sig})
	}
	return nil
}

// signalled lists the users whose devices get a signal of the caller. The caller is one, for
// its other devices.
func (s *Service) signalled(ctx context.Context, c Caller, t Thread) ([]UserID, error) {
	blocker, err := s.blockedBy(ctx, c, t)
	if err != nil {
		return nil, err
	}
	accepted, err := s.whoAccepted(ctx, t.ID, t.Users())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(accepted, func(user UserID) bool { return blocker != "" && user == blocker }), nil
}

// whoAccepted lists those of the users who are in a thread and have accepted it. It asks the
// store, so that who has just refused a thread is told nothing more of it, at whatever node.
func (s *Service) whoAccepted(ctx context.Context, thread ThreadID, users []UserID) ([]UserID, error) {
	accepted, err := s.store.AcceptedBy(ctx, thread, users)
	if err != nil {
		return nil, Unavailable("look up who has accepted the thread", err)
	}
	return accepted, nil
}

package chat

import (
	"context"
	"slices"
	"time"
)

// When a device that does not come back is forgotten. If it does come back, that is its first
// connect again (docs/contract.md#devices).
const (
	ForgetDevicesAfter = 180 * 24 * time.Hour
	forgetEvery        = time.Hour
	forgetBatch        = 1000 // each looks at all devices anew
)

// ForgetDevices forgets devices that were not seen for long, until ctx ends, while the node has
// the lease of sweeps.
func (s *Service) ForgetDevices(ctx context.Context) {
	ticker := time.NewTicker(forgetEvery)
	defer ticker.Stop()
	for {
		if err := s.forgetDevices(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("old devices could not be forgotten, this is tried again in an hour", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Service) forgetDevices(ctx context.Context) error {
	for s.sweep.Held() {
		unseen, err := s.store.UnseenDevices(ctx, s.now().Add(-ForgetDevicesAfter), forgetBatch)
		if err != nil {
			return err
		}
		n := 0
		for _, d := range unseen {
			if slices.Contains(s.connected(d.User), d.Device) {
				continue
			}
			forgotten, err := s.forgetDevice(ctx, d)
			if err != nil {
				return err
			}
			if forgotten {
				n++
			}
		}
		if n == 0 {
			break
		}
	}
	return nil
}

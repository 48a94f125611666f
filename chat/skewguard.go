package chat

import (
	"context"
	"errors"
	"time"
)

// Guard gives the store with every write of it refused, with [ErrClockWrong], while the
// clock is far off. What is refused was not stored. Of a nil Skew it is the store itself.
func (s *Skew) Guard(store Store) Store {
	if s == nil {
		return store
	}
	return guarded{store, s}
}

type guarded struct {
	Store

	skew *Skew
}

// wrong is the refusal of a write, or nil.
func (g guarded) wrong() error {
	if err := g.skew.Err(); errors.Is(err, ErrClockWrong) {
		return err
	}
	return nil
}

// unlessSentBefore is the refusal, unless what is refused was stored before: that is answered
// as ever.
func (g guarded) unlessSentBefore(ctx context.Context, e Event, refusal error) error {
	if key, _ := e.Retry(); key == "" {
		return refusal
	}
	var dup *DuplicateError
	if err := g.SentBefore(ctx, e); errors.As(err, &dup) {
		return dup
	}
	return refusal
}

// CreateThread implements [ThreadStore].
func (g guarded) CreateThread(ctx context.Context, created Event) error {
	if err := g.wrong(); err != nil {
		return g.unlessSentBefore(ctx, created, err)
	}
	return g.Store.CreateThread(ctx, created)
}

// Append implements [LogStore].
func (g guarded) Append(ctx context.Context, head Head, events []Event) (n int, err error) {
	if err := g.wrong(); err != nil {
		return 0, g.unlessSentBefore(ctx, events[0], err)
	}
	return g.Store.Append(ctx, head, events)
}

// PutOwnState implements [ThreadStore].
func (g guarded) PutOwnState(ctx context.Context, user UserID, thread ThreadID, st OwnState) (stored bool, err error) {
	if err := g.wrong(); err != nil {
		return false, err
	}
	return g.Store.PutOwnState(ctx, user, thread, st)
}

// PutMark implements [ReceiptStore].
func (g guarded) PutMark(ctx context.Context, m Mark) (prev Mark, moved bool, err error) {
	if err := g.wrong(); err != nil {
		return Mark{}, false, err
	}
	return g.Store.PutMark(ctx, m)
}

// BeginPosition implements [PositionStore].
func (g guarded) BeginPosition(ctx context.Context, user UserID, device DeviceID, p Position) (stored Position, err error) {
	if err := g.wrong(); err != nil {
		return Position{}, err
	}
	return g.Store.BeginPosition(ctx, user, device, p)
}

// RaisePosition implements [PositionStore].
func (g guarded) RaisePosition(ctx context.Context, user UserID, device DeviceID, conn Conn, p Position) error {
	if err := g.wrong(); err != nil {
		return err
	}
	return g.Store.RaisePosition(ctx, user, device, conn, p)
}

// ForgetDevice implements [DeviceStore].
func (g guarded) ForgetDevice(ctx context.Context, d SeenDevice, at time.Time) (forgotten, hadKeys bool, err error) {
	if err := g.wrong(); err != nil {
		return false, false, err
	}
	return g.Store.ForgetDevice(ctx, d, at)
}

// RemoveDevice implements [DeviceStore].
func (g guarded) RemoveDevice(ctx context.Context, user UserID, device DeviceID, at time.Time) (r Removal, hadKeys bool, err error) {
	if err := g.wrong(); err != nil {
		return Removal{}, false, err
	}
	return g.Store.RemoveDevice(ctx, user, device, at)
}

// PutLastSeen implements [LastSeenStore].
func (g guarded) PutLastSeen(ctx context.Context, user UserID, at time.Time) error {
	if err := g.wrong(); err != nil {
		return err
	}
	return g.Store.PutLastSeen(ctx, user, at)
}

// PutSubscriptions implements [SubscriptionStore].
func (g guarded) PutSubscriptions(ctx context.Context, user UserID, device DeviceID, conn Conn, k KeptSubscriptions) error {
	if err := g.wrong(); err != nil {
		return err
	}
	return g.Store.PutSubscriptions(ctx, user, device, conn, k)
}

// DeleteSubscriptions implements [SubscriptionStore].
func (g guarded) DeleteSubscriptions(ctx context.Context, user UserID, device DeviceID, conn Conn) error {
	if err := g.wrong(); err != nil {
		return err
	}
	return g.Store.DeleteSubscriptions(ctx, user, device, conn)
}

// SweepSubscriptions implements [SubscriptionStore].
func (g guarded) SweepSubscriptions(ctx context.Context, now time.Time) error {
	if err := g.wrong(); err != nil {
		return err
	}
	return g.Store.SweepSubscriptions(ctx, now)
}

// PutPrekeys implements [PrekeyStore].
func (g guarded) PutPrekeys(ctx context.Context, user UserID, device DeviceID, u PrekeyUpload) (StoredPrekeys, error) {
	if err := g.wrong(); err != nil {
		return StoredPrekeys{}, err
	}
	return g.Store.PutPrekeys(ctx, user, device, u)
}

// TakePrekey implements [PrekeyStore].
func (g guarded) TakePrekey(ctx context.Context, d PrekeyDevice) (DeviceBundle, error) {
	if err := g.wrong(); err != nil {
		return DeviceBundle{}, err
	}
	return g.Store.TakePrekey(ctx, d)
}

// PutBlock implements [BlockStore].
func (g guarded) PutBlock(ctx context.Context, b Block) error {
	if err := g.wrong(); err != nil {
		return err
	}
	return g.Store.PutBlock(ctx, b)
}

// DeleteBlock implements [BlockStore].
func (g guarded) DeleteBlock(ctx context.Context, user, blocked UserID) error {
	if err := g.wrong(); err != nil {
		return err
	}
	return g.Store.DeleteBlock(ctx, user, blocked)
}

// PutStrangers implements [StrangerStore].
func (g guarded) PutStrangers(ctx context.Context, user UserID, strangers []UserID, most int, at time.Time) (wait time.Duration, err error) {
	if err := g.wrong(); err != nil {
		return 0, err
	}
	return g.Store.PutStrangers(ctx, user, strangers, most, at)
}

// PutReport implements [ModerationStore].
func (g guarded) PutReport(ctx context.Context, r Report) (stored Report, added bool, err error) {
	if err := g.wrong(); err != nil {
		return Report{}, false, err
	}
	return g.Store.PutReport(ctx, r)
}

// DenyAttachment implements [ModerationStore].
func (g guarded) DenyAttachment(ctx context.Context, sha256 string) error {
	if err := g.wrong(); err != nil {
		return err
	}
	return g.Store.DenyAttachment(ctx, sha256)
}

// AllowAttachment implements [ModerationStore].
func (g guarded) AllowAttachment(ctx context.Context, sha256 string) error {
	if err := g.wrong(); err != nil {
		return err
	}
	return g.Store.AllowAttachment(ctx, sha256)
}

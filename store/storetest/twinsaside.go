package storetest

import (
	"context"
	"time"

	"github.com/parleyhq/parley/chat"
)

func (w *twins) Position(ctx context.Context, user chat.UserID, device chat.DeviceID) (chat.Position, bool, error) {
	got, err := ask(w, "Position", func(s chat.Store) (answer[chat.Position, bool], error) {
		p, found, err := s.Position(ctx, user, device)
		return answer[chat.Position, bool]{p, found}, err
	}, asIs)
	return got.first, got.second, err
}

func (w *twins) PutPosition(ctx context.Context, user chat.UserID, device chat.DeviceID, p chat.Position) error {
	return do(w, "PutPosition", func(s chat.Store) error { return s.PutPosition(ctx, user, device, p) })
}

func (w *twins) LastSeen(ctx context.Context, user chat.UserID) (time.Time, error) {
	return ask(w, "LastSeen", func(s chat.Store) (time.Time, error) { return s.LastSeen(ctx, user) }, canonicalTime)
}

func (w *twins) PutLastSeen(ctx context.Context, user chat.UserID, at time.Time) error {
	return do(w, "PutLastSeen", func(s chat.Store) error { return s.PutLastSeen(ctx, user, at) })
}

func (w *twins) PutPrekeys(ctx context.Context, user chat.UserID, device chat.DeviceID, u chat.PrekeyUpload) (chat.PrekeyDevice, error) {
	return ask(w, "PutPrekeys", func(s chat.Store) (chat.PrekeyDevice, error) { return s.PutPrekeys(ctx, user, device, u) }, asIs)
}

func (w *twins) PrekeyDevices(ctx context.Context, user chat.UserID) ([]chat.PrekeyDevice, error) {
	return ask(w, "PrekeyDevices", func(s chat.Store) ([]chat.PrekeyDevice, error) { return s.PrekeyDevices(ctx, user) }, listed)
}

// listed makes an empty list of any kind the same.
func listed[T any](list []T) []T { return append([]T{}, list...) }

func (w *twins) TakeOneTimePrekey(ctx context.Context, user chat.UserID, device chat.DeviceID) (chat.Prekey, int, error) {
	got, err := ask(w, "TakeOneTimePrekey", func(s chat.Store) (answer[chat.Prekey, int], error) {
		k, left, err := s.TakeOneTimePrekey(ctx, user, device)
		return answer[chat.Prekey, int]{k, left}, err
	}, asIs)
	return got.first, got.second, err
}

func (w *twins) PutBlock(ctx context.Context, b chat.Block) error {
	return do(w, "PutBlock", func(s chat.Store) error { return s.PutBlock(ctx, b) })
}

func (w *twins) DeleteBlock(ctx context.Context, user, blocked chat.UserID) error {
	return do(w, "DeleteBlock", func(s chat.Store) error { return s.DeleteBlock(ctx, user, blocked) })
}

func (w *twins) Blocks(ctx context.Context, user chat.UserID) ([]chat.Block, error) {
	return ask(w, "Blocks", func(s chat.Store) ([]chat.Block, error) {
		blocks, err := s.Blocks(ctx, user)
		return sortedBlocks(blocks), err
	}, listed)
}

func (w *twins) HasBlocked(ctx context.Context, user, other chat.UserID) (bool, error) {
	return ask(w, "HasBlocked", func(s chat.Store) (bool, error) { return s.HasBlocked(ctx, user, other) }, asIs)
}

func (w *twins) PutReport(ctx context.Context, r chat.Report) error {
	return do(w, "PutReport", func(s chat.Store) error { return s.PutReport(ctx, r) })
}

func (w *twins) Reports(ctx context.Context, before chat.ReportID, count int) ([]chat.Report, error) {
	return ask(w, "Reports", func(s chat.Store) ([]chat.Report, error) { return s.Reports(ctx, before, count) }, listed)
}

func (w *twins) DenyAttachment(ctx context.Context, sha256 string) error {
	return do(w, "DenyAttachment", func(s chat.Store) error { return s.DenyAttachment(ctx, sha256) })
}

func (w *twins) AllowAttachment(ctx context.Context, sha256 string) error {
	return do(w, "AllowAttachment", func(s chat.Store) error { return s.AllowAttachment(ctx, sha256) })
}

func (w *twins) AttachmentDenied(ctx context.Context, sha256 string) (bool, error) {
	return ask(w, "AttachmentDenied", func(s chat.Store) (bool, error) { return s.AttachmentDenied(ctx, sha256) }, asIs)
}

package pebble

import (
	"context"
	"fmt"

	"github.com/parleyhq/parley/chat"
)

// PutReport implements [chat.ModerationStore].
func (s *Store) PutReport(ctx context.Context, r chat.Report) error {
	if err := s.putOnce(ctx, reportKey(r.ID), encodeReport(r)); err != nil {
		return fmt.Errorf("put the report %s: %w", r.ID, err)
	}
	return nil
}

// Reports implements [chat.ModerationStore].
func (s *Store) Reports(ctx context.Context, before chat.ReportID, count int) ([]chat.Report, error) {
	v, err := s.state.view()
	if err != nil {
		return nil, err
	}
	defer v.release()
	if count <= 0 {
		return nil, nil
	}
	older := within([]byte{prefixReport})
	if !before.IsZero() {
		older.upper = reportKey(before)
	}
	var reports []chat.Report
	err = v.scan(ctx, older, true, func(key, value []byte) (bool, error) {
		r, err := decodeReport(chat.ReportID(key[1:]), value)
		reports = append(reports, r)
		return len(reports) < count, err
	})
	return reports, err
}

// DenyAttachment implements [chat.ModerationStore].
func (s *Store) DenyAttachment(ctx context.Context, sha256 string) error {
	if err := s.putOnce(ctx, deniedKey(sha256), nil); err != nil {
		return fmt.Errorf("deny attachment %s: %w", sha256, err)
	}
	return nil
}

// AllowAttachment implements [chat.ModerationStore].
func (s *Store) AllowAttachment(ctx context.Context, sha256 string) error {
	if err := s.deleteKey(ctx, deniedKey(sha256)); err != nil {
		return fmt.Errorf("allow attachment %s: %w", sha256, err)
	}
	return nil
}

// AttachmentDenied implements [chat.ModerationStore].
func (s *Store) AttachmentDenied(_ context.Context, sha256 string) (bool, error) {
	v, err := s.state.view()
	if err != nil {
		return false, err
	}
	defer v.release()
	return v.has(deniedKey(sha256))
}

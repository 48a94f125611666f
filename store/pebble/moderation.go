package pebble

import (
	"context"
	"errors"
	"fmt"

	"github.com/parleyhq/parley/chat"
)

// PutReport implements [chat.ModerationStore].
func (s *Store) PutReport(ctx context.Context, r chat.Report) (stored chat.Report, added bool, err error) {
	if stored, added, err = s.putReport(ctx, r); err != nil {
		return chat.Report{}, false, fmt.Errorf("put the report %s: %w", r.ID, err)
	}
	return stored, added, nil
}

func (s *Store) putReport(ctx context.Context, r chat.Report) (stored chat.Report, added bool, err error) {
	reported := reportedKey(r.Message, r.By)
	v, done, err := s.locked(ctx, string(reported))
	if err != nil {
		return r, false, err
	}
	defer done()
	id, before, err := lookup(v, reported, decodeReportID)
	if err != nil {
		return r, false, err
	}
	if before {
		first, found, err := lookup(v, reportKey(id), func(raw []byte) (chat.Report, error) { return decodeReport(id, raw) })
		if err == nil && !found {
			err = fmt.Errorf("the report %s before it is missing", id)
		}
		return first, false, err
	}
	b := s.db.NewBatch()
	if err := errors.Join(b.Set(reportKey(r.ID), encodeReport(r), nil), b.Set(reported, r.ID[:], nil)); err != nil {
		return r, false, errors.Join(err, b.Close())
	}
	return r, true, s.state.commitEvents(ctx, b, r.ID)
}

func decodeReportID(raw []byte) (id chat.ReportID, err error) {
	if len(raw) != len(id) {
		return id, fmt.Errorf("the id of a report has %d bytes", len(raw))
	}
	copy(id[:], raw)
	return id, nil
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

package mongo

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
)

type reportDoc struct {
	ID      chat.ReportID     `bson:"_id"`
	Thread  chat.ThreadID     `bson:"thread"`
	Message chat.MessageID    `bson:"message"`
	Sender  chat.UserID       `bson:"sender"`
	By      chat.UserID       `bson:"by"`
	Reason  chat.ReportReason `bson:"reason"`
	Note    string            `bson:"note,omitempty"`
}

// PutReport implements [chat.ModerationStore].
func (s *Store) PutReport(ctx context.Context, r chat.Report) error {
	_, err := s.reports.InsertOne(ctx, reportDoc(r))
	return wrap("store a report of message "+r.Message.String(), unlessDuplicate(err))
}

// Reports implements [chat.ModerationStore].
func (s *Store) Reports(ctx context.Context, before chat.ReportID, count int) ([]chat.Report, error) {
	if count <= 0 {
		return nil, nil
	}
	older := bson.D{}
	if !before.IsZero() {
		older = d("_id", d("$lt", before))
	}
	docs, err := findAll[reportDoc](ctx, s.reports, older, options.Find().SetSort(d("_id", -1)).SetLimit(int64(count)))
	if err != nil {
		return nil, fmt.Errorf("read reports: %w", err)
	}
	reports := make([]chat.Report, len(docs))
	for i, doc := range docs {
		reports[i] = chat.Report(doc)
	}
	return reports, nil
}

// DenyAttachment implements [chat.ModerationStore].
func (s *Store) DenyAttachment(ctx context.Context, sha256 string) error {
	_, err := s.deniedHashes.InsertOne(ctx, d("_id", sha256))
	return wrap("deny an attachment", unlessDuplicate(err))
}

// AllowAttachment implements [chat.ModerationStore].
func (s *Store) AllowAttachment(ctx context.Context, sha256 string) error {
	_, err := s.deniedHashes.DeleteOne(ctx, d("_id", sha256))
	return wrap("allow an attachment", err)
}

// AttachmentDenied implements [chat.ModerationStore].
func (s *Store) AttachmentDenied(ctx context.Context, sha256 string) (bool, error) {
	_, found, err := findOne[struct{}](ctx, s.deniedHashes, d("_id", sha256))
	return found, wrap("look up an attachment", err)
}

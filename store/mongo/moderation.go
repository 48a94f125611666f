package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/parleyhq/parley/chat"
)

type reportDoc struct {
	ID      chat.ReportID     `bson:"_id"`
	At      time.Time         `bson:"at,omitempty"` // missing in documents of format 2
	Thread  chat.ThreadID     `bson:"thread"`
	Message chat.MessageID    `bson:"message"`
	Sender  chat.UserID       `bson:"sender"`
	By      chat.UserID       `bson:"by"`
	Reason  chat.ReportReason `bson:"reason"`
	Note    string            `bson:"note,omitempty"`
}

func (d reportDoc) report() chat.Report {
	r := chat.Report(d)
	r.At = timeOr(d.At, d.ID)
	return r
}

// reportedDoc holds the first report of a message by a user. It decides which one that is,
// and is inserted before the report itself.
type reportedDoc struct {
	ID    string    `bson:"_id"` // message/user
	First reportDoc `bson:"first"`
}

// PutReport implements [chat.ModerationStore]. A report that was decided for and, after a
// crash, not inserted, is inserted when its reporter tries again.
func (s *Store) PutReport(ctx context.Context, r chat.Report) (stored chat.Report, added bool, err error) {
	doing := "store a report of message " + r.Message.String()
	if err := checkName(r.By); err != nil {
		return chat.Report{}, false, wrap(doing, err)
	}
	doc := reportedDoc{r.Message.String() + "/" + string(r.By), reportDoc(r)}
	_, err = s.reported.InsertOne(ctx, doc)
	added = err == nil
	if err := unlessDuplicate(err); err != nil {
		return chat.Report{}, false, wrap(doing, err)
	}
	if !added {
		first, found, err := findOne[reportedDoc](ctx, s.reported, d("_id", doc.ID))
		if err == nil && !found {
			err = errors.New("the one before it is missing")
		}
		if err != nil {
			return chat.Report{}, false, wrap(doing, err)
		}
		doc = first
	}
	_, err = s.reports.InsertOne(ctx, doc.First)
	return doc.First.report(), added, wrap(doing, unlessDuplicate(err))
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
		reports[i] = doc.report()
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

package contracts

import "github.com/parleyhq/parley/chat"

type reportBody struct {
	Reason *string `json:"reason"`
	Note   *string `json:"note"`
}

// DecodeReport reads the body of POST /v1/messages/{id}/reports
// (docs/contract.md#reports). An absent note is "".
func DecodeReport(body []byte) (reason chat.ReportReason, note string, err error) {
	var b reportBody
	if err := decode(body, &b, member{"reason", &b.Reason}); err != nil {
		return "", "", err
	}
	if b.Note != nil {
		note = *b.Note
	}
	return chat.ReportReason(*b.Reason), note, nil
}

// ReportReceipt is what the reporter of a message is told
// (docs/contract.md#reports).
type ReportReceipt struct {
	ID        string `json:"id"`
	MessageID string `json:"message_id"`
	Reason    string `json:"reason"`
	CreatedAt string `json:"created_at"`
}

// NewReportReceipt converts a report for its reporter.
func NewReportReceipt(r chat.Report) ReportReceipt {
	return ReportReceipt{
		ID: r.ID.String(), MessageID: r.Message.String(), Reason: string(r.Reason), CreatedAt: FormatTime(r.At),
	}
}

// Report is what operators see of a report (docs/contract.md#reports).
type Report struct {
	ID         string  `json:"id"`
	MessageID  string  `json:"message_id"`
	ThreadID   string  `json:"thread_id"`
	SenderID   string  `json:"sender_id"` // the sender of the message
	ReporterID string  `json:"reporter_id"`
	Reason     string  `json:"reason"`
	Note       *string `json:"note"`
	CreatedAt  string  `json:"created_at"`
}

// ReportPage is one page of reports, newest first (docs/contract.md#reports).
type ReportPage struct {
	Reports    []Report `json:"reports"`
	NextCursor *string  `json:"next_cursor"`
}

// NewReportPage converts a page of reports.
func NewReportPage(p chat.ReportPage) ReportPage {
	return ReportPage{Reports: convertAll(p.Reports, newReport), NextCursor: optional(p.Next)}
}

func newReport(r chat.Report) Report {
	return Report{
		ID: r.ID.String(), MessageID: r.Message.String(), ThreadID: r.Thread.String(), SenderID: string(r.Sender),
		ReporterID: string(r.By), Reason: string(r.Reason), Note: optional(r.Note), CreatedAt: FormatTime(r.At),
	}
}

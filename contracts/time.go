package contracts

import "time"

// TimeLayout is how times cross the border: RFC 3339, UTC, milliseconds
// (contract 1).
const TimeLayout = "2006-01-02T15:04:05.000Z"

// FormatTime writes t in TimeLayout.
func FormatTime(t time.Time) string { return t.UTC().Format(TimeLayout) }

// AppendTime writes t in TimeLayout behind dst.
func AppendTime(dst []byte, t time.Time) []byte { return t.UTC().AppendFormat(dst, TimeLayout) }

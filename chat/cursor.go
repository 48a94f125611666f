package chat

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"time"
)

// PageRequest asks for one page of a listing.
type PageRequest struct {
	Cursor string // from the page before; "" is the first page
	Size   int    // 0 takes DefaultPageSize
}

// A cursor is opaque to clients: URL-safe base64 of a kind byte, so that a
// cursor of one listing is refused by another, and that listing's position.
type cursorKind byte

const (
	cursorHistory cursorKind = 'h' // messages before a seq
	cursorSince   cursorKind = 's' // messages after a seq
	cursorThreads cursorKind = 't' // threads after one in the order of activity
	cursorReports cursorKind = 'r' // reports before one
)

var cursorEncoding = base64.RawURLEncoding.Strict()

// encodeSeqCursor makes a cursor of one thread's listing. It ends in a checksum
// over the thread too, so that it is refused by another thread's, and when altered.
func encodeSeqCursor(kind cursorKind, thread ThreadID, s Seq) string {
	b := binary.BigEndian.AppendUint64([]byte{byte(kind)}, uint64(s))
	return cursorEncoding.EncodeToString(binary.BigEndian.AppendUint32(b, cursorSum(b, thread)))
}

func decodeSeqCursor(kind cursorKind, thread ThreadID, cursor string) (Seq, error) {
	b, err := decodeCursor(kind, cursor, 8+4)
	if err != nil {
		return 0, err
	}
	seq := Seq(binary.BigEndian.Uint64(b))
	if encodeSeqCursor(kind, thread, seq) != cursor {
		return 0, errForeignCursor()
	}
	return seq, nil
}

func cursorSum(b []byte, thread ThreadID) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(b), crc32.IEEETable, thread[:])
}

func errForeignCursor() error { return Invalid("cursor", "is not one that this listing gave") }

// threadPosition is a place in a list of threads, latest activity first.
type threadPosition struct {
	activity time.Time
	thread   ThreadID
}

// before is the order of the list.
func (p threadPosition) before(q threadPosition) bool {
	if !p.activity.Equal(q.activity) {
		return p.activity.After(q.activity)
	}
	return p.thread.String() < q.thread.String()
}

func encodeThreadCursor(p threadPosition) string {
	b := binary.BigEndian.AppendUint64([]byte{byte(cursorThreads)}, uint64(p.activity.UnixMilli()))
	return cursorEncoding.EncodeToString(append(b, p.thread[:]...))
}

func decodeThreadCursor(cursor string) (threadPosition, error) {
	b, err := decodeCursor(cursorThreads, cursor, 8+16)
	if err != nil {
		return threadPosition{}, err
	}
	return threadPosition{
		activity: time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC(),
		thread:   ThreadID(b[8:]),
	}, nil
}

func encodeReportCursor(id ReportID) string {
	return cursorEncoding.EncodeToString(append([]byte{byte(cursorReports)}, id[:]...))
}

func decodeReportCursor(cursor string) (ReportID, error) {
	b, err := decodeCursor(cursorReports, cursor, len(ReportID{}))
	if err != nil {
		return ReportID{}, err
	}
	return ReportID(b), nil
}

func decodeCursor(kind cursorKind, cursor string, size int) ([]byte, error) {
	b, err := cursorEncoding.DecodeString(cursor)
	// The decoder skips line breaks: the lengths on both sides leave no room for any.
	if err != nil || len(b) != 1+size || len(cursor) != cursorEncoding.EncodedLen(1+size) || b[0] != byte(kind) {
		return nil, errForeignCursor()
	}
	return b[1:], nil
}

// isCursor reports whether a cursor says that it is of that kind.
func isCursor(kind cursorKind, cursor string) bool {
	b, err := cursorEncoding.DecodeString(cursor)
	return err == nil && len(b) > 0 && b[0] == byte(kind)
}

// pageSize settles how many items a page holds.
func (s *Service) pageSize(p PageRequest) (int, error) {
	switch {
	case p.Size == 0:
		return min(DefaultPageSize, s.limits.PageSize), nil
	case p.Size < 0 || p.Size > s.limits.PageSize:
		return 0, Invalid("page_size", "is out of bounds")
	}
	return p.Size, nil
}

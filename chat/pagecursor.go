package chat

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
)

// PageRequest asks for one page of a listing.
type PageRequest struct {
	Cursor string // from the page before; "" is the first page
	Size   int    // 0 takes DefaultPageSize
	// ContentType narrows History and HistorySince to messages that are of this type now;
	// "" takes all. The other listings do not look at it.
	ContentType ContentType
	// State narrows Threads; "" takes all. The other listings do not look at it.
	State ThreadFilter
}

// cursorKind is the first byte of a page cursor, so that the cursor of one listing is
// refused by another. The listing's position follows. To clients a page cursor is
// opaque: URL-safe base64.
type cursorKind byte

const (
	cursorHistory cursorKind = 'h' // messages before a seq
	cursorSince   cursorKind = 's' // messages after a seq
	cursorThreads cursorKind = 't' // threads after one in the order of activity
	cursorReports cursorKind = 'r' // reports before one
	cursorBlocks  cursorKind = 'b' // blocks of those after a user
	cursorGivers  cursorKind = 'e' // who gave an emoji, after one of them
)

var cursorEncoding = base64.RawURLEncoding.Strict()

// encodeCursor makes a page cursor of a position. It ends in a checksum that also
// covers whose listing it is of. So a cursor that was altered, or that is of another
// user or thread, is refused. It keeps no secret: the client was told what it holds.
func encodeCursor(kind cursorKind, position, of []byte) string {
	b := append([]byte{byte(kind)}, position...)
	sum := crc32.Update(crc32.ChecksumIEEE(b), crc32.IEEETable, of)
	return cursorEncoding.EncodeToString(binary.BigEndian.AppendUint32(b, sum))
}

// decodeCursor gives the position, of so many bytes, that a page cursor was made of.
func decodeCursor(kind cursorKind, cursor string, size int, of []byte) ([]byte, error) {
	b, err := cursorEncoding.DecodeString(cursor)
	// The comparison also refuses line breaks, which the decoder would skip.
	if err != nil || len(b) != 1+size+4 || encodeCursor(kind, b[1:1+size], of) != cursor {
		return nil, errForeignCursor()
	}
	return b[1 : 1+size], nil
}

// messageListing is whose cursors those of a thread's messages are.
type messageListing struct {
	kind   cursorKind
	thread ThreadID
	filter ContentType
}

func (l messageListing) of() []byte { return append(l.thread[:], l.filter...) }

func (l messageListing) encode(s Seq) string {
	return encodeCursor(l.kind, binary.BigEndian.AppendUint64(nil, uint64(s)), l.of())
}

func (l messageListing) decode(cursor string) (Seq, error) {
	b, err := decodeCursor(l.kind, cursor, 8, l.of())
	if err != nil {
		return 0, err
	}
	return Seq(binary.BigEndian.Uint64(b)), nil
}

func errForeignCursor() error { return Invalid("cursor", "is not one that this listing gave") }

// threadPosition is a place in a list of threads, latest activity first.
type threadPosition struct {
	activity EventID // the last message, or the creation while there is none
	thread   ThreadID
}

// before is the order of the list.
func (p threadPosition) before(q threadPosition) bool {
	if order := p.activity.Compare(q.activity); order != 0 {
		return order > 0
	}
	return p.thread.String() < q.thread.String()
}

// threadListing is whose cursors those of a user's threads are.
func threadListing(user UserID, filter ThreadFilter) []byte {
	if filter == "" {
		return []byte(user)
	}
	return []byte(string(user) + "/" + string(filter)) // a slash is in no user's id
}

func encodeThreadCursor(user UserID, filter ThreadFilter, p threadPosition) string {
	return encodeCursor(cursorThreads, append(p.activity[:], p.thread[:]...), threadListing(user, filter))
}

func decodeThreadCursor(user UserID, filter ThreadFilter, cursor string) (p threadPosition, err error) {
	b, err := decodeCursor(cursorThreads, cursor, len(p.activity)+len(p.thread), threadListing(user, filter))
	if err != nil {
		return threadPosition{}, err
	}
	copy(p.thread[:], b[copy(p.activity[:], b):])
	return p, nil
}

func encodeReportCursor(user UserID, id ReportID) string {
	return encodeCursor(cursorReports, id[:], []byte(user))
}

func decodeReportCursor(user UserID, cursor string) (ReportID, error) {
	b, err := decodeCursor(cursorReports, cursor, len(ReportID{}), []byte(user))
	if err != nil {
		return ReportID{}, err
	}
	return ReportID(b), nil
}

func encodeReactionCursor(id MessageID, emoji string, last Seq) string {
	return encodeCursor(cursorGivers, binary.BigEndian.AppendUint64(nil, uint64(last)), append(id[:], emoji...))
}

func decodeReactionCursor(id MessageID, emoji, cursor string) (Seq, error) {
	b, err := decodeCursor(cursorGivers, cursor, 8, append(id[:], emoji...))
	if err != nil {
		return 0, err
	}
	return Seq(binary.BigEndian.Uint64(b)), nil
}

// padded is a user's id with zeros behind it, which no id has.
func padded(u UserID) []byte { return append([]byte(u), make([]byte, MaxNameChars-len(u))...) }

func encodeBlockCursor(user, last UserID) string {
	return encodeCursor(cursorBlocks, padded(last), []byte(user))
}

func decodeBlockCursor(user UserID, cursor string) (UserID, error) {
	b, err := decodeCursor(cursorBlocks, cursor, MaxNameChars, []byte(user))
	if err != nil {
		return "", err
	}
	return UserID(bytes.TrimRight(b, "\x00")), nil
}

// isCursor reports whether a page cursor says that it is of the given kind.
func isCursor(kind cursorKind, cursor string) bool {
	b, err := cursorEncoding.DecodeString(cursor)
	return err == nil && len(b) > 0 && b[0] == byte(kind)
}

// pageSize is how many items a page holds.
func (s *Service) pageSize(p PageRequest) (int, error) {
	switch {
	case p.Size == 0:
		return min(DefaultPageSize, s.limits.PageSize), nil
	case p.Size < 0 || p.Size > s.limits.PageSize:
		return 0, Invalid("page_size", "is out of bounds")
	}
	return p.Size, nil
}

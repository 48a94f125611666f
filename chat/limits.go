package chat

import (
	"cmp"
	"time"
)

// Limits bound what callers may do (contract 5). All are settable; zero fields
// take the default, but for the rate, where zero is a setting.
type Limits struct {
	Participants      int           // people in a group, the creator included
	CiphertextBytes   int           // decoded
	IdempotencyWindow time.Duration // how long a retry is recognised by its key
	PageSize          int           // the largest page
	SendRate          float64       // messages per second and user; 0 is no limit
	SendBurst         int           // how many of them at once
	CommitTimeout     time.Duration // from minting an id to its commit; see OverlapWindow
}

// DefaultLimits are those of contract 5.
var DefaultLimits = Limits{
	Participants:      250,
	CiphertextBytes:   64 << 10,
	IdempotencyWindow: 24 * time.Hour,
	PageSize:          100,
	SendRate:          20,
	SendBurst:         40,
	CommitTimeout:     5 * time.Second,
}

func (l Limits) orDefaults() Limits {
	d := DefaultLimits
	l.Participants = cmp.Or(l.Participants, d.Participants)
	l.CiphertextBytes = cmp.Or(l.CiphertextBytes, d.CiphertextBytes)
	l.IdempotencyWindow = cmp.Or(l.IdempotencyWindow, d.IdempotencyWindow)
	l.PageSize = cmp.Or(l.PageSize, d.PageSize)
	l.CommitTimeout = cmp.Or(l.CommitTimeout, d.CommitTimeout)
	return l
}

// Bounds of contracts 1, 3 and 3.1 that are no settings.
const (
	DefaultPageSize          = 50
	MaxTitleChars            = 256
	MaxIdempotencyKey        = 64  // visible ASCII characters
	MaxAttachmentID          = 256 // characters
	MaxTTL                   = 2_419_200 * time.Second
	MaxNameChars             = 64               // user and device ids
	MaxUnreadCount           = 100              // exact to 99, 100 means more
	OverlapWindow            = 15 * time.Second // contract 4.2
	ReservedUser      UserID = "me"
)

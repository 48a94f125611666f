package chat

import (
	"cmp"
	"time"
)

// Limits bound what callers may do (docs/contract.md#limits). A field that is
// zero takes the default, except for the rates and for PrekeyFetches,
// PrekeyFetchesOf and Strangers: there zero means no limit.
type Limits struct {
	Participants      int           // people in a group, the creator included
	CiphertextBytes   int           // decoded
	IdempotencyWindow time.Duration // how long a retry is recognised by its key
	EditWindow        time.Duration // how long a message may be edited or deleted
	PageSize          int           // the largest page
	Pins              int           // pinned messages of a thread
	SendRate          float64       // durable writes per second and user, weighted
	SendBurst         int           // how many of them at once, at least 1
	SystemRate        float64       // system messages per second and service
	ReadRate          float64       // reads per second and user
	ReadBurst         int           // how many of them at once, at least 1
	SignalRate        float64       // signals per second and user, weighted
	PrekeyFetches     int           // per caller and minute
	PrekeyFetchesOf   int           // per caller and target in ten minutes
	Strangers         int           // per caller in a StrangersSpan
	CommitTimeout     time.Duration // from minting an id to its commit; shorter than OverlapWindow
}

// DefaultLimits are those of docs/contract.md#limits.
var DefaultLimits = Limits{
	Participants:      250,
	CiphertextBytes:   64 << 10,
	IdempotencyWindow: 24 * time.Hour,
	EditWindow:        15 * time.Minute,
	PageSize:          100,
	Pins:              3,
	SendRate:          20,
	SendBurst:         40,
	SystemRate:        1000,
	ReadRate:          50,
	ReadBurst:         200,
	SignalRate:        20,
	PrekeyFetches:     60,
	PrekeyFetchesOf:   6,
	Strangers:         1000,
	CommitTimeout:     5 * time.Second,
}

func (l Limits) orDefaults() Limits {
	d := DefaultLimits
	l.Participants = cmp.Or(l.Participants, d.Participants)
	l.CiphertextBytes = cmp.Or(l.CiphertextBytes, d.CiphertextBytes)
	l.IdempotencyWindow = cmp.Or(l.IdempotencyWindow, d.IdempotencyWindow)
	l.EditWindow = cmp.Or(l.EditWindow, d.EditWindow)
	l.PageSize = cmp.Or(l.PageSize, d.PageSize)
	l.Pins = cmp.Or(l.Pins, d.Pins)
	l.CommitTimeout = cmp.Or(l.CommitTimeout, d.CommitTimeout)
	return l
}

// Bounds of docs/contract.md#limits that are no settings.
const (
	DefaultPageSize          = 50
	MaxTitleChars            = 256
	MaxIdempotencyKey        = 64        // visible ASCII characters
	MaxAttachmentID          = 256       // characters
	MaxControlBytes          = 256 << 10 // of the ciphertext of a control message, decoded
	MaxShownBytes            = 64 << 10  // of a ciphertext in a frame or a page
	MaxEpoch          Epoch  = 1<<53 - 1
	MaxTTL                   = 2_419_200 * time.Second
	MaxEmojiBytes            = 64
	MaxReactions             = 64               // different ones on one message
	MaxReactionNames         = 100              // of one reaction in a message
	ReactionNameBytes        = 96               // what each of them counts in a page: about what it takes in JSON
	MaxNoteChars             = 1000             // of a report
	MaxNameChars             = 64               // user and device ids
	MaxUnreadCount           = 100              // exact to 99, 100 means more
	OverlapWindow            = 15 * time.Second // docs/contract.md#resuming
	ReservedUser      UserID = "me"
	MaxStrangers             = 100_000 // of [Limits.Strangers]
)

package base

import (
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
)

// Kept describes the subscriptions that a store keeps for one device, as far as [Surplus]
// needs to know them.
type Kept struct {
	Key   string // the store's
	At    time.Time
	Bytes int // of the filters' names
}

// Surplus gives those of a user's kept subscriptions that have to be forgotten, oldest first, so
// that what is put for another device has room ([chat.SubscriptionStore.PutSubscriptions]).
func Surplus(others []Kept, put int) (forget []Kept) {
	others = slices.Clone(others)
	slices.SortFunc(others, func(a, b Kept) int { return a.At.Compare(b.At) })
	bytes := put
	for _, k := range others {
		bytes += k.Bytes
	}
	for n := 0; len(others)-n >= chat.MaxKeptDevices || n < len(others) && bytes > chat.MaxKeptBytes; n++ {
		bytes -= others[n].Bytes
		forget = append(forget, others[n])
	}
	return forget
}

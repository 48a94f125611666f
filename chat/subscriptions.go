package chat

import "time"

// KeptSubscriptions are the subscriptions of a device that asked to find them again when it
// connects next (docs/contract.md#mqtt).
type KeptSubscriptions struct {
	Filters []KeptFilter
	// Keep is how long they outlive the connection.
	Keep time.Duration
	// Connected says that the connection had not ended when they were stored. It stays so
	// if the server is killed.
	Connected bool
	// At is when the connection ended or, while Connected, when it began.
	At time.Time
}

// KeptFilter is a topic filter as the device sent it, and the QoS that it was granted.
type KeptFilter struct {
	Name string
	QoS  byte
}

// MaxKeptDevices is for how many devices of a user subscriptions are kept.
const MaxKeptDevices = 16

// MaxKeptBytes bounds the names of all filters that are kept for a user's devices together.
const MaxKeptBytes = 256 << 10

// Bytes is how long the names of the filters are together.
func (k KeptSubscriptions) Bytes() (n int) {
	for _, f := range k.Filters {
		n += len(f.Name)
	}
	return n
}

// staleConnection is how old a connection is that is taken for one whose end was never stored.
const staleConnection = 180 * 24 * time.Hour

// Until is from when on the store may forget them.
func (k KeptSubscriptions) Until() time.Time {
	if k.Connected {
		return k.At.Add(k.Keep).Add(staleConnection)
	}
	return k.At.Add(k.Keep)
}

// Hold reports whether a device that connects now finds them, on a server that has run since
// started. If the connection was alive when a server before this one was killed, its time
// counts from the restart.
func (k KeptSubscriptions) Hold(now, started time.Time) bool {
	from := k.At
	if k.Connected {
		if !from.Before(started) {
			return true // it is alive, or ends now
		}
		from = started
	}
	return now.Before(from.Add(k.Keep))
}

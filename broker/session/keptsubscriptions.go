package session

import (
	"container/list"
	"sync"
	"time"

	"github.com/parleyhq/parley/chat"
)

// keptSubscriptions holds the subscriptions of devices that are away and have asked to
// find them again (MQTT session expiry). They are a convenience: the frames themselves
// are in the log, and a device that finds no session subscribes anew. So they are kept
// in memory, for a bounded time, of a bounded number of devices. The device that left
// first is dropped first.
type keptSubscriptions struct {
	mu      sync.Mutex
	devices map[keptKey]*list.Element // of *keptEntry
	perUser map[chat.UserID]int
	oldest  list.List
}

type keptKey struct {
	user   chat.UserID
	device chat.DeviceID
}

type keptEntry struct {
	key     keptKey
	filters []subscription
	expires time.Time
}

// Bounds of what is kept. With the bound per user, one user cannot push out all others.
const (
	maxKept        = 50_000
	maxKeptPerUser = 16
)

func (k *keptSubscriptions) put(key keptKey, filters []subscription, expires time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.devices == nil {
		k.devices = make(map[keptKey]*list.Element)
		k.perUser = make(map[chat.UserID]int)
	}
	k.forget(key)
	k.devices[key] = k.oldest.PushBack(&keptEntry{key, filters, expires})
	k.perUser[key.user]++
	if k.perUser[key.user] > maxKeptPerUser {
		k.forgetOldestOf(key.user)
	}
	if len(k.devices) > maxKept {
		k.forget(k.oldest.Front().Value.(*keptEntry).key)
	}
}

func (k *keptSubscriptions) pop(key keptKey, now time.Time) ([]subscription, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	el, ok := k.devices[key]
	if !ok {
		return nil, false
	}
	e := el.Value.(*keptEntry)
	k.forget(key)
	return e.filters, now.Before(e.expires)
}

func (k *keptSubscriptions) forget(key keptKey) {
	if el, ok := k.devices[key]; ok {
		k.oldest.Remove(el)
		delete(k.devices, key)
		if k.perUser[key.user]--; k.perUser[key.user] == 0 {
			delete(k.perUser, key.user)
		}
	}
}

func (k *keptSubscriptions) forgetOldestOf(user chat.UserID) {
	for el := k.oldest.Front(); el != nil; el = el.Next() {
		if e := el.Value.(*keptEntry); e.key.user == user {
			k.forget(e.key)
			return
		}
	}
}

// expire forgets devices whose time has passed. Those that asked for different
// times are not in order of expiry, so it looks at a few of the oldest and leaves
// the rest to take and the bound.
func (k *keptSubscriptions) expire(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for el, n := k.oldest.Front(), 0; el != nil && n < 1000; n++ {
		next := el.Next()
		if e := el.Value.(*keptEntry); !now.Before(e.expires) {
			k.forget(e.key)
		}
		el = next
	}
}

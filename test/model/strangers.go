package model

import (
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
)

// strangersAmong are those of some people who have no 1:1 with a user that they have accepted.
func (md *model) strangersAmong(by chat.UserID, users []chat.UserID) []chat.UserID {
	return slices.DeleteFunc(slices.Clone(users), func(u chat.UserID) bool { return u == by || md.knows(by, u) })
}

// refuseStrangers refuses to put strangers into a thread if more would count then than may. A
// stranger counts for a day from when it was put in first.
func (md *model) refuseStrangers(by chat.UserID, strangers []chat.UserID) chat.Code {
	counts := func(noted time.Time) bool { return md.now().Before(noted.Add(chat.StrangersSpan)) }
	all, fresh := 0, 0
	for _, noted := range md.strangers[by] {
		if counts(noted) {
			all++
		}
	}
	for _, u := range strangers {
		if noted, known := md.strangers[by][u]; !known || !counts(noted) {
			fresh++
		}
	}
	return refuseIf(fresh > 0 && all+fresh > limits.Strangers, chat.CodeTooManyStrangers)
}

// noteStrangers has strangers count who do not yet.
func (md *model) noteStrangers(by chat.UserID, strangers []chat.UserID) {
	if md.strangers[by] == nil {
		md.strangers[by] = make(map[chat.UserID]time.Time)
	}
	for _, u := range strangers {
		if noted, known := md.strangers[by][u]; !known || !md.now().Before(noted.Add(chat.StrangersSpan)) {
			md.strangers[by][u] = md.now()
		}
	}
}

package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/parleyhq/parley/chat"
)

// Forever is until when who mutes a thread for ever mutes it.
var Forever = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// KeptOf is what a user with many threads keeps of the thread n: every fourth is in its inbox, the
// next a request, the next archived, where its log ended with that seq, and the next muted.
func KeptOf(n int, end chat.Seq) chat.OwnState {
	st := chat.OwnState{Joined: 1, Revision: 1, Accepted: n%4 != 1}
	switch n % 4 {
	case 2:
		st.ArchivedAt = end
	case 3:
		st.MutedUntil = Forever
	}
	return st
}

// OwnStateUse is what a user with so many threads, of which it keeps what [KeptOf] says and has
// three messages to read in each, asks for.
type OwnStateUse struct {
	Name string
	// Page says that it is a page of a filter: it may cost no more than the page of all threads,
	// which is the first of the uses.
	Page bool
	Do   func(ctx context.Context, s *chat.Service, user chat.Caller, threads int) error
}

// OwnStateUses are those whose cost is held to: what is kept of threads costs the same for few and
// for many.
var OwnStateUses = []OwnStateUse{
	{"page of 50 of all threads", true, pageOf("", 4)},
	{"page of 50 of `inbox`", true, pageOf(chat.Inbox, 2)},
	{"page of 50 of `requests`", true, pageOf(chat.Requests, 1)},
	{"page of 50 of `archived`", true, pageOf(chat.Archived, 1)},
	{"the badge, `GET /v1/users/me/unread`", false, badge},
}

// pageOf asks for a page of those threads of which every fourth has so many.
func pageOf(filter chat.ThreadFilter, of int) func(context.Context, *chat.Service, chat.Caller, int) error {
	return func(ctx context.Context, s *chat.Service, user chat.Caller, threads int) error {
		page, err := s.Threads(ctx, user, chat.PageRequest{Size: 50, State: filter})
		if err != nil {
			return err
		}
		if least := min(50, threads/4*of); len(page.Threads) < least {
			return fmt.Errorf("the page of %q has %d threads, want %d", filter, len(page.Threads), least)
		}
		for _, v := range page.Threads {
			if v.Unread != 3 {
				return fmt.Errorf("of a thread with 3 unread messages, %d are counted", v.Unread)
			}
		}
		return nil
	}
}

// badge counts no message of a request, or of an archived or muted thread.
func badge(ctx context.Context, s *chat.Service, user chat.Caller, threads int) error {
	inbox := (threads + 3) / 4
	want := chat.UnreadCounts{Threads: min(inbox, chat.MaxUnreadCount), Messages: min(3*inbox, chat.MaxUnreadCount)}
	got, err := s.Unread(ctx, user)
	if err == nil && got != want {
		err = fmt.Errorf("the badge is %+v, want %+v", got, want)
	}
	return err
}

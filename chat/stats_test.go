package chat_test

import (
	"fmt"
	"testing"

	"github.com/parleyhq/parley/chat"
)

// Each limit counts what it has refused, or dropped, under its own name.
func TestWhatWasTooFastIsCounted(t *testing.T) {
	w := newWorldOf(t, setup{limits: chat.Limits{PrekeyFetches: 2, PrekeyFetchesOf: 1, Strangers: 3}})
	group := w.newGroup("ann", "bob", "cid")
	w.upload(on("cid", "phone"), upload(1, 9))
	counted := func() map[string]int64 {
		all := make(map[string]int64)
		w.RateLimited(func(kind string, n int64) { all[kind] = n })
		return all
	}
	ctx, ann := t.Context(), as("ann")
	for kind, call := range map[string]func() error{
		"prekeys_of_thread": func() error { _, err := w.FetchGroupPrekeys(ctx, ann, group, []chat.UserID{"bob"}); return err },
		"device_lists":      func() error { _, err := w.DevicesOf(ctx, ann, "cid"); return err },
		"strangers": func() error {
			_, _, err := w.AddParticipant(ctx, ann, group, chat.UserID(fmt.Sprint("stranger", w.sends.Add(1))))
			return err
		},
	} {
		n := int64(0)
		for before := counted()[kind]; n < 10; n++ {
			if err := call(); err != nil {
				if code := chat.CodeOf(err); code != chat.CodeRateLimited && code != chat.CodeTooManyStrangers {
					t.Fatalf("%s: %v", kind, err)
				}
				same(t, kind+" after a refusal", counted()[kind], before+1)
				break
			}
			same(t, kind+" before it", counted()[kind], before)
		}
		if n == 10 {
			t.Errorf("%s is not limited", kind)
		}
	}
	for i := range 8 { // of which others are told 6, see TestDeviceNewsAreLimited
		u := upload(1, 1)
		u.Identity = fmt.Append(nil, "identity ", i)
		w.upload(on("bob", "phone"), u)
	}
	same(t, "devices that were dropped", counted()["devices"], 2)
}

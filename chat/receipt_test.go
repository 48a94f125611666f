package chat

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// instant is the given second of a day; 0 is not set.
func instant(second int) time.Time {
	if second == 0 {
		return time.Time{}
	}
	return time.Unix(1_780_000_000+int64(second), 0).UTC()
}

func marked(kind MarkKind, seq Seq, second int) Mark {
	return Mark{User: "bob", Kind: kind, Seq: seq, At: instant(second)}
}

// anyMessage is one that does not expire and is hidden from nobody.
var anyMessage = Event{Kind: KindMessage, Seq: 1, By: "alice", Message: &Message{}}

func TestReceiptFrom(t *testing.T) {
	for name, c := range map[string]struct {
		delivered, read Mark
		want            RecipientReceipt
	}{
		"nothing":                     {want: RecipientReceipt{State: StateSent}},
		"delivered":                   {delivered: marked(Delivered, 3, 10), want: RecipientReceipt{State: StateDelivered, DeliveredAt: instant(10)}},
		"delivered, then read":        {delivered: marked(Delivered, 3, 10), read: marked(Read, 3, 20), want: RecipientReceipt{State: StateRead, DeliveredAt: instant(10), ReadAt: instant(20)}},
		"read with no delivery":       {read: marked(Read, 3, 20), want: RecipientReceipt{State: StateRead, DeliveredAt: instant(20), ReadAt: instant(20)}},
		"read, delivered up to later": {delivered: marked(Delivered, 9, 30), read: marked(Read, 3, 20), want: RecipientReceipt{State: StateRead, DeliveredAt: instant(20), ReadAt: instant(20)}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.User = "bob"
			if got := receiptFrom(anyMessage, Marks{User: "bob", Delivered: c.delivered, Read: c.read}, instant(100)); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// A message that expires at second 50, as its recipient bob stands at some moment.
func TestReceiptOfWhatExpires(t *testing.T) {
	failed := RecipientReceipt{User: "bob", State: StateFailed, Reason: FailedExpired}
	for name, c := range map[string]struct {
		deleted         DeleteReason
		delivered, read Mark
		now             int
		want            RecipientReceipt
	}{
		"before its time":                  {now: 49, want: RecipientReceipt{User: "bob", State: StateSent}},
		"at its time":                      {now: 50, want: failed},
		"swept":                            {deleted: DeletedByExpiry, now: 60, want: failed},
		"delivered before":                 {delivered: marked(Delivered, 1, 49), now: 60, want: RecipientReceipt{User: "bob", State: StateDelivered, DeliveredAt: instant(49)}},
		"delivered at its time":            {delivered: marked(Delivered, 1, 50), now: 60, want: failed},
		"delivered after":                  {delivered: marked(Delivered, 1, 51), now: 60, want: failed},
		"read before":                      {read: marked(Read, 1, 49), now: 60, want: RecipientReceipt{User: "bob", State: StateRead, DeliveredAt: instant(49), ReadAt: instant(49)}},
		"read at its time":                 {read: marked(Read, 1, 50), now: 60, want: failed},
		"delivered before, read after":     {delivered: marked(Delivered, 1, 49), read: marked(Read, 1, 70), now: 80, want: RecipientReceipt{User: "bob", State: StateRead, DeliveredAt: instant(49), ReadAt: instant(70)}},
		"deleted by its sender":            {deleted: DeletedBySender, now: 60, want: RecipientReceipt{User: "bob", State: StateSent}},
		"deleted by its sender, delivered": {deleted: DeletedBySender, delivered: marked(Delivered, 1, 55), now: 60, want: RecipientReceipt{User: "bob", State: StateDelivered, DeliveredAt: instant(55)}},
	} {
		t.Run(name, func(t *testing.T) {
			m := Event{Kind: KindMessage, Seq: 1, By: "alice", Message: &Message{ExpiresAt: instant(50), Deleted: c.deleted}}
			if got := receiptFrom(m, Marks{User: "bob", Delivered: c.delivered, Read: c.read}, instant(c.now)); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			m.Message.HiddenFrom = "bob"
			want := RecipientReceipt{User: "bob", State: StateFailed, Reason: FailedBlocked}
			if got := receiptFrom(m, Marks{User: "bob", Delivered: c.delivered, Read: c.read}, instant(c.now)); got != want {
				t.Errorf("hidden: got %+v, want %+v", got, want)
			}
		})
	}
}

func TestReceiptsHoldTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mark := func(kind MarkKind) Mark {
			if !rapid.Bool().Draw(t, string(kind)) {
				return Mark{}
			}
			return marked(kind, Seq(rapid.IntRange(1, 9).Draw(t, "seq")), rapid.IntRange(1, 50).Draw(t, "at"))
		}
		r := receiptFrom(anyMessage, Marks{User: "bob", Delivered: mark(Delivered), Read: mark(Read)}, instant(100))
		want := StateSent
		switch {
		case !r.ReadAt.IsZero():
			want = StateRead
		case !r.DeliveredAt.IsZero():
			want = StateDelivered
		}
		if r.State != want {
			t.Fatalf("%+v is %s", r, want)
		}
		if r.State == StateRead && (r.DeliveredAt.IsZero() || r.DeliveredAt.After(r.ReadAt)) {
			t.Fatalf("read before it was delivered: %+v", r)
		}
	})
}

func TestReceived(t *testing.T) {
	d, r := marked(Delivered, 5, 1), marked(Read, 5, 2)
	with := func(m Mark, message byte) Mark {
		m.Message = MessageID{message}
		return m
	}
	for name, c := range map[string]struct {
		marks Marks
		want  Mark
	}{
		"neither":         {Marks{}, Mark{}},
		"delivered only":  {Marks{Delivered: d}, d},
		"read only":       {Marks{Read: r}, r},
		"both at one seq": {Marks{Delivered: d, Read: r}, r},
		"read is higher":  {Marks{Delivered: marked(Delivered, 4, 1), Read: r}, r},
		"read is lower":   {Marks{Delivered: d, Read: marked(Read, 4, 2)}, d},

		"delivered up to no message":    {Marks{Delivered: d, Read: with(marked(Read, 4, 2), 1)}, with(d, 1)},
		"delivered up to an older one":  {Marks{Delivered: with(d, 1), Read: with(marked(Read, 4, 2), 2)}, with(d, 2)},
		"read up to an older one":       {Marks{Delivered: with(marked(Delivered, 4, 1), 2), Read: with(r, 1)}, with(r, 2)},
		"the higher has the newer, too": {Marks{Delivered: with(marked(Delivered, 4, 1), 1), Read: with(r, 2)}, with(r, 2)},
	} {
		if got := c.marks.Received(); got != c.want {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestMarksBefore(t *testing.T) {
	both := Marks{User: "bob", Delivered: marked(Delivered, 8, 2), Read: marked(Read, 5, 1)}
	for seq, want := range map[Seq]Marks{
		9: both,
		8: {User: "bob", Read: both.Read},
		6: {User: "bob", Read: both.Read},
		5: {User: "bob"},
	} {
		if got := both.before(seq); got != want {
			t.Errorf("before %d: %+v", seq, got)
		}
	}
}

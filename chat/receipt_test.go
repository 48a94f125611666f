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
			if got := receiptFrom(Marks{User: "bob", Delivered: c.delivered, Read: c.read}); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
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
		r := receiptFrom(Marks{User: "bob", Delivered: mark(Delivered), Read: mark(Read)})
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

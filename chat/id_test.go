package chat

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"pgregory.net/rapid"
)

// anID draws ids at the edges as often as in the middle.
func anID() *rapid.Generator[EventID] {
	return rapid.Custom(func(t *rapid.T) (id EventID) {
		edge := rapid.SampledFrom([]byte{0, 1, 0x7F, 0xFE, 0xFF})
		b := rapid.SliceOfN(rapid.OneOf(edge, rapid.Byte()), len(id), len(id)).Draw(t, "bytes")
		copy(id[:], b)
		return id
	})
}

func TestMintedIDsRiseWhateverTheClockSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prev := anID().Draw(t, "prev")
		prev[0] &= 0x7F // far from the end of all ids, some 4,000 years from now
		now := time.UnixMilli(rapid.Int64Range(-1000, 1<<47).Draw(t, "now"))
		for range 20 {
			id := nextEventID(prev, now)
			if id.Compare(prev) <= 0 {
				t.Fatalf("%s is not above %s", id, prev)
			}
			if ms := uint64(max(now.UnixMilli(), 0)); ms > prev.Time() && id.Time() != ms {
				t.Fatalf("minted at %d, its time is %d", ms, id.Time())
			}
			if back, err := ParseMessageID(id.String()); err != nil || back != id {
				t.Fatalf("%s reads back as %s, %v", id, back, err)
			}
			prev = id
		}
	})
}

func TestMintedIDCarries(t *testing.T) {
	prev := ulid.ULID{4: 1, 5: 2}
	binary.BigEndian.PutUint64(prev[8:], 1<<64-1)
	id := nextEventID(prev, time.UnixMilli(0))
	if id.Time() != prev.Time() || binary.BigEndian.Uint16(id[6:]) != 1 {
		t.Errorf("after %v came %v: no carry into the upper entropy", prev, id)
	}
	binary.BigEndian.PutUint16(prev[6:], 1<<16-1)
	id = nextEventID(prev, time.UnixMilli(0))
	if id.Time() != prev.Time()+1 || id.Compare(prev) <= 0 {
		t.Errorf("after %v came %v: no carry into the time", prev, id)
	}
}

func TestNextInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := anID().Draw(t, "id")
		next := NextInOrder(id)
		highest := EventID([]byte(strings.Repeat("\xFF", 16)))
		if id == highest {
			if next != highest {
				t.Fatalf("after the highest came %v", next)
			}
			return
		}
		if next.Compare(id) <= 0 {
			t.Fatalf("%v is not above %v", next, id)
		}
		// Nothing lies between: one less is where it came from.
		for i := len(next) - 1; i >= 0; i-- {
			if next[i]--; next[i] != 0xFF {
				break
			}
		}
		if next != id {
			t.Fatalf("%v was skipped", next)
		}
	})
	if got := NextInOrder(EventID{15: 0xFF}); got != (EventID{14: 1}) {
		t.Errorf("no carry: %v", got)
	}
}

func TestEventIDAt(t *testing.T) {
	at := time.Date(2026, 5, 30, 17, 42, 11, 234_999_999, time.UTC)
	id := EventIDAt(at)
	if got := IDTime(id); !got.Equal(at.Truncate(time.Millisecond)) {
		t.Errorf("the id's time is %v", got)
	}
	if minted := nextEventID(EventID{}, at); minted.Compare(id) < 0 {
		t.Errorf("%s was minted then, and lies below %s", minted, id)
	}
	if before := nextEventID(EventID{}, at.Add(-time.Millisecond)); before.Compare(id) >= 0 {
		t.Errorf("%s was minted before, and does not lie below %s", before, id)
	}
	for _, early := range []time.Time{{}, time.Unix(-1, 0)} {
		if got := EventIDAt(early); !got.IsZero() {
			t.Errorf("the id of %v is %s", early, got)
		}
	}
}

// What follows in another log gets a greater id too, if a microsecond has passed.
func TestMintedIDsRiseWithTheTimeOverLogs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(0, rapid.Int64Range(0, 1<<60).Draw(t, "now"))
		later := now.Add(time.Duration(rapid.Int64Range(1000, 1<<30).Draw(t, "passed")))
		one, other := nextEventID(EventID{}, now), nextEventID(EventID{}, later)
		if one.Compare(other) >= 0 {
			t.Fatalf("%s at %v, then %s at %v", one, now, other, later)
		}
		thread, err := newThreadID(one)
		if err != nil || thread.creation().Compare(one) > 0 || thread.creation().Compare(other) >= 0 {
			t.Fatalf("%s, created with %s before %s, says %s, %v", thread, one, other, thread.creation(), err)
		}
	})
}

func TestThreadIDsTellTheirCreation(t *testing.T) {
	at := time.Date(2026, 5, 30, 17, 42, 11, 234e6, time.UTC)
	created := nextEventID(EventID{}, at)
	seen := make(map[ThreadID]bool)
	for range 1000 {
		id, err := newThreadID(created)
		if err != nil || seen[id] {
			t.Fatalf("minted %s again, or %v", id, err)
		}
		seen[id] = true
		if !IDTime(id.creation()).Equal(at) {
			t.Fatalf("%s says it was created at %v", id, IDTime(id.creation()))
		}
		if s := id.String(); s[14] != '7' || !strings.ContainsRune("89ab", rune(s[19])) {
			t.Fatalf("%s is no UUID of version 7", s)
		}
		if back, err := ParseThreadID(id.String()); err != nil || back != id {
			t.Fatalf("%s reads back as %s, %v", id, back, err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, good := range []string{"a", "Z", "0", "a_.-", "9-", strings.Repeat("x", 64), "Me", "me2"} {
		if _, err := ParseUserID(good); err != nil {
			t.Errorf("user %q: %v", good, err)
		}
		if _, err := ParseDeviceID(good); err != nil {
			t.Errorf("device %q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "_a", ".a", "-a", "a b", "a/b", "a+b", "a#", "é", "a\x00", "a\n", strings.Repeat("x", 65)} {
		if _, err := ParseUserID(bad); err == nil {
			t.Errorf("user %q passed", bad)
		}
		if _, err := ParseDeviceID(bad); err == nil {
			t.Errorf("device %q passed", bad)
		}
	}
	if _, err := ParseUserID("me"); err == nil {
		t.Error("the reserved name passed")
	}
	if _, err := ParseDeviceID("me"); err == nil {
		t.Error("the reserved name passed as a device")
	}
}

func TestIDsAreReadInOneFormOnly(t *testing.T) {
	const thread, message = "019718a8-7f32-7c3e-8a57-0242ac120002", "01JWGYAV5K6Q2W8Z3N4R5T6V7X"
	if _, err := ParseThreadID(thread); err != nil {
		t.Error(err)
	}
	if _, err := ParseMessageID(message); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{
		"", strings.ToUpper(thread), strings.ReplaceAll(thread, "-", ""), "{" + thread + "}", "urn:uuid:" + thread, thread + "0", thread[1:], "g" + thread[1:],
	} {
		if _, err := ParseThreadID(bad); err == nil {
			t.Errorf("thread %q passed", bad)
		}
	}
	for _, bad := range []string{
		"", strings.ToLower(message), message[1:], message + "0", "8" + message[1:], "01JWGYAV5K6Q2W8Z3N4R5T6V7U", "01JWGYAV5K6Q2W8Z3N4R5T6V7I",
	} {
		if _, err := ParseMessageID(bad); err == nil {
			t.Errorf("message %q passed", bad)
		}
	}
}

// Reports filed within a millisecond sort as they came, also when the clock is set back.
func TestReportIDsSortAsTheyCome(t *testing.T) {
	var ids reportIDs
	at := time.UnixMilli(1_800_000_000_000)
	last := ids.next(at)
	for range 1000 {
		id := ids.next(at)
		if id.Compare(last) <= 0 || !IDTime(id).Equal(at) {
			t.Fatalf("%s came after %s", id, last)
		}
		last = id
	}
	for _, back := range []time.Duration{time.Millisecond, time.Hour} {
		id := ids.next(at.Add(-back))
		if id.Compare(last) <= 0 {
			t.Errorf("%s came after %s, the clock %v back", id, last, back)
		}
		last = id
	}
}

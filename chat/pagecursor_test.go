package chat

import (
	"testing"

	"pgregory.net/rapid"
)

var (
	aThread  = ThreadID{1, 2, 3}
	history  = messageListing{cursorHistory, aThread, ""}
	listings = []messageListing{history, {cursorSince, aThread, ""}, {cursorHistory, aThread, Text}, {cursorSince, aThread, ImageRef}}
)

func TestCursorsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seq := Seq(rapid.Uint64().Draw(t, "seq"))
		for _, l := range listings {
			if back, err := l.decode(l.encode(seq)); err != nil || back != seq {
				t.Fatalf("seq %d reads back as %d, %v", seq, back, err)
			}
			for _, other := range []messageListing{{l.kind, ThreadID{9}, l.filter}, {l.kind, l.thread, VideoRef}} {
				if _, err := other.decode(l.encode(seq)); err == nil {
					t.Fatalf("%v took the cursor of %v", other, l)
				}
			}
		}
		at := aPosition().Draw(t, "position")
		back, err := decodeThreadCursor("ann", "", encodeThreadCursor("ann", "", at))
		if err != nil || back != at {
			t.Fatalf("%v reads back as %v, %v", at, back, err)
		}
		if _, err := decodeThreadCursor("bob", "", encodeThreadCursor("ann", "", at)); err == nil {
			t.Fatal("another user took the cursor")
		}
		report := ReportID{0: rapid.Byte().Draw(t, "report")}
		if id, err := decodeReportCursor("ann", encodeReportCursor("ann", report)); err != nil || id != report {
			t.Fatalf("%v reads back as %v, %v", report, id, err)
		}
		if _, err := decodeReportCursor("bob", encodeReportCursor("ann", report)); err == nil {
			t.Fatal("another operator took the cursor")
		}
	})
}

// aPosition draws places of a few instants and threads, so that ties are common.
func aPosition() *rapid.Generator[threadPosition] {
	return rapid.Custom(func(t *rapid.T) threadPosition {
		return threadPosition{
			activity: EventID{5: rapid.ByteRange(0, 3).Draw(t, "activity"), 15: rapid.ByteRange(0, 2).Draw(t, "entropy")},
			thread:   ThreadID{0: rapid.ByteRange(0, 3).Draw(t, "first"), 15: rapid.ByteRange(0, 2).Draw(t, "last")},
		}
	})
}

// A cursor of which any byte was altered is refused.
func TestAlteredCursorsAreRefused(t *testing.T) {
	cursors := map[string]func(string) error{
		history.encode(7): func(c string) error { _, err := history.decode(c); return err },
		encodeThreadCursor("ann", "", threadPosition{EventID{1}, aThread}): func(c string) error {
			_, err := decodeThreadCursor("ann", "", c)
			return err
		},
		encodeReportCursor("ann", ReportID{1}): func(c string) error { _, err := decodeReportCursor("ann", c); return err },
	}
	for cursor, decode := range cursors {
		b, err := cursorEncoding.DecodeString(cursor)
		if err != nil {
			t.Fatal(err)
		}
		for i := range b {
			b[i] ^= 1
			if decode(cursorEncoding.EncodeToString(b)) == nil {
				t.Errorf("%s was taken with byte %d altered", cursor, i)
			}
			b[i] ^= 1
		}
	}
}

// Without a total order a page could leave a thread out, or show it twice.
func TestThreadPositionsAreTotallyOrdered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q, r := aPosition().Draw(t, "p"), aPosition().Draw(t, "q"), aPosition().Draw(t, "r")
		switch {
		case p == q && (p.before(q) || q.before(p)):
			t.Fatal("a place is before itself")
		case p != q && p.before(q) == q.before(p):
			t.Fatal("two places are not in one order")
		case p.before(q) && q.before(r) && !p.before(r):
			t.Fatal("the order goes round")
		case p.before(q) && p.activity.Compare(q.activity) < 0:
			t.Fatal("the latest does not come first")
		}
	})
}

// Whatever a client sends as a cursor is refused, unless it is exactly what this listing
// gives for that position.
func FuzzCursor(f *testing.F) {
	for _, seed := range []string{
		"", "!", "aA", "aAAAAAAAAAA=", "aAAA\nAAAAAAAA", history.encode(0), listings[1].encode(1<<64 - 1), listings[2].encode(7),
		encodeReportCursor("ann", ReportID{1}), encodeThreadCursor("ann", "", threadPosition{activity: EventID{1, 2, 3}, thread: ThreadID{1, 2, 3}}),
		encodeThreadCursor("ann", "", threadPosition{activity: EventID{15: 1}}),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		accepted := 0
		for _, l := range listings {
			seq, err := l.decode(cursor)
			if err == nil {
				accepted++
				if again := l.encode(seq); again != cursor {
					t.Errorf("%q was taken for %q", cursor, again)
				}
			} else if CodeOf(err) != CodeInvalidRequest {
				t.Errorf("%q: %v", cursor, err)
			}
		}
		place, err := decodeThreadCursor("ann", "", cursor)
		if err == nil {
			accepted++
			if again := encodeThreadCursor("ann", "", place); again != cursor {
				t.Errorf("%q was taken for %q", cursor, again)
			}
		} else if CodeOf(err) != CodeInvalidRequest {
			t.Errorf("%q: %v", cursor, err)
		}
		if report, err := decodeReportCursor("ann", cursor); err == nil {
			accepted++
			if again := encodeReportCursor("ann", report); again != cursor {
				t.Errorf("%q was taken for %q", cursor, again)
			}
		}
		if accepted > 1 {
			t.Errorf("%d listings take %q for theirs", accepted, cursor)
		}
	})
}

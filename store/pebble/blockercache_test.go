package pebble

import "testing"

// What was read before a block says nothing after it.
func TestABlockEndsWhatWasRead(t *testing.T) {
	k := newBlockerCache()
	want := func(when string, may, known bool) {
		t.Helper()
		if m, kn, _ := k.get("ann"); m != may || kn != known {
			t.Errorf("%s: may block: %v, known: %v; want %v, %v", when, m, kn, may, known)
		}
	}
	want("at first", true, false)
	_, _, add := k.get("ann")
	k.blocked("ann")
	add(false)
	want("read before the block", true, false)
	_, _, add = k.get("ann")
	add(false)
	want("read after it", false, true)
	k.blocked("ann")
	want("after another", true, true)
}

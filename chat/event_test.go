package chat

import (
	"errors"
	"testing"
)

func TestCheckRun(t *testing.T) {
	one, other := ThreadID{1}, ThreadID{2}
	errOwn := errors.New("the store's own")
	anything := func(Event) error { return nil }
	for name, c := range map[string]struct {
		events []Event
		check  func(Event) error
		ok     bool
	}{
		"none":                 {nil, anything, true},
		"a run":                {[]Event{{Thread: one, Seq: 5}, {Thread: one, Seq: 6}}, anything, true},
		"not after the head":   {[]Event{{Thread: one, Seq: 6}}, anything, false},
		"one of the past":      {[]Event{{Thread: one, Seq: 4}}, anything, false},
		"with a gap":           {[]Event{{Thread: one, Seq: 5}, {Thread: one, Seq: 7}}, anything, false},
		"of another thread":    {[]Event{{Thread: one, Seq: 5}, {Thread: other, Seq: 6}}, anything, false},
		"refused by the store": {[]Event{{Thread: one, Seq: 5}}, func(Event) error { return errOwn }, false},
	} {
		if err := CheckRun(Head{Seq: 4}, c.events, c.check); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

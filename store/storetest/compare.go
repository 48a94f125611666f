package storetest

import (
	"reflect"
	"slices"
	"time"

	"github.com/parleyhq/parley/chat"
)

// folded is a log as a store gives it, made of the events that were appended: messages
// and the events that show one come with all later changes folded in.
func folded(appended []chat.Event) []chat.Event {
	now := slices.Clone(appended)
	at := func(target chat.Target) *chat.Event {
		return &now[slices.IndexFunc(now, func(e chat.Event) bool { return e.Seq == target.Seq })]
	}
	for _, e := range appended {
		if e.ChangesMessage() {
			target := at(e.Target)
			after := target.Message.Apply(e)
			target.Message = &after
		}
	}
	for i, e := range now {
		now[i] = e.ShownTo("")
	}
	for i, e := range now {
		if e.ChangesMessage() && e.HasContent() {
			now[i].Message = at(e.Target).Message
		}
	}
	return now
}

// canonical gives events of the same meaning the same form: times to the millisecond
// in UTC, nil for empty lists.
func canonical(e chat.Event) chat.Event {
	if e.Message != nil {
		m := *e.Message
		m.Ciphertext = canonicalBytes(m.Ciphertext)
		m.ExpiresAt, m.EditedAt = canonicalTime(m.ExpiresAt), canonicalTime(m.EditedAt)
		reactions := m.Reactions
		m.Reactions = nil
		for _, r := range reactions {
			r.By = slices.Clone(r.By)
			for i := range r.By {
				r.By[i].At = canonicalTime(r.By[i].At)
			}
			m.Reactions = append(m.Reactions, r)
		}
		veils := m.Veils
		m.Veils = nil
		for _, v := range veils {
			m.Veils = append(m.Veils, canonicalVeil(v))
		}
		e.Message = &m
	}
	if e.Change != nil && len(e.Change.Members) == 0 {
		c := *e.Change
		c.Members = nil
		e.Change = &c
	}
	return e
}

func canonicalVeil(v chat.Veil) chat.Veil {
	if v.Content != nil {
		c := *v.Content
		c.Ciphertext, c.EditedAt = canonicalBytes(c.Ciphertext), canonicalTime(c.EditedAt)
		v.Content = &c
	}
	v.Hidden = append([]string{}, v.Hidden...)
	kept := v.Kept
	v.Kept = []chat.VeiledReaction{}
	for _, k := range kept {
		k.By.At = canonicalTime(k.By.At)
		v.Kept = append(v.Kept, k)
	}
	return v
}

func canonicalBytes(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

func canonicalTime(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}

// sameEvent reports whether two events hold the same.
func sameEvent(a, b chat.Event) bool { return reflect.DeepEqual(canonical(a), canonical(b)) }

func sameThread(a, b chat.Thread) bool {
	return reflect.DeepEqual(canonicalThread(a), canonicalThread(b))
}

func canonicalThread(t chat.Thread) chat.Thread {
	t.CreatedAt = canonicalTime(t.CreatedAt)
	t.Participants = append([]chat.Participant{}, t.Participants...)
	for i := range t.Participants {
		t.Participants[i].JoinedAt = canonicalTime(t.Participants[i].JoinedAt)
	}
	t.Pins = append([]chat.Pin{}, t.Pins...)
	for i := range t.Pins {
		t.Pins[i].At = canonicalTime(t.Pins[i].At)
	}
	return t
}

// seqs are the seqs of events, for messages of failed tests.
func seqs(events []chat.Event) []chat.Seq {
	out := make([]chat.Seq, len(events))
	for i, e := range events {
		out[i] = e.Seq
	}
	return out
}

// wantEvents fails the test unless got is exactly want, in order.
func wantEvents(tb TB, what string, got, want []chat.Event) {
	tb.Helper()
	if !slices.Equal(seqs(got), seqs(want)) {
		tb.Errorf("%s: events %v, want %v", what, seqs(got), seqs(want))
		return
	}
	for i, e := range got {
		if !sameEvent(e, want[i]) {
			tb.Errorf("%s: an event is %s, want %s", what, describe(e), describe(want[i]))
		}
	}
}

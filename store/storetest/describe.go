package storetest

import (
	"fmt"
	"strings"

	"github.com/parleyhq/parley/chat"
)

// describe prints all of an event, for messages of failed tests.
func describe(e chat.Event) string {
	e = canonical(e)
	parts := []string{fmt.Sprintf("{%s %d %s by %q on %q", e.Kind, e.Seq, e.ID, e.By, e.Device)}
	add := func(there bool, name string, value any) {
		if there {
			parts = append(parts, fmt.Sprintf("%s: %+v", name, value))
		}
	}
	add(e.Target != (chat.Target{}), "target", e.Target)
	add(e.HiddenFrom != "", "hidden from", e.HiddenFrom)
	if m := e.Message; m != nil {
		shown := *m
		text := string(shown.Ciphertext)
		shown.Ciphertext, shown.BodyHash = nil, [32]byte{}
		add(true, "message", shown)
		add(true, "text", fmt.Sprintf("%d %.20q", len(text), text))
	}
	add(e.Reason != "", "reason", e.Reason)
	if e.Reaction != nil {
		add(true, "reaction", *e.Reaction)
	}
	if e.Change != nil {
		add(true, "change", *e.Change)
	}
	return strings.Join(parts, ", ") + "}"
}

package e2e

import (
	"encoding/json"
	"testing"
	"time"
)

// asJSON makes values with pointers comparable, and readable in a failure.
func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// instant parses a time in the form of the contract.
func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02T15:04:05.000Z", text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// awaitTime waits until that time. The server has the same clock.
func awaitTime(t testing.TB, at time.Time) {
	t.Helper()
	select {
	case <-time.After(time.Until(at)):
	case <-t.Context().Done():
		t.Fatal("the test is over")
	}
}

// text is a string that may be null, for messages and comparisons.
func text(s *string) string {
	if s == nil {
		return "(null)"
	}
	return *s
}

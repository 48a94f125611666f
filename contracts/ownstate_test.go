package contracts

import (
	"testing"
	"time"
)

func TestDecodeMutedUntil(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2099-05-30T17:42:11Z":          time.Date(2099, 5, 30, 17, 42, 11, 0, time.UTC),
		"2099-05-30T17:42:11.2349Z":     time.Date(2099, 5, 30, 17, 42, 11, 234e6, time.UTC),
		"2099-05-30T19:42:11.234+02:00": time.Date(2099, 5, 30, 17, 42, 11, 234e6, time.UTC),
		"9999-12-31T23:59:59.999Z":      time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC),
		`\u0032099-05-30T17:42:11.234Z`: time.Date(2099, 5, 30, 17, 42, 11, 234e6, time.UTC),
		"2000-02-29T00:00:00.000-00:00": time.Date(2000, 2, 29, 0, 0, 0, 0, time.UTC),
	} {
		change, err := DecodeOwnState([]byte(`{"muted_until":"` + text + `"}`))
		if err != nil || change.MutedUntil == nil || !change.MutedUntil.Equal(want) {
			t.Errorf("%s: got %v, %v, want %s", text, change.MutedUntil, err, want)
		}
	}
	for _, text := range []string{
		``, `x`, `2099-05-30`, `2099-05-30T17:42:11`, `2099-05-30 17:42:11Z`, `2099-05-30T17:42:11,234Z`, `2099-05-30T7:42:11Z`,
		`2099-05-30T17:42Z`, `2099-02-29T17:42:11Z`, `2099-05-30T24:00:00Z`, `2099-05-30T17:42:60Z`, `2099-05-30T17:42:11+24:00`,
		`2099-05-30T17:42:11+0200`, `10000-01-01T00:00:00Z`, `0000-01-01T00:00:00Z`, `9999-12-31T23:59:59-01:00`, ` 2099-05-30T17:42:11Z`,
	} {
		t.Run(text, func(t *testing.T) {
			_, err := DecodeOwnState([]byte(`{"muted_until":"` + text + `"}`))
			wantInvalid(t, err, "muted_until")
		})
	}
}

package hooks

import (
	"errors"
	"testing"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// Every refusal of a CONNECT, as docs/contract.md#mqtt spells it for MQTT 5 and
// 3.1.1.
func TestConnackCodes(t *testing.T) {
	for _, c := range []struct {
		why    string
		err    error
		v5, v3 byte
	}{
		{"a bad token", chat.Refuse(contracts.CodeUnauthenticated, ""), 0x86, 5},
		{"a missing scope", chat.Refuse(chat.CodeMissingScope, ""), 0x87, 5},
		{"another device than the token's", chat.Refuse(contracts.CodeDeviceMismatch, ""), 0x87, 5},
		{"a malformed device id or last_seen_id", chat.Invalid("id", "is bad"), 0x85, 2},
		{"one connection too many", chat.Refuse(chat.CodeRateLimited, ""), 0x97, 3},
		{"a shutdown", chat.Refuse(chat.CodeUnavailable, ""), 0x88, 3},
		{"a will", errNoWills, 0x87, 5},
		{"an authentication method", errNoAuthMethods, 0x8C, 3},
		{"a failure of ours", errors.New("x"), 0x88, 3},
	} {
		code := connackCode(c.err)
		if code.Code != c.v5 {
			t.Errorf("%s: %#x, want %#x", c.why, code.Code, c.v5)
		}
		if got := connackCode3(code.Code); got != c.v3 {
			t.Errorf("%s in 3.1.1: %d, want %d", c.why, got, c.v3)
		}
	}
	if got := connackCode3(0x84); got != 1 {
		t.Errorf("an unknown protocol version in 3.1.1: %d, want 1", got)
	}
	if got := connackCode3(0); got != 0 {
		t.Errorf("success in 3.1.1: %d", got)
	}
}

// Internals never reach a client through a reason string.
func TestReasonStringsShowNoInternals(t *testing.T) {
	err := chat.Unavailable("open /var/lib/secret", errors.New("disk 7 is broken"))
	if got := connackCode(err).Reason; got != "unavailable: the service cannot do this now, retry later" {
		t.Errorf("the client is told %q", got)
	}
}

func TestSubackCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want byte
	}{
		{contracts.ErrFilterMalformed, 0x8F},
		{contracts.ErrFilterShared, 0x9E},
		{contracts.ErrFilterOutside, 0x87},
		{chat.Refuse(chat.CodeNotAParticipant, ""), 0x87},
		{chat.Refuse(chat.CodeThreadNotFound, ""), 0x87},
		{chat.Unavailable("look", errors.New("x")), 0x80},
	} {
		if got := subackCode(c.err); got != c.want {
			t.Errorf("%v: %#x, want %#x", c.err, got, c.want)
		}
	}
}

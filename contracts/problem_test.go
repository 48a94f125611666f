package contracts

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parleyhq/parley/chat"
)

func TestProblemOf(t *testing.T) {
	for _, tc := range []struct {
		name       string
		err        error
		status     int
		code       chat.Code
		retryAfter int
	}{
		{"a refusal", chat.Refuse(chat.CodeThreadFull, "full"), 409, chat.CodeThreadFull, 0},
		{"a wrapped one", fmt.Errorf("doing: %w", chat.Refuse(chat.CodeNotAnAdmin, "no")), 403, chat.CodeNotAnAdmin, 0},
		{"the store is away", chat.Unavailable("read", errors.New("disk 7")), 503, chat.CodeUnavailable, 1},
		{"half seconds round up", &chat.Error{Code: chat.CodeRateLimited, RetryAfter: 1500 * time.Millisecond}, 429, chat.CodeRateLimited, 2},
		{"429 always says when", &chat.Error{Code: chat.CodeRateLimited}, 429, chat.CodeRateLimited, 1},
		{"no refusal", errors.New("disk 7"), 500, CodeInternal, 0},
		{"an unknown code", chat.Refuse("disk_7", "disk 7"), 500, CodeInternal, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := ProblemOf(tc.err)
			if p.Status != tc.status || p.Code != tc.code || p.RetryAfter != tc.retryAfter {
				t.Errorf("got %+v", p)
			}
			b, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(b), "disk 7") {
				t.Errorf("leaks: %s", b)
			}
		})
	}
}

func TestProblemJSON(t *testing.T) {
	b, err := json.Marshal(ProblemOf(chat.Invalid("title", "is too long")))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"type":"/problems/invalid_request","title":"The request is not valid","status":400,` +
		`"detail":"title is too long","code":"invalid_request","errors":[{"field":"title","message":"is too long"}]}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

// A code that is not in problemKinds would be answered as an internal error.
func TestEveryCodeOfTheDomainHasAStatus(t *testing.T) {
	source, err := os.ReadFile("../chat/errors.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`(?m)^\tCode\w+ +Code = "(\w+)"$`).FindAllSubmatch(source, -1)
	if len(codes) == 0 {
		t.Fatal("found no codes")
	}
	for _, code := range codes {
		if p := ProblemOf(chat.Refuse(chat.Code(code[1]), "why")); p.Code != chat.Code(code[1]) {
			t.Errorf("%s is told as %d %s", code[1], p.Status, p.Code)
		}
	}
}

func TestStatusesOfTheContract(t *testing.T) {
	for code, status := range map[chat.Code]int{
		chat.CodeNotTheSender: 403, chat.CodeEditWindowClosed: 403, chat.CodeNoSharedThread: 403,
		chat.CodePinNotFound: 404, chat.CodeNoPrekeys: 404,
		chat.CodeMessageDeleted: 409, chat.CodeTooManyReactions: 409, chat.CodeTooManyPins: 409, chat.CodeTooManyDevices: 409,
		chat.CodeAttachmentBlocked: 422, chat.CodePrekeysExhausted: 503,
	} {
		if p := ProblemOf(chat.Refuse(code, "why")); p.Status != status || p.Code != code || (status == 503) != (p.RetryAfter > 0) {
			t.Errorf("%s: got %+v", code, p)
		}
	}
}

package e2e

import (
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// base64Pattern is the pattern that the documents give for ciphertexts. A backlog has many
// megabytes of them, which Go's regular expressions take very long for under the race
// detector.
const base64Pattern = `^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$`

// compilePattern is the engine for the patterns of the documents' schemas.
func compilePattern(pattern string) (jsonschema.Regexp, error) {
	if pattern == base64Pattern {
		return isBase64{}, nil
	}
	return regexp.Compile(pattern)
}

// isBase64 matches what base64Pattern does.
type isBase64 struct{}

func (isBase64) String() string { return base64Pattern }

// MatchString implements jsonschema.Regexp.
func (isBase64) MatchString(s string) bool {
	if len(s)%4 != 0 {
		return false
	}
	digits := strings.TrimRight(s[max(0, len(s)-2):], "=")
	digits = s[:max(0, len(s)-2)] + digits
	for i := range len(digits) {
		switch c := digits[i]; {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '+', c == '/':
		default:
			return false
		}
	}
	return true
}

func TestBase64IsThePatternOfTheDocuments(t *testing.T) {
	doc, err := document("asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := dig(doc, "components", "schemas", "Bytes", "pattern"); got != base64Pattern {
		t.Errorf("the pattern of asyncapi.yaml is %v", got)
	}
	slow := regexp.MustCompile(base64Pattern)
	for _, s := range []string{
		"", "=", "==", "===", "====", "A", "AA", "AA=", "AA==", "AAA=", "AAA", "AAAA", "A===", "A=A=", "=AAA", "AA=A", "AAAA=", "AAAA====",
		"AAAAAA==", "AA==AAAA", "AA==\n", "AAA\n", "A/+9", "A-_9", "AAA\u00e9", " AAA", "AAA ",
	} {
		if got, want := (isBase64{}).MatchString(s), slow.MatchString(s); got != want {
			t.Errorf("%q matches: %v, want %v", s, got, want)
		}
	}
}

package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// signRaw signs a header and claims as they are spelled.
func signRaw(header, claims string) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

const plainHeader = `{"alg":"HS256","typ":"JWT"}`

func TestClaimNamesAreExactAndComeOnce(t *testing.T) {
	v, _ := newVerifier(t, Config{})
	later, past := start.Add(time.Hour).Unix(), start.Add(-time.Hour).Unix()
	claims := func(rest string) string { return fmt.Sprintf(`{"sub":"alice","exp":%d%s}`, later, rest) }
	for name, ok := range map[string]string{
		"plain":           claims(""),
		"unknown claims":  claims(`,"Name":"A","name":"a","roles":["x"],"deep":{"sub":"bob"}`),
		"an escaped name": fmt.Sprintf(`{"s\u0075b":"alice","exp":%d}`, later),
	} {
		if id, err := v.Verify(signRaw(plainHeader, ok)); err != nil || id.User != "alice" {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	for name, bad := range map[string]string{
		"SUB beside sub":            claims(`,"SUB":"victim"`),
		"Sub before sub":            `{"Sub":"victim",` + claims("")[1:],
		"sub twice":                 claims(`,"sub":"victim"`),
		"sub twice, the same":       claims(`,"sub":"alice"`),
		"sub twice, one escaped":    claims(`,"s\u0075b":"victim"`),
		"SUB alone":                 fmt.Sprintf(`{"SUB":"alice","exp":%d}`, later),
		"EXP alone":                 fmt.Sprintf(`{"sub":"alice","EXP":%d}`, later),
		"EXP beside a past exp":     fmt.Sprintf(`{"sub":"alice","exp":%d,"EXP":%d}`, past, later),
		"exp twice":                 fmt.Sprintf(`{"sub":"alice","exp":%d,"exp":%d}`, past, later),
		"Scope":                     claims(`,"Scope":"chat.admin"`),
		"scope twice":               claims(`,"scope":"chat.read","scope":"chat.admin"`),
		"DEVICE_ID":                 claims(`,"DEVICE_ID":"phone"`),
		"Nbf":                       claims(`,"Nbf":0`),
		"exp in quotes":             fmt.Sprintf(`{"sub":"alice","exp":"%d"}`, later),
		"nbf in quotes":             claims(`,"nbf":"0"`),
		"iat in quotes":             claims(`,"iat":"0"`),
		"an unknown claim twice":    claims(`,"x":1,"x":1`),
		"not UTF-8":                 claims(",\"x\":\"\xff\""),
		"something behind":          claims("") + "{}",
		"a list":                    `[]`,
		"null":                      `null`,
		"a long s in place of an s": fmt.Sprintf(`{"\u017fub":"alice","exp":%d}`, later),
	} {
		if id, err := v.Verify(signRaw(plainHeader, bad)); chat.CodeOf(err) != contracts.CodeUnauthenticated {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	for name, header := range map[string]string{
		"alg twice": `{"alg":"none","alg":"HS256"}`,
		"kid twice": `{"alg":"HS256","kid":"a","kid":"b"}`,
		"ALG":       `{"ALG":"HS256"}`,
	} {
		if id, err := v.Verify(signRaw(header, claims(""))); chat.CodeOf(err) != contracts.CodeUnauthenticated {
			t.Errorf("the header with %s: %+v, %v", name, id, err)
		}
	}
}

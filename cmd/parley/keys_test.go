package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/auth/jwks/jwkstest"
)

func claimsOf(user string) jwt.MapClaims {
	return jwt.MapClaims{"sub": user, "scope": "chat.read chat.write", "exp": time.Now().Add(time.Hour).Unix()}
}

func writeFile(t *testing.T, path string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestServesByAKeySetAlone(t *testing.T) {
	old, fresh := jwkstest.New(t, "ES256", "old"), jwkstest.New(t, "EdDSA", "fresh")
	file := writeFile(t, filepath.Join(t.TempDir(), "jwks.json"), jwkstest.Document(t, old.JWK()))
	s := startNode(t, "--jwks", file)
	wants := func(what, token string, status int) {
		t.Helper()
		if got, body := s.get(t, "http", "/v1/threads", token); got != status {
			t.Errorf("%s: %d, want %d: %s", what, got, status, body)
		}
	}
	oldToken, freshToken := old.Sign(t, claimsOf("alice")), fresh.Sign(t, claimsOf("alice"))
	wants("of the key", oldToken, 200)
	wants("of a key that is not there yet", freshToken, 401)
	hs, err := auth.Mint([]byte(testSecret), auth.Claims{User: "alice", Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	wants("of a secret", hs, 401)
	_, metrics := s.get(t, "http", "/metrics", "")
	for _, line := range []string{"parley_jwks_keys 1", "parley_jwks_fetches_total 2", "parley_jwks_fetch_failures_total 0", "parley_jwks_last_success_timestamp_seconds "} {
		if !strings.Contains(metrics, line) {
			t.Errorf("the metrics have no %q", line)
		}
	}
}

func TestServesByBothKinds(t *testing.T) {
	signer := jwkstest.New(t, "ES256", "k")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(jwkstest.Document(t, signer.JWK()))
	}))
	defer srv.Close()
	s := startNode(t, "--jwks", srv.URL, "--jwt-secret", testSecret, "--jwt-issuer", "iss", "--jwt-audience", "aud")
	claims := claimsOf("alice")
	for _, status := range []int{401, 200} {
		hs, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(testSecret))
		if err != nil {
			t.Fatal(err)
		}
		for what, token := range map[string]string{"HS256": hs, "ES256": signer.Sign(t, claims)} {
			if got, body := s.get(t, "http", "/v1/threads", token); got != status {
				t.Errorf("%s: %d, want %d: %s", what, got, status, body)
			}
		}
		claims["iss"], claims["aud"] = "iss", "aud" // with the iss and aud that the server requires
	}
}

func TestKeySetsThatRefuseToStart(t *testing.T) {
	dir := t.TempDir()
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	empty := writeFile(t, filepath.Join(dir, "empty.json"), jwkstest.Document(t))
	good := writeFile(t, filepath.Join(dir, "good.json"), jwkstest.Document(t, jwkstest.New(t, "EdDSA", "k").JWK()))
	for location, says := range map[string]string{
		filepath.Join(dir, "nothing"): "open --jwks: " + filepath.Join(dir, "nothing") + ": no such file",
		empty:                         "it is empty",
		srv.URL + "/jwks":             "404",
		"http://id.example/jwks":      "by https",
		"https://127.0.0.1:1/jwks":    "refused",
		"ldap://id.example":           "https URLs or from files",
	} {
		refusesToStart(t, says, "--jwks", location)
	}
	refusesToStart(t, "32", "--jwks", good, "--jwt-secret", "short")
	refusesToStart(t, "32", "--jwks", good, "--jwt-secret-file", writeFile(t, filepath.Join(dir, "secret"), []byte("\n")))
	refusesToStart(t, "--jwks", []string{}...)
}

// `parley token` signs with the secret. Its --config file may be that of serve, with a key
// set in it.
func TestTokenCommandIgnoresTheKeySet(t *testing.T) {
	config := writeFile(t, filepath.Join(t.TempDir(), "parley.yaml"), []byte("jwks: https://id.example/jwks\njwt-secret: "+testSecret+"\n"))
	var out strings.Builder
	if err := run(t.Context(), []string{"token", "--sub", "alice", "--config", config}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	v, err := auth.NewVerifier(auth.Config{Secret: []byte(testSecret)})
	if err != nil {
		t.Fatal(err)
	}
	if id, err := v.Verify(strings.TrimSpace(out.String())); err != nil || id.User != "alice" {
		t.Errorf("got %+v, %v", id, err)
	}
}

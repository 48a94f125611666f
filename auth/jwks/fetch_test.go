package jwks

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestLocations(t *testing.T) {
	for location, says := range map[string]string{
		"https://id.example/.well-known/jwks.json": "",
		"HTTPS://id.example/jwks":                  "",
		"https://10.0.0.1:8443/jwks?tenant=1":      "",
		"http://127.0.0.1:9000/jwks":               "",
		"http://127.9.9.9/jwks":                    "",
		"http://localhost:9000/jwks":               "",
		"http://[::1]:9000/jwks":                   "",
		"/etc/parley/jwks.json":                    "",
		"jwks.json":                                "",
		"http://id.example/jwks":                   "https",
		"http://10.0.0.1/jwks":                     "https",
		"http://localhost.example/jwks":            "https",
		"http://127.0.0.1.example/jwks":            "https",
		"http://0.0.0.0/jwks":                      "https",
		"ftp://id.example/jwks":                    "files",
		"file:///etc/parley/jwks.json":             "files",
		"https:///jwks":                            "host",
		"https://user:pass@":                       "host",
		"https://user:pass%zz@id.example/jwks":     "URL",
		"http://user:pass@id.example/jwks":         "https",
	} {
		err := Check(location)
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", location, err, says)
		}
		if err != nil && strings.Contains(err.Error(), "pass") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, doc []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, doc, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	good := edKeys(t, "old")
	for what, c := range map[string]struct{ path, says string }{
		"missing":   {filepath.Join(dir, "nothing"), "no such file"},
		"a folder":  {dir, "no plain file"},
		"a pipe":    {fifo, "no plain file"},
		"empty":     {write("empty", nil), "no JSON Web Key Set"},
		"too large": {write("large", append(good, bytes.Repeat([]byte{' '}, maxDocument)...)), "KiB"},
	} {
		s, err := Open(t.Context(), c.path, slog.New(slog.DiscardHandler))
		if err == nil {
			s.Close()
			t.Errorf("%s: it opened", what)
		} else if !strings.Contains(err.Error(), c.says) || strings.Count(err.Error(), c.path) != 1 {
			t.Errorf("%s: %v, want %q", what, err, c.says)
		}
	}

	s, err := Open(t.Context(), write("jwks.json", good), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	write("jwks.json", edKeys(t, "old", "new"))
	if _, _, err := s.Key(EdDSA, "new"); err != nil {
		t.Errorf("the key that came into the file: %v", err)
	}
}

// fetchOnce fetches from a path of a server in the way that Open does.
func fetchOnce(t *testing.T, srv *httptest.Server, path string) ([]byte, error) {
	t.Helper()
	u, err := url.Parse(srv.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	var roots *x509.CertPool
	if cert := srv.Certificate(); cert != nil {
		roots = x509.NewCertPool()
		roots.AddCert(cert)
	}
	return httpFetch(u, roots)(t.Context())
}

func TestHTTP(t *testing.T) {
	doc := edKeys(t, "k")
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept"), "json") {
			t.Errorf("it accepts %q", r.Header.Get("Accept"))
		}
		_, _ = w.Write(doc)
	})
	mux.HandleFunc("/gzip", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = z.Write(bytes.Repeat([]byte{' '}, 4*maxDocument))
		_ = z.Close()
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/headers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 2*maxHeaders))
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write(doc[:10])
	})
	mux.Handle("/moved", http.RedirectHandler("/jwks", http.StatusFound))
	mux.Handle("/round", http.RedirectHandler("/round", http.StatusFound))
	mux.Handle("/plain", http.RedirectHandler(plain.URL+"/jwks", http.StatusFound))
	mux.Handle("/away", http.RedirectHandler("http://id.example/jwks", http.StatusFound))
	mux.Handle("/file", http.RedirectHandler("file:///etc/passwd", http.StatusFound))
	mux.HandleFunc("/500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	mux.HandleFunc("/204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })

	for _, srv := range []*httptest.Server{httptest.NewServer(mux), httptest.NewTLSServer(mux)} {
		defer srv.Close()
		for path, says := range map[string]string{
			"/jwks": "", "/moved": "", "/none": "404", "/500": "500", "/204": "204", "/gzip": "KiB", "/endless": "KiB",
			"/headers": "headers", "/cut": "EOF", "/round": "more than 3 redirects", "/file": "another scheme",
		} {
			got, err := fetchOnce(t, srv, path)
			switch {
			case says == "" && (err != nil || !bytes.Equal(got, doc)):
				t.Errorf("%s%s: %q, %v", srv.URL, path, got, err)
			case says != "" && (err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n")):
				t.Errorf("%s%s: %v, want %q", srv.URL, path, err, says)
			}
		}
		want := "another scheme"
		if srv.TLS == nil {
			want = "by https" // the redirect leads from loopback to another host
		}
		if _, err := fetchOnce(t, srv, "/away"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s/away: %v, want %q", srv.URL, err, want)
		}
		if srv.TLS != nil {
			if _, err := fetchOnce(t, srv, "/plain"); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("from https to http: %v", err)
			}
		}
	}
}

func TestUntrustedCertificate(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	srv.StartTLS()
	defer srv.Close()
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := httpFetch(u, x509.NewCertPool())(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
}

func TestFetchEndsWithItsContext(t *testing.T) {
	released := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-released:
		}
	}))
	defer srv.Close()
	defer close(released)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := httpFetch(u, nil)(ctx); err == nil {
		t.Error("it did not end")
	}
}

// A set over HTTP: a key is rotated, and the issuer's server goes away.
func TestOpenOverHTTP(t *testing.T) {
	i := &issuer{doc: edKeys(t, "old")}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		doc, _ := i.fetch(r.Context())
		_, _ = w.Write(doc)
	}))
	defer srv.Close()
	s, err := Open(t.Context(), srv.URL+"/jwks", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	i.publish(edKeys(t, "new"), nil)
	if ok, _ := knows(s, "new"); !ok {
		t.Error("the new key is not known")
	}
	if ok, _ := knows(s, "old"); ok {
		t.Error("the old key is still known")
	}
}

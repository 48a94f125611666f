package jwks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// Bounds of a fetch. A document of 20 keys with their certificates has some 60 KiB.
const (
	maxDocument  = 256 << 10
	maxHeaders   = 64 << 10
	maxRedirects = 3
)

// Check says what is wrong with a location, without fetching anything. A location with
// "://" is a URL, which must be https, or http on loopback: whoever can change the keys
// on their way could sign tokens for any user. Every other location is the name of a file.
func Check(location string) error {
	_, _, err := fetcher(location)
	return err
}

// fetcher gives the function that fetches the document at a location, and the location's
// name for the log.
func fetcher(location string) (get fetch, name string, err error) {
	if !strings.Contains(location, "://") {
		return func(context.Context) ([]byte, error) { return readFile(location) }, location, nil
	}
	u, err := url.Parse(location)
	if err != nil {
		return nil, "", errors.New("it is no URL") // the parser's own error would show a password
	}
	if err := checkURL(u); err != nil {
		return nil, "", err
	}
	return httpFetch(u, nil), u.Redacted(), nil
}

func checkURL(u *url.URL) error {
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%s: keys come from https URLs or from files", u.Redacted())
	case u.Hostname() == "":
		return fmt.Errorf("%s has no host", u.Redacted())
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return fmt.Errorf("%s: keys are fetched by https, or by http from this machine only", u.Redacted())
	}
	return nil
}

func isLoopback(host string) bool {
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}

// readFile reads a plain file of bounded size. Reading another kind of file, such as a
// pipe, might never end.
func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, withoutPath(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no plain file")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer f.Close()
	return readDocument(f)
}

// withoutPath drops the name of the file, which the caller adds.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

func readDocument(r io.Reader) ([]byte, error) {
	doc, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(doc) > maxDocument {
		return nil, fmt.Errorf("it has more than %d KiB", maxDocument>>10)
	}
	return doc, nil
}

// httpFetch makes the function that fetches from a URL. It trusts the authorities in
// roots, or the system's if roots is nil. A redirect must lead to a URL of the same scheme
// that [Check] would allow. No connection stays open: the next fetch is minutes away.
func httpFetch(u *url.URL, roots *x509.CertPool) fetch {
	client := &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: maxHeaders,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			switch {
			case len(via) > maxRedirects:
				return fmt.Errorf("more than %d redirects", maxRedirects)
			case req.URL.Scheme != u.Scheme:
				return errors.New("a redirect to another scheme")
			}
			return checkURL(req.URL)
		},
	}
	return func(ctx context.Context) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Accept", "application/jwk-set+json, application/json")
		req.Header.Set("User-Agent", "parley")
		resp, err := client.Do(req)
		if err != nil {
			return nil, withoutURL(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("the answer is %d", resp.StatusCode)
		}
		return readDocument(resp.Body)
	}
}

// withoutURL drops the URL, which the caller adds.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// Package bus opens the bus that a URL names. It is the only package that knows every
// kind of bus. [chat.Bus] says what a bus promises.
package bus

import (
	"fmt"
	"strings"

	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/chat"
)

// Open opens the bus of a URL:
//
//	local    within this process: the bus of a single node
func Open(url string) (chat.Bus, error) {
	scheme, _, _ := strings.Cut(url, ":")
	switch {
	case url == "local":
		return local.New(), nil
	case scheme == "local":
		return nil, fmt.Errorf("bus URL %q: local takes no address", url)
	default:
		// The error does not show the URL: one of another scheme may hold a password.
		return nil, fmt.Errorf("bus URL has the unknown scheme %q: local is known", scheme)
	}
}

package demo

import (
	"net"
	"net/netip"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// asksItself reports whether a request comes from the page that this server serves, in a
// browser on this machine. Everything else could be somebody who wants a token:
//
//   - a connection from elsewhere, or one that a proxy passes on;
//   - a page of another origin, which a browser names in Origin;
//   - a page of a name that resolves to this machine (DNS rebinding), which the browser
//     names in Host.
func asksItself(c *fiber.Ctx) bool {
	for _, name := range []string{fiber.HeaderXForwardedFor, fiber.HeaderForwarded, "Via", "X-Real-IP"} {
		if c.Get(name) != "" {
			return false
		}
	}
	if site := c.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return false
	}
	host := c.Get(fiber.HeaderHost)
	from, ok := strings.CutPrefix(c.Get(fiber.HeaderOrigin), "http://")
	if !ok {
		from, ok = strings.CutPrefix(c.Get(fiber.HeaderOrigin), "https://")
	}
	return ok && from == host && namesLoopback(host) && isLoopback(c.Context().RemoteAddr()) && isLoopback(c.Context().LocalAddr())
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// namesLoopback reports whether a Host is one that no name server decides about.
func namesLoopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	ip, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && ip.IsLoopback()
}

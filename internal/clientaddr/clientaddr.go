// Package clientaddr says from which address a client came, also behind proxies.
package clientaddr

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Proxies are the addresses whose word about a client's address is taken: the operator's own
// proxies. The zero value trusts nobody.
type Proxies []netip.Prefix

// Parse reads addresses and networks, such as 10.0.0.0/8 or 2001:db8::1.
func Parse(list []string) (Proxies, error) {
	var p Proxies
	for _, s := range list {
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			addr, addrErr := netip.ParseAddr(s)
			if addrErr != nil {
				return nil, fmt.Errorf("%q is no IP address and no network such as 10.0.0.0/8", s)
			}
			prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		}
		p = append(p, prefix.Masked())
	}
	return p, nil
}

// Trusts reports whether an address is that of one of the proxies.
func (p Proxies) Trusts(addr net.Addr) bool {
	ip, ok := ipOf(addr.String())
	return ok && p.trusts(ip)
}

func (p Proxies) trusts(ip netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(ip) {
			return true
		}
	}
	return false
}

// maxHops bounds how many entries of X-Forwarded-For are looked at.
const maxHops = 32

// Of gives the client's address of an HTTP request: the peer of the connection, or, if that
// is a proxy, what the lines of X-Forwarded-For say. Each proxy adds there, at the right end, the address
// that it got the request from. So the client is the rightmost that is no proxy: whatever
// stands left of it may be made up.
func (p Proxies) Of(peer net.Addr, lines [][]byte) string {
	if peer == nil {
		return ""
	}
	last := peer.String()
	forwardedFor := string(bytes.Join(lines, []byte{','}))
	ip, ok := ipOf(last)
	for range maxHops {
		if !ok || !p.trusts(ip) || forwardedFor == "" {
			return last
		}
		entry := forwardedFor
		if i := strings.LastIndexByte(forwardedFor, ','); i >= 0 {
			entry, forwardedFor = forwardedFor[i+1:], forwardedFor[:i]
		} else {
			forwardedFor = ""
		}
		if ip, ok = ipOf(strings.TrimSpace(entry)); ok {
			last = ip.String()
		}
	}
	return last
}

// ipOf reads an address with a port or without.
func ipOf(s string) (netip.Addr, bool) {
	if addrPort, err := netip.ParseAddrPort(s); err == nil {
		return addrPort.Addr().Unmap(), true
	}
	ip, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return ip.Unmap(), err == nil
}

package rest

import (
	"bytes"
	"strings"
)

// framing says where a request ends, and with that where the next one begins. Whoever stands
// between client and server has to see the same ends, or one client could slip a request
// into the connection of another: so whatever is ambiguous has a fault
// (docs/contract.md#requests).
type framing struct {
	length    int64  // of the body; chunked if it says so itself
	fault     string // why the request is refused; "" for none
	continues bool   // the client waits for 100 Continue before it sends the body
}

// chunked is the length of a body that comes in chunks.
const chunked = -1

// framingHeaders are the headers that frame a request: how often each came, and its value.
type framingHeaders struct {
	hosts, lengths, encodings, tokens int
	host, length, encoding            []byte
}

// framingOf judges a head, which ends with an empty line. A faulty request has no end that
// one could trust, so its connection has to be closed.
func framingOf(head []byte) framing {
	broken := func(fault string) framing { return framing{length: chunked, fault: fault} }
	line, rest, ok := cutLine(head)
	if !ok {
		return broken("a line of the head does not end with CR LF")
	}
	minor, ok := minorVersion(line)
	if !ok {
		return broken("the request line is not a method, a target and HTTP/1.1")
	}
	var h framingHeaders
	expect := false
	for {
		if line, rest, ok = cutLine(rest); !ok {
			return broken("a line of the head does not end with CR LF")
		}
		if len(line) == 0 {
			break
		}
		name, value, ok := cutHeader(line)
		if !ok {
			return broken("a header is not a name, a colon and a value")
		}
		switch {
		case equalFold(name, "Host"):
			h.hosts, h.host = h.hosts+1, value
		case equalFold(name, "Content-Length"):
			h.lengths, h.length = h.lengths+1, value
		case equalFold(name, "Transfer-Encoding"):
			h.encodings, h.encoding = h.encodings+1, value
		case equalFold(name, "Expect"):
			expect = equalFold(value, "100-continue")
		case equalFold(name, "Authorization"):
			h.tokens++
		}
	}
	f := h.framing(minor)
	f.continues = expect && minor == 1 && f.fault == ""
	return f
}

// framing is that of a request of HTTP/1.minor.
func (h framingHeaders) framing(minor int) framing {
	f := framing{length: chunked}
	switch {
	case h.hosts > 1, h.hosts == 0 && minor == 1:
		f.fault = "a request has exactly one Host"
	case !validHost(h.host):
		f.fault = "the Host is no name or address"
	case h.tokens > 1: // one reader could take the first and another the last
		f.fault = "there is more than one Authorization"
	case h.lengths > 0 && h.encodings > 0:
		f.fault = "Content-Length and Transfer-Encoding exclude each other"
	case h.lengths > 1:
		f.fault = "there is more than one Content-Length"
	case h.encodings > 1 || h.encodings == 1 && !equalFold(h.encoding, "chunked"):
		f.fault = "Transfer-Encoding may only be chunked"
	case h.encodings == 1 && minor == 0:
		f.fault = "HTTP/1.0 has no Transfer-Encoding"
	case h.encodings == 1:
	case h.lengths == 1:
		n, ok := parseLength(h.length)
		if !ok {
			f.fault = "the Content-Length is no number"
			break
		}
		f.length = n
	default:
		f.length = 0
	}
	return f
}

// cutLine gives the first line without its CR LF. It is not ok if the line ends otherwise or
// has another CR.
func cutLine(b []byte) (line, rest []byte, ok bool) {
	i := bytes.IndexByte(b, '\n')
	if i < 1 || bytes.IndexByte(b[:i], '\r') != i-1 {
		return nil, nil, false
	}
	return b[:i-1], b[i+1:], true
}

// minorVersion is that of HTTP/1.0 or HTTP/1.1, with which a request line ends.
func minorVersion(line []byte) (minor int, ok bool) {
	method, rest, _ := bytes.Cut(line, []byte{' '})
	target, version, _ := bytes.Cut(rest, []byte{' '})
	switch string(version) {
	case "HTTP/1.1":
		minor = 1
	case "HTTP/1.0":
	default:
		return 0, false
	}
	if !isToken(method) || len(target) == 0 {
		return 0, false
	}
	for _, b := range target {
		if b <= ' ' || b == 0x7f {
			return 0, false
		}
	}
	return minor, true
}

// cutHeader gives the name and the value of a header without the blanks around the value. A
// line that goes on with the header before (RFC 9112, 5.2) has no name.
func cutHeader(line []byte) (name, value []byte, ok bool) {
	name, value, ok = bytes.Cut(line, []byte{':'})
	if !ok || !isToken(name) {
		return nil, nil, false
	}
	value = bytes.Trim(value, " \t")
	for _, b := range value {
		if b < ' ' && b != '\t' || b == 0x7f {
			return nil, nil, false
		}
	}
	return name, value, true
}

// isToken reports whether b is a token (RFC 9110, 5.6.2).
func isToken(b []byte) bool {
	for _, c := range b {
		alphanumeric := '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
		if !alphanumeric && (c < '!' || c > '~' || strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0) {
			return false
		}
	}
	return len(b) > 0
}

// validHost is loose: it refuses what could make two readers see two hosts.
func validHost(host []byte) bool {
	for _, c := range host {
		switch {
		case c <= ' ' || c >= 0x7f:
			return false
		case strings.IndexByte(`/\@?#,"<>`, c) >= 0:
			return false
		}
	}
	return true
}

// parseLength reads a Content-Length: digits alone, and no more of them than a length has.
func parseLength(digits []byte) (n int64, ok bool) {
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = 10*n + int64(d-'0')
	}
	return n, len(digits) > 0 && len(digits) <= 18
}

// equalFold compares with an ASCII name, whatever the case of its letters.
func equalFold(b []byte, name string) bool {
	return len(b) == len(name) && bytes.EqualFold(b, []byte(name))
}

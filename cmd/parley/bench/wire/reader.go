package wire

import "net"

// Buffers of a connection: it starts small, since most of an idle test's never
// need more, and grows while what arrives fills it.
const (
	firstBuffer = 512
	growBuffer  = 64 << 10
	keepBuffer  = 4 << 10 // an answer buffer above this is not kept
)

// reader buffers what arrives: buf[start:end] is not handled yet.
type reader struct {
	nc         net.Conn
	buf        []byte
	start, end int
	full       bool // the last read filled the buffer: there was more
	fresh      bool // an upgrade's answer brought bytes that nobody looked at
}

// fill reads once, behind what is there.
func (r *reader) fill() error {
	r.makeRoom()
	n, err := r.nc.Read(r.buf[r.end:])
	r.end += n
	r.full = r.end == len(r.buf)
	r.fresh = n > 0
	if n > 0 {
		return nil
	}
	return err
}

func (r *reader) makeRoom() {
	size := max(len(r.buf), firstBuffer)
	if r.full && size < growBuffer {
		size *= 4
	}
	if r.end-r.start == size {
		size *= 2 // a packet larger than the buffer
	}
	if size > len(r.buf) {
		bigger := make([]byte, size)
		r.end = copy(bigger, r.bytes())
		r.buf, r.start = bigger, 0
		return
	}
	if r.start > 0 {
		r.end = copy(r.buf, r.bytes())
		r.start = 0
	}
}

func (r *reader) bytes() []byte { return r.buf[r.start:r.end] }

func (r *reader) discard(n int) {
	if r.start += n; r.start == r.end {
		r.start, r.end = 0, 0
	}
}

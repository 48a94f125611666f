package wire

import "net"

// Sizes of a connection's buffers. The read buffer starts small, which is enough for most
// idle connections, and grows while reads fill it.
const (
	firstBuffer = 512
	growBuffer  = 64 << 10 // the read buffer grows beyond this only for a larger packet
	keepBuffer  = 4 << 10  // a larger write buffer is dropped after the write
)

// reader buffers what arrives. The bytes in buf[start:end] are not handled yet.
type reader struct {
	nc         net.Conn
	buf        []byte
	start, end int
	full       bool // the last read filled the buffer, so there may be more
	fresh      bool // the last read brought bytes that Receive has not looked at
}

// fill reads once, and appends to the bytes that are not handled yet.
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

package wire

import "github.com/parleyhq/parley/chat"

// The fields of what is told of a device with keys.
const (
	devicesUser uint64 = 1 + iota
	devicesDevice
	devicesChange
	devicesAt
)

func (w *writer) devices(n *chat.DeviceNews) {
	str(w, devicesUser, n.User)
	str(w, devicesDevice, n.Device)
	str(w, devicesChange, n.Change)
	w.time(devicesAt, n.At)
}

func (r *reader) devices() *chat.DeviceNews {
	n := new(chat.DeviceNews)
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case devicesUser:
			n.User = text[chat.UserID](r, content)
		case devicesDevice:
			n.Device = text[chat.DeviceID](r, content)
		case devicesChange:
			n.Change = text[chat.KeyChange](r, content)
		case devicesAt:
			n.At = r.time(content)
		}
	}
	switch n.Change {
	case chat.DeviceAdded, chat.DeviceRemoved, chat.IdentityChanged:
	default:
		r.fail(ErrNewer)
	}
	return n
}

// The fields of a removal.
const (
	removalUser uint64 = 1 + iota
	removalDevice
	removalAt
	removalConn
)

func (w *writer) removal(n *chat.Removal) {
	str(w, removalUser, n.User)
	str(w, removalDevice, n.Device)
	w.time(removalAt, n.At)
	w.int(removalConn, int64(n.Conn))
}

func (r *reader) removal() *chat.Removal {
	n := new(chat.Removal)
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case removalUser:
			n.User = text[chat.UserID](r, content)
		case removalDevice:
			n.Device = text[chat.DeviceID](r, content)
		case removalAt:
			n.At = r.time(content)
		case removalConn:
			n.Conn = chat.Conn(r.int(content))
		}
	}
	return n
}

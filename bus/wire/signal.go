package wire

import "github.com/parleyhq/parley/chat"

// The fields of a signal.
const (
	signalThread uint64 = 1 + iota
	signalUser
	signalDevice
	signalName
	signalData
)

func (w *writer) signal(sig *chat.Signal) {
	w.id(signalThread, sig.Thread)
	str(w, signalUser, sig.User)
	str(w, signalDevice, sig.Device)
	str(w, signalName, sig.Name)
	w.bytes(signalData, sig.Data)
}

func (r *reader) signal() *chat.Signal {
	sig := new(chat.Signal)
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case signalThread:
			sig.Thread = r.id(content)
		case signalUser:
			sig.User = text[chat.UserID](r, content)
		case signalDevice:
			sig.Device = text[chat.DeviceID](r, content)
		case signalName:
			sig.Name = text[string](r, content)
		case signalData:
			sig.Data = []byte(content)
		}
	}
	return sig
}

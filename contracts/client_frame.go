package contracts

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parleyhq/parley/chat"
)

// MaxClientFrameBytes bounds a frame from a client (docs/contract.md#limits).
const MaxClientFrameBytes = 16 << 10

// CodeInvalidFrame is the code of the error frame that answers a client's frame which is
// malformed or of an unknown type.
const CodeInvalidFrame chat.Code = "invalid_frame"

// ClientFrame is a frame from a client (docs/contract.md#frames).
type ClientFrame struct {
	Type     string
	FrameSeq uint64        // client_ack: everything up to it was received
	Thread   chat.ThreadID // typing, signal; zero: the frame names no thread
	Name     string        // signal
	Data     []byte        // signal, decoded
	Token    string        // auth
}

// ParseClientFrame reads one frame. It ignores unknown members, as clients must do with
// the server's frames. Its errors are *chat.Error with the code [CodeInvalidFrame].
func ParseClientFrame(b []byte) (ClientFrame, error) {
	var raw struct {
		Type     string  `json:"t"`
		FrameSeq *uint64 `json:"frame_seq"`
		Thread   string  `json:"thread_id"`
		// Members of one type of frame, which others ignore.
		Name  jsontext.Value `json:"name"`
		Data  jsontext.Value `json:"data"`
		Token jsontext.Value `json:"token"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return ClientFrame{}, chat.Refuse(CodeInvalidFrame, "the frame is not a JSON object of the documented form")
	}
	f := ClientFrame{Type: raw.Type}
	switch {
	case f.Type == FramePong:
	case f.Type == FrameClientAck && raw.FrameSeq != nil:
		f.FrameSeq = *raw.FrameSeq
	case f.Type == FrameClientAck:
		return ClientFrame{}, chat.Refuse(CodeInvalidFrame, "client_ack needs a frame_seq")
	case f.Type == FrameTyping && raw.Thread == "":
	case f.Type == FrameTyping:
		var err error
		if f.Thread, err = chat.ParseThreadID(raw.Thread); err != nil {
			return ClientFrame{}, chat.Refuse(CodeInvalidFrame, "the thread_id is no thread id")
		}
	case f.Type == FrameAuth && raw.Token.Kind() != '"':
		return ClientFrame{}, chat.Refuse(CodeInvalidFrame, "auth needs a token")
	case f.Type == FrameAuth:
		f.Token = textOf(raw.Token)
	case f.Type == FrameSignal:
		return signalOf(raw.Thread, raw.Name, raw.Data)
	default:
		return ClientFrame{}, chat.Refuse(CodeInvalidFrame, "unknown frame type")
	}
	return f, nil
}

func signalOf(thread string, name, data jsontext.Value) (f ClientFrame, err error) {
	f.Type, f.Name = FrameSignal, textOf(name)
	if f.Thread, err = chat.ParseThreadID(thread); err != nil {
		return ClientFrame{}, chat.Refuse(CodeInvalidFrame, "the thread_id is no thread id")
	}
	if data.Kind() != '"' || (*Bytes)(&f.Data).decode(data) != nil {
		return ClientFrame{}, chat.Refuse(CodeInvalidFrame, "the data of a signal are base64")
	}
	if err := (chat.Signal{Name: f.Name, Data: f.Data}).Check(); err != nil {
		return ClientFrame{}, chat.Refuse(CodeInvalidFrame, "the signal's "+ProblemOf(err).Detail)
	}
	return f, nil
}

// textOf is the text of a JSON string, and "" of any other value.
func textOf(v jsontext.Value) string {
	if v.Kind() != '"' {
		return ""
	}
	text, _ := jsontext.AppendUnquote(nil, v) // decoding has checked it
	return string(text)
}

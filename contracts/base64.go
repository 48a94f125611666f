package contracts

import (
	"bytes"
	"encoding/base64"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// Bytes are bytes that JSON holds as standard base64 with padding and without line breaks
// (docs/contract.md#names). A null makes them nil, "" makes them empty and not
// nil, so that an absent member differs from an empty one.
type Bytes []byte

// strictBase64 also refuses stray bits in the last digit, so that the same bytes have only
// one spelling.
var strictBase64 = base64.StdEncoding.Strict()

var (
	errNotBase64 = errors.New("must be standard base64 with padding and without line breaks")
	errNotString = errors.New("must be a string")
)

// UnmarshalJSONFrom implements json.UnmarshalerFrom. It does not copy the text before it
// decodes it: a ciphertext may have 64 KiB.
func (b *Bytes) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	kind := dec.PeekKind()
	if kind != 'n' && kind != '"' && kind != 0 { // 0 is an error, which ReadValue returns
		return errNotString
	}
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	if kind == 'n' {
		*b = nil
		return nil
	}
	return b.decode(value)
}

func (b *Bytes) decode(quoted jsontext.Value) error {
	text := []byte(quoted[1 : len(quoted)-1])
	if bytes.IndexByte(text, '\\') >= 0 { // some encoders escape "/"
		var err error
		if text, err = jsontext.AppendUnquote(nil, quoted); err != nil {
			return err
		}
	}
	if bytes.ContainsAny(text, "\r\n") { // which package base64 would skip
		return errNotBase64
	}
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := strictBase64.Decode(decoded, text)
	if err != nil {
		return errNotBase64
	}
	*b = decoded[:n]
	return nil
}

package mongo

import (
	"fmt"
	"math"
	"reflect"

	"github.com/oklog/ulid/v2"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/parleyhq/parley/chat"
)

// d makes a document of alternating names and values.
func d(pairs ...any) bson.D {
	doc := make(bson.D, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		doc = append(doc, bson.E{Key: pairs[i].(string), Value: pairs[i+1]})
	}
	return doc
}

// newRegistry stores ids in the form in which the API shows them: thread ids as UUIDs,
// ULIDs as their 26 characters, which sort like the ids. A zero ULID is "".
func newRegistry() *bson.Registry {
	r := bson.NewRegistry()
	uuidType, ulidType := reflect.TypeFor[chat.ThreadID](), reflect.TypeFor[ulid.ULID]()
	r.RegisterTypeEncoder(uuidType, bson.ValueEncoderFunc(encodeThreadID))
	r.RegisterTypeDecoder(uuidType, bson.ValueDecoderFunc(decodeThreadID))
	r.RegisterTypeEncoder(ulidType, bson.ValueEncoderFunc(encodeULID))
	r.RegisterTypeDecoder(ulidType, bson.ValueDecoderFunc(decodeULID))
	return r
}

func encodeThreadID(_ bson.EncodeContext, w bson.ValueWriter, v reflect.Value) error {
	id := v.Interface().(chat.ThreadID)
	return w.WriteBinaryWithSubtype(id[:], bson.TypeBinaryUUID)
}

func decodeThreadID(_ bson.DecodeContext, r bson.ValueReader, v reflect.Value) error {
	raw, _, err := r.ReadBinary()
	if err != nil {
		return fmt.Errorf("a thread id: %w", err)
	}
	if len(raw) != len(chat.ThreadID{}) {
		return fmt.Errorf("a thread id of %d bytes", len(raw))
	}
	v.Set(reflect.ValueOf(chat.ThreadID(raw)))
	return nil
}

func encodeULID(_ bson.EncodeContext, w bson.ValueWriter, v reflect.Value) error {
	return w.WriteString(ulidText(v.Interface().(ulid.ULID)))
}

func decodeULID(_ bson.DecodeContext, r bson.ValueReader, v reflect.Value) error {
	text, err := r.ReadString()
	if err != nil {
		return fmt.Errorf("an id: %w", err)
	}
	id, err := parseULID(text)
	if err != nil {
		return err
	}
	v.Set(reflect.ValueOf(id))
	return nil
}

func ulidText(id ulid.ULID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

func parseULID(text string) (ulid.ULID, error) {
	if text == "" {
		return ulid.ULID{}, nil
	}
	id, err := ulid.ParseStrict(text)
	if err != nil {
		return id, fmt.Errorf("the id %q: %w", text, err)
	}
	return id, nil
}

// bound is a seq as a bound of a query: BSON has no unsigned numbers, and no log
// gets as long as its largest signed one.
func bound(s chat.Seq) int64 { return int64(min(s, math.MaxInt64)) }

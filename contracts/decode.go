package contracts

import (
	"bytes"
	"cmp"
	"errors"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parleyhq/parley/chat"
)

// decodeOptions make decoding strict (docs/contract.md#requests): names are
// matched exactly, and unknown members, members given twice and invalid UTF-8
// are refused, so that no typo goes unnoticed. Decoding ends at the first
// member of a wrong type, before any deep nesting.
var decodeOptions = json.JoinOptions(
	json.RejectUnknownMembers(true),
	json.MatchCaseInsensitiveNames(false),
	jsontext.AllowDuplicateNames(false),
	jsontext.AllowInvalidUTF8(false),
)

// decode reads exactly one JSON object into v and checks that it has the members listed.
// Nothing in v shares memory with body. The error is a *chat.Error, which names the
// field if a field is wrong.
func decode(body []byte, v any, members ...member) error {
	err := json.Unmarshal(body, v, decodeOptions)
	if err == nil {
		if err := required(members...); err != nil {
			return err
		}
		if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("null")) { // it sets nothing
			return chat.Refuse(chat.CodeInvalidRequest, "the body must be a JSON object")
		}
		return nil
	}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		return semanticRefusal(semantic)
	}
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok && errors.Is(syntactic, jsontext.ErrDuplicateName) {
		return chat.Invalid(fieldName(syntactic.JSONPointer), "is given twice")
	}
	return chat.Refuse(chat.CodeInvalidRequest, "the body is not one well-formed JSON value in UTF-8")
}

func semanticRefusal(err *json.SemanticError) error {
	field := fieldName(err.JSONPointer)
	switch {
	case errors.Is(err, json.ErrUnknownName):
		return chat.Invalid(field, "is not a field of this request")
	case field == "":
		return chat.Refuse(chat.CodeInvalidRequest, "the body must be a JSON object")
	case errors.Is(err, errNotBase64), errors.Is(err, errNotString):
		return chat.Invalid(field, err.Err.Error())
	}
	return chat.Invalid(field, "must be "+kindName(err.GoType))
}

// fieldName is the name of a member. Of a nested one it is the path from the outermost
// member, as in "participants/3".
func fieldName(p jsontext.Pointer) string {
	const longest = 64 // an unknown name may be as long as the body
	name := strings.TrimPrefix(string(p), "/")
	if len(name) > longest {
		name = strings.ToValidUTF8(name[:longest], "") + "…"
	}
	return name
}

// kindNames says in the client's words what the Go kinds of request fields are.
var kindNames = map[reflect.Kind]string{
	reflect.Int64:  "an integer of 64 bits",
	reflect.Slice:  "an array",
	reflect.String: "a string",
	reflect.Struct: "an object",
	reflect.Uint32: "an integer of 0 to 4294967295",
}

func kindName(t reflect.Type) string {
	if t == nil {
		return "of another type"
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return cmp.Or(kindNames[t.Kind()], "of another type")
}

// member is a member that a request must have: its name, and a pointer to the field
// that it is decoded into, which is nil as long as the member is absent.
type member struct {
	name  string
	field any
}

// required names all the members that are absent. It returns an untyped nil if there
// are none.
func required(members ...member) error {
	var missing []chat.FieldError
	for _, m := range members {
		if reflect.ValueOf(m.field).Elem().IsNil() {
			missing = append(missing, chat.FieldError{Field: m.name, Message: "is required"})
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return &chat.Error{Code: chat.CodeInvalidRequest, Fields: missing}
}

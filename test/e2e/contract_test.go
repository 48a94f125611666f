package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	openapischema "github.com/pb33f/jsonschema/v6"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// document reads a YAML file of the product's folder contracts as plain JSON values.
func document(name string) (any, error) {
	source, err := os.ReadFile(filepath.Join("..", "..", "contracts", name))
	if err != nil {
		return nil, err
	}
	var tree any
	if err := yaml.Unmarshal(source, &tree); err != nil {
		return nil, err
	}
	// The schema compiler wants the value types of its own decoder.
	asJSON, err := json.Marshal(tree)
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
}

// frameSchemas are the schemas of asyncapi.yaml by frame type.
var frameSchemas = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	doc, err := document("asyncapi.yaml")
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7)
	compiler.UseRegexpEngine(compilePattern)
	compiler.AssertFormat()
	if err := compiler.AddResource("asyncapi.json", doc); err != nil {
		return nil, err
	}
	messages, ok := dig(doc, "components", "messages").(map[string]any)
	if !ok {
		return nil, errors.New("asyncapi.yaml has no components.messages")
	}
	schemas := map[string]*jsonschema.Schema{}
	for name, message := range messages {
		ref, ok := dig(message, "payload", "$ref").(string)
		if !ok {
			return nil, fmt.Errorf("message %s has no payload reference", name)
		}
		if schemas[name], err = compiler.Compile("asyncapi.json" + ref); err != nil {
			return nil, fmt.Errorf("schema of %s: %w", name, err)
		}
	}
	return schemas, nil
})

func dig(v any, path ...string) any {
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

// frameEnd is how every frame from the server ends: frame_seq is its last member.
var frameEnd = regexp.MustCompile(`,"frame_seq":[1-9][0-9]*\}$`)

// validBodies are the hashes of valid frames without their frame_seq. Many connections
// get a frame that differs only in that: it need not be checked again.
var validBodies sync.Map

// checkFrame checks one frame from the server against asyncapi.yaml.
func checkFrame(raw []byte) error {
	end := frameEnd.FindIndex(endOf(raw))
	if end == nil {
		return checkWholeFrame(raw)
	}
	body := sha256.Sum256(raw[:len(raw)-(end[1]-end[0])])
	if _, valid := validBodies.Load(body); valid {
		return nil
	}
	err := checkWholeFrame(raw)
	if err == nil {
		validBodies.Store(body, nil)
	}
	return err
}

// endOf is the end of a frame, where its frame_seq is. Frames may be long.
func endOf(raw []byte) []byte { return raw[max(0, len(raw)-40):] }

func checkWholeFrame(raw []byte) error {
	schemas, err := frameSchemas()
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	kind, _ := dig(value, "t").(string)
	schema, known := schemas[kind]
	if !known {
		return fmt.Errorf("asyncapi.yaml has no frame %q", kind)
	}
	if err := schema.Validate(value); err != nil {
		return fmt.Errorf("not what asyncapi.yaml says of %s: %w", kind, err)
	}
	if !frameEnd.Match(endOf(raw)) {
		return errors.New("frame_seq is not the last member")
	}
	return nil
}

// openAPI is the validator of openapi.yaml.
var openAPI = sync.OnceValues(func() (validator.Validator, error) {
	source, err := os.ReadFile(filepath.Join("..", "..", "contracts", "openapi.yaml"))
	if err != nil {
		return nil, err
	}
	doc, err := libopenapi.NewDocument(source)
	if err != nil {
		return nil, err
	}
	v, errs := validator.NewValidator(doc, config.WithRegexEngine(
		func(pattern string) (openapischema.Regexp, error) { return compilePattern(pattern) }))
	return v, errors.Join(errs...)
})

func TestOpenAPIDocumentIsValid(t *testing.T) {
	v, err := openAPI()
	if err != nil {
		t.Fatal(err)
	}
	if ok, problems := v.ValidateDocument(); !ok {
		for _, p := range problems {
			t.Error(p)
		}
	}
}

func TestAsyncAPIReferencesResolve(t *testing.T) {
	doc, err := document("asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := dig(doc, "asyncapi"); got != "3.0.0" {
		t.Errorf("asyncapi is %v, want 3.0.0", got)
	}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				if dig(doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...) == nil {
					t.Errorf("%s: %s leads nowhere", at, ref)
				}
			}
			for key, child := range v {
				walk(at+"/"+key, child)
			}
		case []any:
			for i, child := range v {
				walk(fmt.Sprintf("%s/%d", at, i), child)
			}
		}
	}
	walk("", doc)
}

func TestAsyncAPIExamplesFitTheirSchemas(t *testing.T) {
	schemas, err := frameSchemas()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := document("asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, schema := range schemas {
		examples, _ := dig(doc, "components", "messages", name, "examples").([]any)
		if len(examples) == 0 {
			t.Errorf("%s has no example", name)
		}
		for _, example := range examples {
			if err := schema.Validate(dig(example, "payload")); err != nil {
				t.Errorf("example of %s: %v", name, err)
			}
		}
	}
}

// The frames that the product's own tests expect of its encoder fit the document.
func TestAsyncAPIDescribesTheGoldenVectors(t *testing.T) {
	vectors, err := filepath.Glob(filepath.Join("..", "..", "contracts", "testdata", "frames", "*.json"))
	if err != nil || len(vectors) == 0 {
		t.Fatalf("found %d vectors, %v", len(vectors), err)
	}
	for _, name := range vectors {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkFrame(bytes.TrimSpace(raw)); err != nil {
			t.Errorf("%s: %v", filepath.Base(name), err)
		}
	}
}

// The suite is only as strict as the document, so the document must refuse these frames.
func TestAsyncAPICatchesTypos(t *testing.T) {
	const thread, id = "0197226c-3f55-7cc3-98c4-dc0c0c07398f", "01JWFG3M2J8K4N5P7Q8R0S1TVW"
	const at = "2026-05-30T17:42:11.234Z"
	about := func(kind, rest string) string {
		return `{"t":"` + kind + `","id":"` + id + `","thread_id":"` + thread + `","seq":2,` + rest + `,"frame_seq":1}`
	}
	change := func(event, rest string) string {
		return `{"t":"thread","thread_id":"` + thread + `","seq":2,"event":"` + event + `","by":"ann",` + rest + `"at":"` + at + `","frame_seq":1}`
	}
	const content = `"sender_id":"ann","content_type":"text"`
	for what, raw := range map[string]string{
		"unknown field":              `{"t":"ping","at":"` + at + `","extra":1,"frame_seq":1}`,
		"unknown type":               `{"t":"pink","at":"` + at + `","frame_seq":1}`,
		"missing field":              `{"t":"delivered","thread_id":"` + thread + `","id":"` + id + `","at":"` + at + `","frame_seq":1}`,
		"upper-case thread id":       `{"t":"read","thread_id":"` + strings.ToUpper(thread) + `","by":"bob","up_to":"` + id + `","at":"` + at + `","frame_seq":1}`,
		"time without millis":        `{"t":"ping","at":"2026-05-30T17:42:11Z","frame_seq":1}`,
		"impossible time":            `{"t":"ping","at":"2026-13-30T17:42:11.234Z","frame_seq":1}`,
		"frame_seq of zero":          `{"t":"ping","at":"` + at + `","frame_seq":0}`,
		"frame_seq not last":         `{"t":"ping","frame_seq":1,"at":"` + at + `"}`,
		"created without members":    `{"t":"thread","thread_id":"` + thread + `","seq":1,"event":"created","type":"GROUP","by":"ann","at":"` + at + `","frame_seq":1}`,
		"removed without a user":     `{"t":"thread","thread_id":"` + thread + `","seq":2,"event":"participant_removed","by":"ann","at":"` + at + `","frame_seq":1}`,
		"added without a role":       `{"t":"thread","thread_id":"` + thread + `","seq":2,"event":"participant_added","user_id":"bob","by":"ann","at":"` + at + `","frame_seq":1}`,
		"edit without a sender":      about("edit", `"ciphertext":"AA==","content_type":"text","edited_at":"`+at+`"`),
		"edit with an attachment":    about("edit", content+`,"ciphertext":"AA==","edited_at":"`+at+`","attachment_id":"a"`),
		"edit without its time":      about("edit", content+`,"ciphertext":"AA=="`),
		"del without a reason":       about("del", `"by":"ann"`),
		"del by nobody":              about("del", `"by":null,"reason":"sender"`),
		"expired by somebody":        about("del", `"by":"ann","reason":"expired"`),
		"unknown reason":             about("del", `"by":"ann","reason":"admin"`),
		"unknown op":                 about("reaction", `"by":"bob","emoji":"x","op":"toggle","at":"`+at+`"`),
		"reaction of nothing":        about("reaction", `"by":"bob","emoji":"","op":"add","at":"`+at+`"`),
		"reaction with a slash":      about("reaction", `"by":"bob","emoji":"a/b","op":"add","at":"`+at+`"`),
		"deleted with an attachment": about("msg", content+`,"ciphertext":"","created_at":"`+at+`","attachment_id":"a"`),
		"no redelivery, said so":     about("msg", content+`,"ciphertext":"AA==","created_at":"`+at+`","redelivery":false`),
		"pinned nothing":             change("pinned", ``),
		"unpinned a person":          change("unpinned", `"message_id":"`+id+`","user_id":"bob",`),
		"title changed of a message": change("title_changed", `"message_id":"`+id+`","title":"x",`),
		"failed without a reason":    `{"t":"failed","thread_id":"` + thread + `","id":"` + id + `","by":"bob","frame_seq":1}`,
		"prekeys_low with enough":    `{"t":"prekeys_low","one_time_prekeys":10,"frame_seq":1}`,
		"prekeys_low about a device": `{"t":"prekeys_low","one_time_prekeys":9,"device_id":"a","frame_seq":1}`,
		"last_id of the wrong form":  `{"t":"caught_up","last_id":"","replayed":0,"frame_seq":1}`,
	} {
		if err := checkFrame([]byte(raw)); err == nil {
			t.Errorf("%s passes: %s", what, raw)
		}
	}
}

// The document must refuse these events in a page of events.
func TestOpenAPICatchesTyposInEvents(t *testing.T) {
	const thread, id = "0197226c-3f55-7cc3-98c4-dc0c0c07398f", "01JWFG3M2J8K4N5P7Q8R0S1TVW"
	const at = "2026-05-30T17:42:11.234Z"
	const msg = `{"t":"msg","id":"` + id + `","thread_id":"` + thread + `","seq":2,"sender_id":"ann","ciphertext":"AA==","content_type":"text","created_at":"` + at + `"`
	const change = `{"t":"thread","thread_id":"` + thread + `","seq":2,"by":"ann","at":"` + at + `"`
	if err := checkEvent(msg + `}`); err != nil {
		t.Error(err)
	}
	if err := checkEvent(change + `,"event":"title_changed","title":null}`); err != nil {
		t.Error(err)
	}
	for what, event := range map[string]string{
		"unknown field":           msg + `,"extra":1}`,
		"frame of a connection":   msg + `,"frame_seq":1}`,
		"ephemeral frame":         `{"t":"typing","thread_id":"` + thread + `","user_id":"ann","ttl_ms":5000}`,
		"no ciphertext":           strings.Replace(msg, `"ciphertext":"AA==",`, "", 1) + `}`,
		"ciphertext not base64":   strings.Replace(msg, "AA==", "AA=", 1) + `}`,
		"msg called edit":         strings.Replace(msg, `"msg"`, `"edit"`, 1) + `}`,
		"unknown change":          change + `,"event":"renamed","title":"x"}`,
		"title_changed, no title": change + `,"event":"title_changed"}`,
		"pinned nothing":          change + `,"event":"pinned"}`,
		"pinned a person":         change + `,"event":"pinned","message_id":"` + id + `","user_id":"bob"}`,
		"expired by somebody":     `{"t":"del","id":"` + id + `","thread_id":"` + thread + `","seq":2,"by":"ann","reason":"expired"}`,
	} {
		if err := checkEvent(event); err == nil {
			t.Errorf("%s passes: %s", what, event)
		}
	}
}

// checkEvent checks an event against openapi.yaml, as the only one of a page.
func checkEvent(event string) error {
	contract, err := openAPI()
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodGet, "/v1/threads/0197226c-3f55-7cc3-98c4-dc0c0c07398f/events", http.NoBody)
	if err != nil {
		return err
	}
	resp := &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"1"}},
		Body:       io.NopCloser(strings.NewReader(`{"events":[` + event + `],"next_since_seq":null,"store_id":"0197226c-3f55-7cc3-98c4-dc0c0c07398f"}`)),
	}
	if ok, problems := contract.ValidateHttpResponse(req, resp); !ok {
		return fmt.Errorf("%v", problems)
	}
	return nil
}

// Renderers show the examples of schemas where an answer has none.
func TestSchemasFitTheirExamples(t *testing.T) {
	for name, dialect := range map[string]*jsonschema.Draft{"openapi.yaml": jsonschema.Draft2020, "asyncapi.yaml": jsonschema.Draft7} {
		doc, err := document(name)
		if err != nil {
			t.Fatal(err)
		}
		compiler := jsonschema.NewCompiler()
		compiler.DefaultDraft(dialect)
		compiler.AssertFormat()
		if err := compiler.AddResource("document.json", doc); err != nil {
			t.Fatal(err)
		}
		schemas, _ := dig(doc, "components", "schemas").(map[string]any)
		for schema, content := range schemas {
			compiled, err := compiler.Compile("document.json#/components/schemas/" + schema)
			if err != nil {
				t.Fatalf("schema %s of %s: %v", schema, name, err)
			}
			examples, _ := dig(content, "examples").([]any)
			if dig(content, "pattern") != nil && len(examples) == 0 {
				t.Errorf("schema %s of %s has a pattern and no example", schema, name)
			}
			for _, example := range examples {
				if err := compiled.Validate(example); err != nil {
					t.Errorf("example of %s in %s: %v", schema, name, err)
				}
			}
		}
	}
}

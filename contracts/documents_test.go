package contracts

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Each of the two documents stands alone, so that a tool needs no other file than
// the one it reads. What both describe is written in both, and compared here.

func TestDocumentsHaveOneVersion(t *testing.T) {
	rest, realtime := at(t, document(t), "info", "version"), at(t, realtimeDocument(t), "info", "version")
	if rest != realtime {
		t.Errorf("openapi.yaml is of version %v, asyncapi.yaml of %v", rest, realtime)
	}
}

func TestDocumentsShareTheirSchemas(t *testing.T) {
	rest, realtime := schemas(t, document(t)), schemas(t, realtimeDocument(t))
	var shared []string
	for name, schema := range rest {
		other, both := realtime[name]
		if !both {
			continue
		}
		shared = append(shared, name)
		if !reflect.DeepEqual(schema, other) {
			t.Errorf("%s is\n%v in openapi.yaml and\n%v in asyncapi.yaml", name, schema, other)
		}
	}
	// What REST answers and a reply over MQTT carries; the rest follows by reference.
	for _, name := range []string{"Message", "Problem"} {
		if !slices.Contains(shared, name) {
			t.Errorf("asyncapi.yaml has no %s", name)
		}
	}
}

// The frame of an event is the event with a frame_seq.
func TestFramesAreTheEvents(t *testing.T) {
	rest, realtime := schemas(t, document(t)), schemas(t, realtimeDocument(t))
	kinds := slices.Sorted(maps.Keys(at(t, rest, "Event", "discriminator", "mapping").(node)))
	if want := []string{"del", "edit", "msg", "reaction", "thread"}; !slices.Equal(kinds, want) {
		t.Errorf("the events are %v, want %v", kinds, want)
	}
	var compare func(event string)
	compare = func(event string) {
		frame := strings.TrimSuffix(event, "Event") + "Frame"
		want := maps.Clone(at(t, rest, event).(node))
		if branches, isChoice := want["oneOf"].([]any); isChoice {
			var frames []any
			for _, branch := range branches {
				name := refName(branch)
				compare(name)
				frames = append(frames, node{"$ref": "#/components/schemas/" + strings.TrimSuffix(name, "Event") + "Frame"})
			}
			want["oneOf"] = frames
			delete(want, "discriminator") // AsyncAPI's own is another
		} else {
			want["required"] = append(slices.Clone(want["required"].([]any)), "frame_seq")
			properties := maps.Clone(want["properties"].(node))
			properties["frame_seq"] = node{"$ref": "#/components/schemas/FrameSeq"}
			want["properties"] = properties
		}
		got := at(t, realtime, frame).(node)
		if event == "EditEvent" {
			got = unlessOmitted(got)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s of asyncapi.yaml is\n%v\nand by %s of openapi.yaml it should be\n%v", frame, got, event, want)
		}
	}
	for kind, ref := range at(t, rest, "Event", "discriminator", "mapping").(node) {
		event := refName(node{"$ref": ref})
		compare(event)
		payload := refName(at(t, realtimeDocument(t), "components", "messages", kind, "payload"))
		if want := strings.TrimSuffix(event, "Event") + "Frame"; payload != want {
			t.Errorf("the payload of %s is %s, want %s", kind, payload, want)
		}
	}
}

// unlessOmitted is the schema of an edit that is not too large for its client: only its frame
// can be without its ciphertext.
func unlessOmitted(frame node) node {
	without := func(n node) node {
		properties, ok := n["properties"].(node)
		if !ok {
			return n
		}
		n, properties = maps.Clone(n), maps.Clone(properties)
		delete(properties, "omitted")
		n["properties"] = properties
		return n
	}
	frame = without(frame)
	if condition, ok := frame["if"].(node); ok {
		frame["if"] = without(condition)
	}
	return frame
}

// What is sent over MQTT is the body of the REST call with the key in it.
func TestSendIsSendMessage(t *testing.T) {
	want := maps.Clone(at(t, schemas(t, document(t)), "SendMessage").(node))
	got := maps.Clone(at(t, schemas(t, realtimeDocument(t)), "Send").(node))
	properties := maps.Clone(got["properties"].(node))
	delete(properties, "idempotency_key")
	delete(properties, "response_topic")
	got["properties"] = properties
	delete(got, "description")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Send of asyncapi.yaml is\n%v\nand SendMessage of openapi.yaml\n%v", got, want)
	}
}

// In JSON Schema draft 7, which is AsyncAPI's, whatever stands beside a $ref is ignored.
func TestAsyncAPIReferencesStandAlone(t *testing.T) {
	var walk func(path string, n any)
	walk = func(path string, n any) {
		switch n := n.(type) {
		case node:
			if n["$ref"] != nil && len(n) > 1 {
				t.Errorf("%s has members beside its $ref", path)
			}
			for name, child := range n {
				walk(path+"/"+name, child)
			}
		case []any:
			for _, child := range n {
				walk(path, child)
			}
		}
	}
	walk("", realtimeDocument(t))
}

func realtimeDocument(t *testing.T) node {
	t.Helper()
	var doc node
	if err := yaml.Unmarshal(AsyncAPI, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func schemas(t *testing.T, doc node) node {
	t.Helper()
	return at(t, doc, "components", "schemas").(node)
}

// refName is the name of the schema that n refers to.
func refName(n any) string {
	ref, _ := n.(node)["$ref"].(string)
	return strings.TrimPrefix(ref, "#/components/schemas/")
}

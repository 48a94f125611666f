package contracts

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/parleyhq/parley/chat"
)

// node is a part of the document.
type node = map[string]any

func document(t *testing.T) node {
	t.Helper()
	var doc node
	if err := yaml.Unmarshal(OpenAPI, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// at follows names down from n.
func at(t *testing.T, n any, names ...string) any {
	t.Helper()
	for _, name := range names {
		m, ok := n.(node)
		if !ok || m[name] == nil {
			t.Fatalf("there is no %s in %s", name, strings.Join(names, "/"))
		}
		n = m[name]
	}
	return n
}

func TestOpenAPIReferencesResolve(t *testing.T) {
	doc := document(t)
	if v := doc["openapi"]; v != "3.1.0" {
		t.Errorf("openapi is %v", v)
	}
	var walk func(n any)
	walk = func(n any) {
		switch n := n.(type) {
		case node:
			for name, child := range n {
				if ref, ok := child.(string); ok && name == "$ref" {
					at(t, doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
				}
				walk(child)
			}
		case []any:
			for _, child := range n {
				walk(child)
			}
		}
	}
	walk(doc)
}

func TestOpenAPIOperations(t *testing.T) {
	doc := document(t)
	seen := map[string]bool{}
	scopes := []string{string(chat.ScopeRead), string(chat.ScopeWrite), string(chat.ScopeSystem), string(chat.ScopeAdmin)}
	for path, item := range at(t, doc, "paths").(node) {
		for method, op := range item.(node) {
			op := op.(node)
			id, _ := op["operationId"].(string)
			if id == "" || seen[id] {
				t.Errorf("%s %s: operationId %q", method, path, id)
			}
			seen[id] = true
			if !strings.HasPrefix(path, "/v1/") {
				continue
			}
			for _, requirement := range op["security"].([]any) { // {} is "or none"
				for scheme, wanted := range requirement.(node) {
					at(t, doc, "components", "securitySchemes", scheme)
					for _, scope := range wanted.([]any) {
						if !slices.Contains(scopes, scope.(string)) {
							t.Errorf("%s: scope %v", id, scope)
						}
					}
				}
			}
			for _, status := range []string{"400", "401", "403", "408", "431", "500", "503"} {
				at(t, op, "responses", status)
			}
			if op["requestBody"] != nil {
				at(t, op, "responses", "413")
				at(t, op, "responses", "415")
			}
		}
	}
}

func TestOpenAPICodesAreTheTable(t *testing.T) {
	var got []string
	for _, c := range at(t, document(t), "components", "schemas", "Code", "enum").([]any) {
		got = append(got, c.(string))
	}
	var want []string
	for code := range problemKinds {
		want = append(want, string(code))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("documented %v\nin the table %v", got, want)
	}
}

func TestOpenAPISchemasAreTheWireTypes(t *testing.T) {
	schemas := at(t, document(t), "components", "schemas")
	for name, wire := range map[string]any{
		"Thread": Thread{}, "ThreadWithParticipants": Thread{}, "Participant": Participant{}, "ThreadPage": ThreadPage{},
		"Message": Message{}, "Reaction": Reaction{}, "MessagePage": MessagePage{},
		"Receipts": Receipts{}, "RecipientState": RecipientState{}, "ReceiptSummary": ReceiptSummary{},
		"Problem": Problem{}, "Me": Me{}, "SetOwnState": ownStateBody{}, "UnreadCounts": UnreadCounts{}, "FieldProblem": FieldProblem{},
		"CreateThread": createThreadBody{}, "SendMessage": SendBody{}, "EditMessage": editBody{},
		"AddReaction": reactionBody{}, "PinMessage": pinBody{}, "ReportMessage": reportBody{},
		"Pin": Pin{}, "Pins": Pins{}, "Presence": Presence{}, "Block": Block{}, "Blocks": Blocks{}, "ReactionPage": ReactionPage{},
		"ReportReceipt": ReportReceipt{}, "Report": Report{}, "ReportPage": ReportPage{}, "EventPage": EventPage{},
		"PrekeyUpload": prekeyUploadBody{}, "PrekeyStatus": PrekeyStatus{}, "PrekeysStored": PrekeysStored{}, "FetchGroupPrekeys": groupPrekeysBody{}, "GroupPrekeys": GroupPrekeys{}, "PQPrekey": OneTimePrekey{},
		"Device": Device{}, "Devices": Devices{}, "DeviceIdentity": DeviceIdentity{}, "DeviceIdentities": DeviceIdentities{},
		"PrekeyStatuses": PrekeyStatuses{},
		"PrekeyBundle":   PrekeyBundle{}, "DeviceBundle": DeviceBundle{},
		"Prekey": prekeyBody{}, "SignedPrekey": SignedPrekey{}, "LastResortPrekey": OneTimePrekey{},
	} {
		want := members(reflect.TypeOf(wire))
		if name == "Thread" {
			want = slices.DeleteFunc(want, func(m string) bool { return m == "participants" })
		}
		schema := at(t, schemas, name).(node)
		if got := slices.Sorted(maps.Keys(at(t, schema, "properties").(node))); !slices.Equal(got, want) {
			t.Errorf("%s documents %v, the type has %v", name, got, want)
		}
		if schema["additionalProperties"] != false {
			t.Errorf("%s takes additional properties", name)
		}
	}
}

// Every answer with a body has an example, and one that refuses has one for each code that its description names.
func TestOpenAPIResponsesShowExamples(t *testing.T) {
	doc := document(t)
	check := func(name string, response node) {
		content, hasBody := response["content"].(node)
		if !hasBody {
			return
		}
		for mediaType, body := range content {
			shown := slices.Sorted(maps.Keys(at(t, body, "examples").(node)))
			if mediaType != ProblemContentType {
				continue
			}
			var documented []string
			for _, quoted := range codeInWords.FindAllString(response["description"].(string), -1) {
				if code := strings.Trim(quoted, "`"); problemKinds[chat.Code(code)].status != 0 {
					documented = append(documented, code)
				}
			}
			slices.Sort(documented)
			if !slices.Equal(shown, documented) {
				t.Errorf("%s documents %v and shows %v", name, documented, shown)
			}
		}
	}
	responses := at(t, doc, "components", "responses").(node)
	for name, response := range responses {
		check(name, response.(node))
	}
	for path, item := range at(t, doc, "paths").(node) {
		for method, op := range item.(node) {
			for status, response := range at(t, op, "responses").(node) {
				where := method + " " + path + " " + status
				ref, isRef := response.(node)["$ref"].(string)
				if !isRef {
					check(where, response.(node))
					continue
				}
				problem, refuses := at(t, responses, strings.TrimPrefix(ref, "#/components/responses/")).(node)["content"].(node)[ProblemContentType]
				if !refuses {
					continue
				}
				for code := range at(t, problem, "examples").(node) {
					if want := strconv.Itoa(problemKinds[chat.Code(code)].status); status != want {
						t.Errorf("%s refuses with %s, whose status is %s", where, code, want)
					}
				}
			}
		}
	}
}

var codeInWords = regexp.MustCompile("`[a-z_]+`")

func TestOpenAPIProblemExamplesAreTheTable(t *testing.T) {
	for name, example := range at(t, document(t), "components", "examples").(node) {
		kind, isProblem := problemKinds[chat.Code(name)]
		if !isProblem {
			continue
		}
		value := at(t, example, "value").(node)
		if value["type"] != "/problems/"+name || value["code"] != name || value["title"] != kind.title || value["status"] != kind.status {
			t.Errorf("the example of %s is %v, the table has %v", name, value, kind)
		}
	}
}

// members lists the JSON names of a struct's fields, sorted.
func members(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "-" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

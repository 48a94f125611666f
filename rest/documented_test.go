package rest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// operation is one of openapi.yaml, as far as these tests hold answers to it.
type operation struct {
	ID          string `yaml:"operationId"`
	RequestBody any    `yaml:"requestBody"`
	Parameters  []documentedParameter
	Responses   map[string]documentedResponse
}

type documentedParameter struct {
	Ref      string `yaml:"$ref"`
	Name, In string
}

type documentedResponse struct {
	Ref         string `yaml:"$ref"`
	Description string
	Headers     map[string]struct {
		Ref string `yaml:"$ref"`
	}
}

type openAPI struct {
	Paths      map[string]map[string]operation // by path and method in lower case
	Components struct {
		Parameters map[string]documentedParameter
		Responses  map[string]documentedResponse
		Headers    map[string]struct{ Required bool }
	}
}

var document = sync.OnceValues(func() (doc openAPI, err error) {
	err = yaml.Unmarshal(contracts.OpenAPI, &doc)
	return doc, err
})

// query names the parameters of an operation's query.
func (d openAPI) query(op operation) (names []string) {
	for _, p := range op.Parameters {
		if name, isRef := strings.CutPrefix(p.Ref, "#/components/parameters/"); isRef {
			p = d.Components.Parameters[name]
		}
		if p.In == "query" {
			names = append(names, p.Name)
		}
	}
	return names
}

// queries names the parameters of all queries, each once.
func (d openAPI) queries() (names []string) {
	for _, operations := range d.Paths {
		for _, op := range operations {
			names = append(names, d.query(op)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// operationOf finds what a request calls; a path without a placeholder goes first.
func (d openAPI) operationOf(method, path string) (operation, bool) {
	path, _, _ = strings.Cut(path, "?")
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var found operation
	fewest := 100
	for template, operations := range d.Paths {
		op, there := operations[strings.ToLower(method)]
		if holes, fits := fitsTemplate(template, path); fits && there && holes < fewest {
			found, fewest = op, holes
		}
	}
	return found, fewest < 100
}

func fitsTemplate(template, path string) (holes int, fits bool) {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return 0, false
	}
	for i, segment := range want {
		switch {
		case strings.HasPrefix(segment, "{") && got[i] != "":
			holes++
		case segment != got[i]:
			return 0, false
		}
	}
	return holes, true
}

// checkDocumented holds an answer to openapi.yaml: its status is one of the
// operation, which says the refusal's code there, and its headers are.
func (a answer) checkDocumented(r request) {
	a.t.Helper()
	doc, err := document()
	if err != nil {
		a.t.Fatal(err)
	}
	var code chat.Code
	if a.header.Get("Content-Type") == contracts.ProblemContentType && r.method != http.MethodHead {
		code = decoded[contracts.Problem](a).Code
	}
	op, there := doc.operationOf(r.method, r.path)
	if code == contracts.CodeNotFound || a.status == http.StatusMethodNotAllowed {
		if there && r.method != http.MethodHead && op.ID != "metrics" { // which may be elsewhere
			a.t.Errorf("%s %s is documented and answered %d", r.method, r.path, a.status)
		}
		return
	}
	if r.method == http.MethodOptions && a.status == http.StatusNoContent { // a preflight, which no operation has
		return
	}
	if !there && code == contracts.CodeUnauthenticated && strings.HasPrefix(r.path, "/v1") { // comes before the route
		return
	}
	response, there := op.Responses[strconv.Itoa(a.status)]
	if !there {
		a.t.Errorf("%s %s: %d %s is not documented", r.method, r.path, a.status, code)
		return
	}
	if name, isRef := strings.CutPrefix(response.Ref, "#/components/responses/"); isRef {
		response = doc.Components.Responses[name]
	}
	if code != "" && !strings.Contains(response.Description, "`"+string(code)+"`") {
		a.t.Errorf("%s %s: %s is not among the documented: %s", r.method, r.path, code, response.Description)
	}
	for name, header := range response.Headers {
		required := doc.Components.Headers[strings.TrimPrefix(header.Ref, "#/components/headers/")].Required
		if required && a.header.Get(name) == "" {
			a.t.Errorf("%s %s: %d without %s", r.method, r.path, a.status, name)
		}
	}
	for _, name := range []string{"Retry-After", "Location", "WWW-Authenticate", "Idempotency-Replayed", "Idempotency-Content-Differs"} {
		if _, documented := response.Headers[name]; !documented && a.header.Get(name) != "" {
			a.t.Errorf("%s %s: %d has %s, which is not documented", r.method, r.path, a.status, name)
		}
	}
}

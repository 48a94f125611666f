// Package parley_test holds the rules of the house that no compiler checks: who
// may import whom, that every package says what it is for, and that files stay
// of a size one can read.
package parley_test

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/parleyhq/parley"

// maxFileLines is where a file that grew becomes two ideas sharing a room; most
// are far shorter.
const maxFileLines = 700

// listedPackage is what `go list -json` tells of one package of this module.
type listedPackage struct {
	ImportPath  string
	Name        string
	Dir         string
	Doc         string
	GoFiles     []string
	CgoFiles    []string
	Imports     []string
	Standard    bool
	TestImports []string
}

// rel is the package's path within the module; "" is the root.
func (p listedPackage) rel() string { return relative(p.ImportPath) }

func relative(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

func packages(t *testing.T) []listedPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listedPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatalf("reading go list: %v", err)
		}
		all = append(all, p)
	}
}

// layer is a set of packages with the same rights.
type layer struct {
	folder string   // the package at this path and those below it
	may    []string // folders of this module it may import, besides its own
}

// layers is the import rule of docs/architecture.md:
//
//	cmd → {rest, hooks, broker} → {contracts, auth} → chat ← {store/*, bus/*}
//
// The first line whose folder holds a package is the package's.
var layers = []layer{
	{"cmd", []string{"client", "rest", "hooks", "broker", "contracts", "auth", "chat", "store", "bus", "internal"}},
	{"rest", []string{"contracts", "auth", "chat", "internal"}},
	{"hooks", []string{"broker/session", "contracts", "auth", "chat", "internal"}}, // the sessions, which know no protocol; not the broker
	{"broker/feed", []string{"contracts", "chat", "internal"}},                     // knows no session and no connection
	{"broker/presence", []string{"chat", "internal"}},                              // knows no session
	{"broker/session", []string{"broker/feed", "broker/presence", "contracts", "chat", "internal"}},
	{"broker", []string{"contracts", "auth", "chat", "internal"}},
	{"auth", []string{"contracts", "chat", "internal"}}, // for the problem codes
	{"contracts", []string{"chat", "internal"}},
	{"client", []string{"contracts"}}, // a stranger to the server: it knows what crosses the border
	{"examples", []string{"client"}},  // what a reader would write
	{"store", []string{"chat", "internal"}},
	{"bus", []string{"chat", "internal"}},
	{"chat", []string{"internal"}},
	{"test", []string{"client", "cmd", "rest", "hooks", "broker", "contracts", "auth", "chat", "store", "bus", "internal"}}, // what proves the house
	{"deploy", nil},   // tools of the release and its checks: they know nothing of the house
	{"internal", nil}, // small things that are no domain: all may import them, they import nothing
}

func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

func layerOf(path string) (layer, bool) {
	i := slices.IndexFunc(layers, func(l layer) bool { return within(path, l.folder) })
	if i < 0 {
		return layer{}, false
	}
	return layers[i], true
}

func TestImportsRunOneWay(t *testing.T) {
	for _, p := range packages(t) {
		if p.rel() == "" {
			continue // this test's own package
		}
		own, known := layerOf(p.rel())
		if !known {
			t.Errorf("%s belongs to no layer: give it a line in this test and in docs/architecture.md", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if imported != module && !strings.HasPrefix(imported, module+"/") {
				continue
			}
			target := relative(imported)
			if within(target, own.folder) || slices.ContainsFunc(own.may, func(f string) bool { return within(target, f) }) {
				continue
			}
			t.Errorf("%s imports %s: %s may import only %v", p.rel(), target, own.folder, own.may)
		}
	}
}

// forbidden names technology that must not reach a folder, whatever the layers say.
var forbidden = []struct {
	folder, imports, why string
}{
	{"broker/session", "github.com/mochi-mqtt/", "a session sees a Transport, so that another MQTT front can take mochi's place"},
	{"broker/feed", "github.com/mochi-mqtt/", "a feed is read by whatever reads the logs"},
	{"rest", "github.com/mochi-mqtt/", "REST knows no broker"},
	{"contracts", "github.com/mochi-mqtt/", "the wire format outlives the broker"},
	{"contracts", "github.com/gofiber/", "the wire format outlives the web framework"},
	{"store", "github.com/gofiber/", "a store answers no requests"},
	{"hooks", "github.com/gofiber/", "hooks are MQTT's side"},
	{"client", "github.com/mochi-mqtt/", "a client is no broker"},
}

func TestTechnologyStaysInItsFolder(t *testing.T) {
	for _, p := range packages(t) {
		for _, rule := range forbidden {
			if !within(p.rel(), rule.folder) {
				continue
			}
			for _, imported := range p.Imports {
				if strings.HasPrefix(imported, rule.imports) {
					t.Errorf("%s imports %s: %s", p.rel(), imported, rule.why)
				}
			}
		}
	}
}

// Who builds on the client gets nothing of the server with it, and MQTT only by client/mqtt.
func TestTheClientBringsNoServer(t *testing.T) {
	for folder, alien := range map[string][]string{
		"client":      {"gofiber", "mochi-mqtt", "pebble", "mongo-driver", "nats-io", "prometheus", "paho", "gorilla"},
		"client/mqtt": {"gofiber", "mochi-mqtt", "pebble", "mongo-driver", "nats-io", "prometheus"},
	} {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "./"+folder)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		for imported := range strings.FieldsSeq(string(out)) {
			if slices.ContainsFunc(alien, func(name string) bool { return strings.Contains(imported, name) }) {
				t.Errorf("%s brings %s along", folder, imported)
			}
		}
	}
}

// domainImports are the only modules that the domain may use: ids, a token bucket
// and a bounded map, no technology.
var domainImports = []string{
	"github.com/google/uuid", "github.com/hashicorp/golang-lru/v2/simplelru", "github.com/oklog/ulid/v2",
}

func TestDomainKnowsNoTechnology(t *testing.T) {
	banned := []string{"net", "net/http", "database/sql", "os", "os/exec", "log"}
	for _, p := range packages(t) {
		if !within(p.rel(), "chat") {
			continue
		}
		for _, imported := range p.Imports {
			first, _, _ := strings.Cut(imported, "/")
			standard := !strings.Contains(first, ".")
			switch {
			case standard && slices.Contains(banned, imported):
				t.Errorf("%s imports %s: the domain does no input or output", p.rel(), imported)
			case !standard && !within(relative(imported), "chat") && !within(relative(imported), "internal") && !slices.Contains(domainImports, imported):
				t.Errorf("%s imports %s: the domain uses the standard library and %v", p.rel(), imported, domainImports)
			}
		}
	}
}

// Only cmd wires, so nothing but cmd may name a concrete store or bus; the
// suites that implementations share are for tests alone.
func TestSuitesStayInTests(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			suite := strings.HasSuffix(imported, "/storetest") || strings.HasSuffix(imported, "/bustest") || imported == "testing"
			if suite && !strings.HasSuffix(p.ImportPath, "test") && !within(p.rel(), "test") {
				t.Errorf("%s imports %s outside a test", p.rel(), imported)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles)+len(p.CgoFiles) == 0 {
			continue
		}
		want := "Package " + filepath.Base(p.ImportPath)
		if p.Name == "main" {
			want = "Command " + filepath.Base(p.ImportPath)
		}
		if !strings.HasPrefix(p.Doc, want) {
			t.Errorf("%s: the package comment should start with %q, it is %q", p.rel(), want, p.Doc)
		}
		if n := packageComments(t, p); n > 1 {
			t.Errorf("%s has %d package comments, go doc runs them together: keep one", p.rel(), n)
		}
	}
}

func packageComments(t *testing.T, p listedPackage) (n int) {
	t.Helper()
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if file.Doc != nil {
			n++
		}
	}
	return n
}

// Comments cite the contract by its headings, as docs/contract.md#resuming: each
// of them has to be there.
func TestCitedHeadingsExist(t *testing.T) {
	page, err := os.ReadFile("docs/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	headings := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(string(page), -1) {
		headings[strings.ReplaceAll(strings.ToLower(m[1]), " ", "-")] = true
	}
	citation := regexp.MustCompile(`contract\.md#([a-z0-9-]+)|\]\(#([a-z0-9-]+)\)`)
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir() || !slices.Contains([]string{".go", ".md", ".mjs", ".yaml"}, filepath.Ext(path)):
			return nil
		}
		source, err := os.ReadFile(path)
		for _, m := range citation.FindAllStringSubmatch(string(source), -1) {
			alone := filepath.Base(path) == "contract.md" // its links to itself name only the heading
			if anchor := m[1] + m[2]; !headings[anchor] && (m[1] != "" || alone) {
				t.Errorf("%s cites #%s, docs/contract.md has no such heading", path, anchor)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilesStayReadable(t *testing.T) {
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			source, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if lines := strings.Count(string(source), "\n"); lines > maxFileLines {
				t.Errorf("%s/%s has %d lines, more than %d: which two ideas share it?", p.rel(), name, lines, maxFileLines)
			}
		}
	}
}

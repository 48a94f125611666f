package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// This test's own binary has the module's name and its libraries in it, and each run says the same.
func TestDescribesABinary(t *testing.T) {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := run("v1.2.3", binary, out); err != nil {
			t.Fatal(err)
		}
	}
	if first.String() != second.String() {
		t.Error("two runs say different things")
	}
	var d document
	if err := json.Unmarshal(first.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if d.Metadata.Component.URL != "pkg:golang/github.com/parleyhq/parley@v1.2.3" {
		t.Errorf("it is of %v", d.Metadata.Component)
	}
	if !strings.Contains(first.String(), `"pkg:golang/std@1.`) {
		t.Errorf("the standard library is missing:\n%s", first.String())
	}
	if err := run("v1", "main.go", &second); err == nil {
		t.Error("a text is described as a binary")
	}
}

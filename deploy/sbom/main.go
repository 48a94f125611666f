// Command sbom prints what a Go binary is made of, as a CycloneDX document: the modules that the
// linker wrote into it, as `go version -m` shows them. What is in the binary is true of it; the
// same binary gives the same document.
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
)

func main() {
	version := flag.String("version", "dev", "the version of the binary")
	flag.Parse()
	if err := run(*version, flag.Arg(0), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// document is the part of CycloneDX 1.5 that is needed.
type document struct {
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Version    int         `json:"version"`
	Metadata   metadata    `json:"metadata"`
	Components []component `json:"components"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Ref     string `json:"bom-ref"`
	Type    string `json:"type"`
	Name    string `json:"name"`
	Version string `json:"version"`
	URL     string `json:"purl"`
}

func run(version, binary string, out io.Writer) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(describe(version, info))
}

func describe(version string, info *debug.BuildInfo) document {
	d := document{
		Format: "CycloneDX", Spec: "1.5", Version: 1,
		Metadata:   metadata{module("application", info.Main.Path, version)},
		Components: []component{module("library", "std", strings.TrimPrefix(info.GoVersion, "go"))},
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		d.Components = append(d.Components, module("library", m.Path, m.Version))
	}
	slices.SortFunc(d.Components, func(a, b component) int { return strings.Compare(a.URL, b.URL) })
	return d
}

func module(kind, path, version string) component {
	url := "pkg:golang/" + path + "@" + version
	return component{Ref: url, Type: kind, Name: path, Version: version, URL: url}
}

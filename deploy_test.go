package parley_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The systemd unit is one that systemd accepts, where systemd is there to say so.
func TestSystemdUnit(t *testing.T) {
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not here")
	}
	unit, err := os.ReadFile("deploy/systemd/parley.service")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.Executable() // it has to be there, and is not installed
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "parley.service")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(unit), "/usr/local/bin/parley", binary)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), verify, "verify", "--man=no", file).CombinedOutput()
	if said := strings.TrimSpace(string(out)); err != nil || strings.Contains(said, "parley.service") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, said)
	}
}

// The image is built with the Go of go.mod, from all that the server imports.
func TestDockerfile(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read("go.mod"))
	if version == nil || !strings.Contains(read("Dockerfile"), " golang:"+version[1]+"-") {
		t.Errorf("the Dockerfile does not build with the Go of go.mod, %v", version)
	}
	ignore := read(".dockerignore")
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", `{{with .Module}}{{if .Main}}{{$.ImportPath}}{{end}}{{end}}`, "./cmd/parley")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		folder, _, _ := strings.Cut(strings.TrimPrefix(path, "github.com/parleyhq/parley/"), "/")
		if !strings.Contains(ignore, "\n!"+folder+"\n") {
			t.Errorf("%s is not in the image's build: .dockerignore leaves out %s", path, folder)
		}
	}
}

// Alerts and panels ask for metrics that docs/operations.md lists.
func TestWatchedMetricsAreListed(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	listed := make(map[string]bool)
	for row := range strings.Lines(read("docs/operations.md")) {
		if cell, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | "); strings.HasPrefix(row, "| `parley_") {
			for _, m := range regexp.MustCompile("`(parley_[a-z_0-9]+)").FindAllStringSubmatch(cell, -1) {
				listed[m[1]] = true
			}
		}
	}
	for _, name := range []string{"deploy/prometheus/alerts.yaml", "deploy/grafana/parley.json"} {
		found := regexp.MustCompile(`\bparley_[a-z_0-9]+`).FindAllString(read(name), -1)
		if len(found) < 8 {
			t.Errorf("%s asks for %d metrics", name, len(found))
		}
		for _, metric := range found {
			histogram := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(metric, "")
			if !listed[metric] && !listed[histogram] {
				t.Errorf("%s asks for %s, which docs/operations.md does not list", name, metric)
			}
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Log("the rules are not checked: promtool is not here (Debian: prometheus)")
		return
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", "deploy/prometheus/alerts.yaml").CombinedOutput(); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
}

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A client can be written with the types that openapi-typescript makes of openapi.yaml:
// typescript/events.ts reads every event with them, and has to compile.
func TestOpenAPITypesTheEvents(t *testing.T) {
	beforeTheStore(t)
	modules := nodeModules(t, "typescript")
	dir := t.TempDir()
	for from, to := range map[string]string{
		filepath.Join("..", "..", "contracts", "openapi.yaml"): "openapi.yaml",
		filepath.Join("typescript", "events.ts"):               "events.ts",
		filepath.Join("typescript", "tsconfig.json"):           "tsconfig.json",
	} {
		source, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), source, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{filepath.Join(modules, "openapi-typescript", "bin", "cli.js"), "openapi.yaml", "--output", "openapi.d.ts"},
		{filepath.Join(modules, "typescript", "bin", "tsc"), "--project", "tsconfig.json"},
	} {
		cmd := exec.Command("node", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", filepath.Base(args[0]), err, out)
		}
	}
}

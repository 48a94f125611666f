package parley_test

import (
	"os"
	"os/exec"
	"path/filepath"
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

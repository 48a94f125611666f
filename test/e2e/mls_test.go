package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Sixteen people encrypt a group with MLS, over three nodes and both protocols: it is begun with
// everybody's keys, people are let in and out by several at once, and everybody reads everything
// that was meant for them. The TypeScript client does it (client/js/test/mlsgroup.test.ts).
func TestEncryptedGroupOverThreeNodes(t *testing.T) {
	unlimited := []string{"--rate-send", "0", "--rate-read", "0"}
	one, two, bus := startNodes(t, unlimited...)
	three := startServerOn(t, one.store, append(unlimited, "--bus", "nats://"+bus.Addr())...)
	three.awaitHealth(t, "ok")
	client := filepath.Join("..", "..", "client", "js")
	if _, err := os.Stat(filepath.Join(client, "node_modules", ".installed")); err != nil {
		t.Skip("the packages of the TypeScript client are not installed, which needs Node.js 20: make test-client does it")
	}
	vitest := exec.Command("node", filepath.Join("node_modules", "vitest", "vitest.mjs"), "run", "--config", "vitest.config.ts", "test/mlsgroup.test.ts")
	vitest.Dir = client
	vitest.Env = append(os.Environ(), "PARLEY_NODES="+strings.Join([]string{one.url("http"), two.url("http"), three.url("http")}, ","), "PARLEY_SECRET="+string(secret))
	out, err := vitest.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "epochs") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// nodeModules is a node_modules with the packages that the files of npm in dir pin. They
// are installed once into the user's cache, in a folder named after the hash of these files.
func nodeModules(t testing.TB, dir string) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("this test needs Node.js 18 or newer with npm: %v", err)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	pinned := sha256.New()
	files := map[string][]byte{}
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		if files[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		pinned.Write(files[name])
	}
	home := filepath.Join(cache, "parley-e2e")
	ready := filepath.Join(home, dir+"-"+hex.EncodeToString(pinned.Sum(nil))[:16])
	if _, err := os.Stat(ready); err == nil {
		return filepath.Join(ready, "node_modules")
	}
	// The packages are installed beside the folder and renamed to it, so that the folder is
	// never incomplete, even if two test runs install it at the same time.
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	fresh, err := os.MkdirTemp(home, "installing-") //nolint:usetesting // what is renamed has to be beside its new place
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(fresh, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.Command("npm", "ci")
	install.Dir = fresh
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("installing what %s pins: %v\n%s", dir, err, out)
	}
	if err := os.Rename(fresh, ready); err != nil {
		if _, there := os.Stat(ready); there != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(ready, "node_modules")
}

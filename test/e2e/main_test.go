package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/parleyhq/parley/test/mongod"
)

// patience bounds every wait. It is long because a test must not fail on a loaded machine;
// a test that passes does not wait that long.
const patience = 2 * time.Minute

// binaryVariable names a server that was just built with the race detector. Without it
// the suite builds one.
const binaryVariable = "PARLEY_E2E_BINARY"

// parleyBinary is the server under test.
var parleyBinary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if err := checkStoreVariable(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "parley-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if parleyBinary = os.Getenv(binaryVariable); parleyBinary == "" {
		parleyBinary = filepath.Join(dir, "parley")
		if err := buildServer(parleyBinary, "-race"); err != nil {
			fmt.Fprintln(os.Stderr, "building the server:", err)
			return 1
		}
	}
	return mongod.Main(m).Run()
}

func buildServer(binary string, flags ...string) error {
	build := exec.Command("go", append(append([]string{"build"}, flags...), "-o", binary, "./cmd/parley")...)
	build.Dir = filepath.Join("..", "..")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	return build.Run()
}

// plainBinary is the server without the race detector, for tests that measure its memory.
// With the race detector Pebble decides at random, once for each process, whether its
// memtables and its block cache are on Go's heap.
var plainBinary = sync.OnceValues(func() (binary string, err error) {
	binary = filepath.Join(filepath.Dir(parleyBinary), "parley-plain")
	return binary, buildServer(binary)
})

// eventually polls until condition holds, for conditions that no frame announces. It polls
// less often as time goes by, because a poll can cost a whole request.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for pause := 5 * time.Millisecond; !condition(); pause = min(pause*5/4, 100*time.Millisecond) {
		select {
		case <-time.After(pause):
		case <-deadline:
			t.Fatalf("%v have passed without this: %s", patience, what)
		}
	}
}

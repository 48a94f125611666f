package main

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// Wrong uses of backup and restore end with one line that says what is wrong.
func TestBackupAndRestoreRefuse(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ says, args string }{
		{"DIR is missing", "backup --store pebble:" + dir},
		{"set --store", "backup " + dir},
		{"by its own tools", "backup --store mongodb://127.0.0.1/x " + dir},
		{"there is no store", "backup --store pebble:" + filepath.Join(dir, "none") + " " + filepath.Join(dir, "copy")},
		{"unexpected argument", "backup --store pebble:" + dir + " a b"},
		{"no whole backup", "restore --store pebble:" + filepath.Join(dir, "new") + " " + dir},
		{"parley restore", "store restored --store pebble:" + dir},
	} {
		err := run(t.Context(), strings.Fields(c.args), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("parley %s: %v, want one line with %q", c.args, err, c.says)
		}
	}
}

// A backup is asked of the server that has the store, and made without one otherwise; what is
// restored from it is served.
func TestBackupOfAServedStore(t *testing.T) {
	r := startNode(t, "--jwt-secret", testSecret)
	dir := t.TempDir()
	says := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if err := run(t.Context(), args, &out, io.Discard); err != nil {
			t.Fatalf("parley %v: %v", args, err)
		}
		return out.String()
	}
	id := r.store.ID().String()
	if got := says("backup", "--verify", "--store", r.set.store, filepath.Join(dir, "live")); !strings.Contains(got, id) {
		t.Errorf("it says %q, want the store's id %s", got, id)
	}
	if r.log.count("a backup was made") != 1 {
		t.Errorf("the server has not made it: %s", r.log)
	}
	r.leave()
	says("backup", "--verify", "--store", r.set.store, filepath.Join(dir, "still"))
	if got := says("restore", "--store", "pebble:"+filepath.Join(dir, "new"), filepath.Join(dir, "live")); strings.Contains(got, id) {
		t.Errorf("the restored store keeps the id: %q", got)
	}
	if err := serveOnce(t, "pebble:"+filepath.Join(dir, "new")); err != nil {
		t.Error(err)
	}
}

package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The same warning comes once a second, with how many were left out; others, and the access log, come all.
func TestRepeatedWarningsAreSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(newRepeatsHandler(slog.NewTextHandler(&out, nil)))
		for i := range 25 {
			log.With("device", i).Warn("not stored")
			log.Info("not stored")
			log.Error("request")
			if i == 3 {
				log.Warn("something else")
			}
			time.Sleep(100 * time.Millisecond)
		}
		warnings := strings.Count(out.String(), `level=WARN msg="not stored"`)
		if n := strings.Count(out.String(), "left_out=9"); warnings != 3 || n != 2 {
			t.Errorf("%d warnings, %d with what was left out; want 3, 2:\n%s", warnings, n, out.String())
		}
		if strings.Count(out.String(), `level=INFO msg="not stored"`) != 25 || strings.Count(out.String(), "msg=request") != 25 ||
			strings.Count(out.String(), "something else") != 1 {
			t.Errorf("something else was left out:\n%s", out.String())
		}
	})
}

// The limit of open files is divided so that something is left for all.
func TestDivideOpenFiles(t *testing.T) {
	for _, c := range []struct{ limit, wanted, connections, tables int }{
		{1024, 0, 704, 256},
		{256, 0, 128, 64},
		{64, 0, 16, 16},
		{1 << 20, 0, 1<<20 - 1064, 1000},
		{1024, 100, 100, 256},
		{1024, 5000, 704, 256},
	} {
		if got := divide(c.limit, c.wanted); got != (descriptors{c.connections, c.tables}) {
			t.Errorf("divide(%d, %d) = %+v", c.limit, c.wanted, got)
		}
	}
}

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// smallDiskFiles is how many files and directories a smallDisk can hold.
const smallDiskFiles = 512

// smallDisk is a file system of that many MiB of its own. The test is skipped where it cannot be
// mounted.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	if onMongo {
		t.Skip("this is about the disk of the embedded store")
	}
	dir := t.TempDir()
	if err := syscall.Mount("parley", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,nr_inodes=%d,mode=0700", mib, smallDiskFiles)); err != nil {
		t.Skipf("a file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill leaves that many KiB of the disk, by a file that it names.
func fill(t *testing.T, disk string, left int64) (filler string) {
	t.Helper()
	filler = filepath.Join(disk, "filler")
	f, err := os.OpenFile(filler, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4<<10)
	for {
		var s syscall.Statfs_t
		if err := syscall.Statfs(disk, &s); err != nil {
			t.Fatal(err)
		}
		if int64(s.Bavail)*s.Bsize <= left<<10 {
			return filler
		}
		if _, err := f.Write(block); err != nil {
			return filler // somebody else was faster
		}
	}
}

// fillFiles makes files until the disk makes no more, in a directory that it names.
func fillFiles(t *testing.T, disk string) (filler string) {
	t.Helper()
	filler = filepath.Join(disk, "filler")
	if err := os.Mkdir(filler, 0o700); err != nil {
		t.Fatal(err)
	}
	for n := range smallDiskFiles {
		f, err := os.Create(filepath.Join(filler, strconv.Itoa(n)))
		if err != nil {
			return filler
		}
		f.Close()
	}
	t.Fatal("the disk makes more files than it is to hold")
	return ""
}

// supervised is a server that is started again whenever it ends, until it serves, as a supervisor
// does.
func supervised(t *testing.T, s *server) (restarts func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended, count := make(chan struct{}), make(chan int, 1)
	count <- 0
	go func() {
		defer close(ended)
		for {
			select {
			case <-s.exited:
			case <-ctx.Done():
				return
			}
			if ctx.Err() != nil {
				return
			}
			n := <-count
			for err := s.tryStart(); err != nil; err = s.tryStart() {
				if !strings.Contains(err.Error(), "the disk is full") {
					t.Error(err)
					break
				}
				if ctx.Err() != nil {
					break
				}
			}
			count <- n + 1
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return func() int { n := <-count; count <- n; return n }
}

// While the disk is full, writes are refused with a long Retry-After and reads go on. Once there
// is room, the server stores again with nobody's help, and nothing that was acknowledged is lost.
func TestFullDisk(t *testing.T) {
	for _, c := range []struct {
		name string
		fill func(t *testing.T, disk string) (filler string)
	}{
		{"the reserve is reached", func(t *testing.T, disk string) string { return fill(t, disk, 2<<10) }},
		{"no byte is left", func(t *testing.T, disk string) string { return fill(t, disk, 0) }},
		{"no file can be made", fillFiles},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := smallDisk(t, 96)
			s := startServerOn(t, "pebble:"+filepath.Join(disk, "store"))
			restarts := supervised(t, s)
			ann, bob := s.device(t, "ann", "a"), s.device(t, "bob", "b")
			thread := ann.createGroup(t, "bob").ID
			before := []message{ann.send(t, thread, "before")}
			mqtt5TCP.live(t, bob, options{})
			filler := c.fill(t, disk)
			var refused answer
			eventually(t, "a send is refused", func() bool {
				a, err := ann.try(t.Context(), thread, outgoing{Ciphertext: make([]byte, 32<<10)})
				if err != nil {
					t.Fatal(err)
				}
				if a.status == http.StatusAccepted {
					var m message
					a.into(t, &m)
					before = append(before, m)
					return false
				}
				refused = a
				return true
			})
			if refused.status != http.StatusServiceUnavailable || refused.header.Get("Retry-After") != "30" {
				t.Errorf("a send on a full disk: %d, Retry-After %q: %s", refused.status, refused.header.Get("Retry-After"), refused.body)
			}
			ready, err := ann.call(t.Context(), http.MethodGet, "/readyz", nil)
			if err != nil || ready.status != http.StatusServiceUnavailable || ready.header.Get("Retry-After") != "30" {
				t.Errorf("/readyz on a full disk: %d, Retry-After %q, %v", ready.status, ready.header.Get("Retry-After"), err)
			}
			if got := s.status("/healthz"); got != http.StatusOK {
				t.Errorf("/healthz is %d while room is all that is missing", got)
			}
			if got := ann.history(t, thread); len(got) != len(before) {
				t.Errorf("on a full disk %d of %d messages are read", len(got), len(before))
			}
			mqtt311TCP.live(t, s.device(t, "bob", "new"), options{}) // its first connect ever, and it is caught up
			warnings := strings.Count(s.log.String(), `"level":"WARN"`) + strings.Count(s.log.String(), `"level":"ERROR"`) - strings.Count(s.log.String(), `"msg":"request"`)
			if n := restarts(); n > 0 {
				t.Errorf("%d restarts while the disk was full", n)
			}
			if err := os.RemoveAll(filler); err != nil {
				t.Fatal(err)
			}
			freed := time.Now()
			eventually(t, "the server stores again", func() bool {
				a, err := ann.try(t.Context(), thread, outgoing{Ciphertext: []byte("after")})
				return err == nil && a.status == http.StatusAccepted
			})
			t.Logf("%d messages before, %d warnings while it was full, stored again after %v and %d restarts", len(before), warnings, time.Since(freed).Round(time.Millisecond), restarts())
			eventually(t, "/readyz says 200 again", func() bool { return s.status("/readyz") == http.StatusOK })
			stored := map[string]bool{}
			for _, m := range ann.history(t, thread) {
				stored[m.ID] = true
			}
			for _, m := range before {
				if !stored[m.ID] {
					t.Errorf("the acknowledged %s is lost", m.ID)
				}
			}
		})
	}
}

// A start on a full disk says so in one line and ends; with room the next start serves.
func TestStartOnAFullDisk(t *testing.T) {
	disk := smallDisk(t, 64)
	dir := filepath.Join(disk, "store")
	s := startServerOn(t, "pebble:"+dir)
	ann := s.device(t, "ann", "a")
	thread := ann.createGroup(t, "bob").ID
	sent := ann.send(t, thread, "before")
	s.kill(t)
	filler := fill(t, disk, 0)
	started := time.Now()
	line := doesNotStart(t, t.TempDir(), "no space left", "serve", "--listen", "127.0.0.1:0", "--jwt-secret", string(secret), "--store", "pebble:"+dir)
	if !strings.Contains(line, dir) {
		t.Errorf("the line does not name the directory: %s", line)
	}
	t.Logf("after %v: %s", time.Since(started).Round(time.Millisecond), line)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	if got := ann.history(t, thread); len(got) != 1 || got[0].ID != sent.ID {
		t.Errorf("with room again the history is %v", ids(got))
	}
}

// What the server keeps is for its user's eyes, and it says so of a secret that is not.
func TestPrivateFiles(t *testing.T) {
	if onMongo {
		t.Skip("this is about the files of the embedded store")
	}
	dir := filepath.Join(t.TempDir(), "data", "store")
	s := startServerOn(t, "pebble:"+dir)
	if strings.Contains(s.log.String(), "can read a secret file") {
		t.Error("it warns of a secret that nobody else can read")
	}
	files := 0
	err := filepath.WalkDir(filepath.Dir(dir), func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return nil //nolint:nilerr // the store has removed it meanwhile
		}
		want := os.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		}
		if files++; info.Mode().Perm() != want {
			t.Errorf("%s has the mode %v, want %v", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.stop(t)
	if err := os.Chmod(s.secretFile(), 0o644); err != nil {
		t.Fatal(err)
	}
	loose := filepath.Join(dir, "CURRENT.of.before")
	if err := os.WriteFile(loose, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{loose, dir} { // as an older build made them
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.start(t)
	for path, want := range map[string]os.FileMode{dir: 0o700, loose: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has the mode %v, %v; want %v", path, info.Mode().Perm(), err, want)
		}
	}
	if n := strings.Count(s.log.String(), "the store's directory was open to others"); n != 1 {
		t.Errorf("it says %d times that it has closed the directory", n)
	}
	s.stop(t)
	s.start(t)
	if n := strings.Count(s.log.String(), "the store's directory was open to others"); n != 0 {
		t.Errorf("after another start it says it %d times", n)
	}
	if log := s.log.String(); !strings.Contains(log, "can read a secret file") || !strings.Contains(log, strconv.Quote(s.secretFile())) {
		t.Errorf("it does not warn of a secret that everybody can read:\n%s", log)
	}
	t.Logf("%d files and directories", files)
}

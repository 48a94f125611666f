package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// parleyRuns runs a command, which has to succeed, and gives what it says.
func parleyRuns(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), parleyBinary, args...)
	cmd.Env = cleanEnvironment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("parley %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// A client that holds events of after the backup finds another store id on the restored
// server, drops what it has, reads anew, and misses nothing that is there or comes.
func TestClientsOfARestoredServer(t *testing.T) {
	if onMongo {
		t.Skip("MongoDB is backed up by its own tools")
	}
	s := startServer(t)
	ann := s.device(t, "ann", "a")
	dir := t.TempDir()
	backup, restored := filepath.Join(dir, "backup"), filepath.Join(dir, strings.Repeat("long/", 20), "restored")
	devices := map[string]*device{}
	for _, p := range oneOfEach {
		devices[p.name] = s.device(t, "bob-"+p.name, "b")
	}
	group := ann.createGroup(t, "bob-JSON", "bob-MQTT5-tcp", "bob-MQTT311-tcp")
	before := sendMany(t, ann, group.ID, 3)
	lines := map[string]*client{}
	for _, p := range oneOfEach {
		lines[p.name] = p.live(t, devices[p.name], options{})
		eventually(t, "what is in the backup is delivered", func() bool { return ann.stateOf(t, before[2].ID, "bob-"+p.name) == "DELIVERED" })
	}
	socket, err := os.Stat(filepath.Join(strings.TrimPrefix(s.store, "pebble:"), "backup.sock"))
	if err != nil || socket.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", socket, err)
	}
	said := parleyRuns(t, "backup", "--verify", "--store", s.store, backup)
	if !strings.Contains(said, "1 threads with 4 events, of which 3 are messages") {
		t.Errorf("the backup says %q", said)
	}
	old := lines["JSON"].all()[0].StoreID
	if !strings.Contains(said, old) {
		t.Errorf("the backup is of store %s, and says %q", old, said)
	}
	lost := sendMany(t, ann, group.ID, 2)
	for name, line := range lines {
		line.untilMessage(t, lost[1].ID)
		eventually(t, "the lost messages are delivered", func() bool { return ann.stateOf(t, lost[1].ID, "bob-"+name) == "DELIVERED" })
		line.close()
	}
	s.stop(t)
	doesNotStart(t, dir, "is not empty", "backup", "--store", s.store, backup)
	doesNotStart(t, dir, "is not empty", "restore", "--store", "pebble:"+backup, backup)
	parleyRuns(t, "restore", "--store", "pebble:"+restored, backup)
	parleyRuns(t, "backup", "--verify", "--store", s.store, filepath.Join(dir, "of-a-stopped-one"))

	s.store = "pebble:" + restored
	s.start(t)
	for _, p := range oneOfEach {
		bob := devices[p.name]
		line := p.open(t, bob, options{lastSeen: map[bool]string{true: lost[1].ID}[p.name != "MQTT311-tcp"]})
		end := line.untilType(t, "caught_up")
		if end.StoreID == old || end.StoreID == "" {
			t.Errorf("%s: the restored store is %q, the old one was %s", p.name, end.StoreID, old)
		}
		events := bob.events(t, group.ID, 0, 100)
		if n := len(events); n < 4 || events[3].ID != before[2].ID {
			t.Errorf("%s: read anew are %v", p.name, events)
		}
		fresh := ann.send(t, group.ID, "with a seq that was given before")
		if got := line.untilMessage(t, fresh.ID); got.Seq != fresh.Seq {
			t.Errorf("%s: the new message came as %v", p.name, got)
		}
	}
	ann.must(t, http.StatusOK, http.MethodGet, "/v1/threads/"+group.ID, nil)
	parleyRuns(t, "backup", "--verify", "--store", s.store, filepath.Join(dir, "of-a-long-path"))
}

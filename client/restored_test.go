package client_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/parleyhq/parley/client"
	"github.com/parleyhq/parley/test/process"
)

// A backup has no event of after it. Clients that hold such are told of the other store when the
// server runs on it, and are given everything anew and all that comes.
func TestClientsOfARestoredServer(t *testing.T) {
	s := process.Start(t)
	ann := join(t, s, "ann", client.JSON{})
	thread := ann.create(t, client.Group, "bob-json", "bob-mqtt", "bob-mqttws")
	told := make(map[string]chan string)
	people := map[string]*person{"ann": ann}
	for name, transport := range transports(s) {
		told[name] = make(chan string, 1)
		people[name] = join(t, s, "bob-"+name, transport, func(o *client.Options) {
			o.OnStoreChanged = func(_ context.Context, id string) error { told[name] <- id; return nil }
		})
	}
	say := func(all ...string) {
		t.Helper()
		for _, text := range all {
			ann.say(t, thread, text)
		}
		ann.flush(t)
		for name, p := range people {
			p.await(t, name+" has them", func(events, _ []client.Frame) bool {
				got := texts(events, thread)
				return len(got) >= len(all) && slices.Equal(got[len(got)-len(all):], all)
			})
		}
	}
	dir := t.TempDir()
	parley := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(process.Binary(t), args...).CombinedOutput(); err != nil {
			t.Fatalf("parley %v: %v\n%s", args, err, out)
		}
	}
	say("kept", "kept too")
	parley("backup", "--store", "pebble:"+filepath.Join(s.Data, "store"), filepath.Join(dir, "backup"))
	say("after the backup")
	s.Stop(t)

	parley("restore", "--store", "pebble:"+filepath.Join(dir, "data", "store"), filepath.Join(dir, "backup"))
	secret, err := os.ReadFile(filepath.Join(s.Data, "jwt-secret"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", "jwt-secret"), secret, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Data = filepath.Join(dir, "data")
	s.Begin(t)
	for name, p := range people {
		p.Hurry()
		if name != "ann" {
			<-told[name]
		}
	}
	say("on the restored one")
	for name, p := range people {
		want := []string{"kept", "kept too", "after the backup", "kept", "kept too", "on the restored one"}
		p.await(t, name+" has everything anew", func(events, _ []client.Frame) bool { return slices.Equal(texts(events, thread), want) })
	}
}

package client_test

import (
	"slices"
	"testing"

	"github.com/parleyhq/parley/client"
	"github.com/parleyhq/parley/client/mqtt"
	"github.com/parleyhq/parley/contracts"
	"github.com/parleyhq/parley/test/process"
)

// A signal may have any name, that of the topic for answers too.
func TestASignalNamedRepliesComesOverMQTT(t *testing.T) {
	s := process.Start(t)
	ann, bob := join(t, s, "ann", client.JSON{}), join(t, s, "bob", mqtt.Transport{})
	thread := ann.create(t, client.OneToOne, "bob")
	bob.say(t, thread, "accepted by this")
	bob.flush(t)
	for _, name := range []string{"replies", "last"} {
		if err := ann.Signal(t.Context(), thread, name, nil); err != nil {
			t.Fatal(err)
		}
	}
	named := func(name string) func(_, frames []client.Frame) bool {
		return func(_, frames []client.Frame) bool {
			return slices.ContainsFunc(frames, func(f client.Frame) bool { return f.Type == contracts.FrameSignal && f.Name == name })
		}
	}
	bob.await(t, "the last signal", named("last"))
	bob.await(t, "the signal named replies", named("replies"))
}

package client_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/parleyhq/parley/client"
)

// Run may end while the lanes of many threads begin.
func TestRunEndsWhileLanesBegin(t *testing.T) {
	c, err := client.New(client.Options{
		URL: "http://127.0.0.1:1", UserID: "ann", DeviceID: "laptop", Token: client.StaticToken("none"), SendOnly: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		if _, err := c.Send(t.Context(), fmt.Sprint("thread ", i), client.Draft{Ciphertext: []byte("hello")}); err != nil {
			t.Fatal(err)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := c.Run(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
	if n := len(c.Outgoing()); n != 500 {
		t.Errorf("%d messages are left", n)
	}
}

package client_test

import (
	"net/http"
	"testing"

	"github.com/parleyhq/parley/client"
)

// The server has no 404 for a connection: a proxy has, as while no server is behind it.
func TestWhatARefusedHandshakeMeans(t *testing.T) {
	for status, want := range map[int]client.Ending{
		0: client.EndLost, http.StatusNotFound: client.EndLost, http.StatusBadGateway: client.EndLost, http.StatusTooManyRequests: client.EndLost,
		http.StatusUnauthorized: client.EndToken, http.StatusBadRequest: client.EndRefused, http.StatusForbidden: client.EndRefused,
	} {
		if end := client.EndOfHandshake(status, nil); end.Ending != want || end.Code != status {
			t.Errorf("%d is %+v, not the end %d", status, end, want)
		}
	}
}

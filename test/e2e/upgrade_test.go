package e2e

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// upgrade tries a WebSocket and gives the status of the answer, and its body if it is refused.
func upgrade(t *testing.T, s *server, query string, header http.Header, protocols ...string) (status int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, s.url("ws")+"/v1/realtime"+query, &websocket.DialOptions{HTTPHeader: header, Subprotocols: protocols})
	if err == nil {
		conn.CloseNow()
		return resp.StatusCode, ""
	}
	if resp == nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

// An upgrade reads its query as strictly as any call, in both protocols.
func TestQueryOfAnUpgradeIsReadStrictly(t *testing.T) {
	beforeTheStore(t)
	s := startServer(t)
	token := s.device(t, "ann", "a").token
	for _, protocol := range []string{"parley.v1", "mqtt"} {
		header := http.Header{"Authorization": {"Bearer " + token}}
		for query, want := range map[string]int{
			"": 101, "?device_id=a": 101, "?device_id=a&last_seen_id=" + longAgo: 101,
			"?colour=red": 400, "?Device_id=a": 400, "?device_id=a&device_id=a": 400, "?last_seen_id=" + longAgo + "&last_seen_id=" + longAgo: 400,
			"?token=" + token: 400,
		} {
			if status, body := upgrade(t, s, query, header, protocol); status != want {
				t.Errorf("%s with %s: %d %s, want %d", protocol, query, status, body, want)
			}
		}
	}
}

// Pages of other origins may not open a WebSocket. The server's own origin has its host and
// port, whatever the scheme: a proxy may end TLS.
func TestOriginOfAnUpgrade(t *testing.T) {
	beforeTheStore(t)
	s := startServer(t, "--allowed-origins", "https://app.example,http://localhost:5173")
	token := s.device(t, "ann", "a").token
	for _, protocol := range []string{"parley.v1", "mqtt"} {
		for from, want := range map[string]int{
			"http://" + s.http: 101, "https://" + s.http: 101, "https://app.example": 101, "https://app.example:443": 101, "http://localhost:5173": 101,
			"http://app.example": 403, "https://app.example:8443": 403, "http://localhost": 403, "null": 403, "https://app.example.evil.example": 403,
		} {
			header := http.Header{"Authorization": {"Bearer " + token}, "Origin": {from}}
			status, body := upgrade(t, s, "", header, protocol)
			if status != want || want == 403 && !strings.Contains(body, `"origin_not_allowed"`) {
				t.Errorf("%s from %s: %d %s, want %d", protocol, from, status, body, want)
			}
		}
	}
	if log := s.log.String(); !strings.Contains(log, "origin that is not allowed") {
		t.Error("the log does not say that origins were rejected")
	}
}

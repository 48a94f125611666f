// Command token is a token endpoint: who is logged in to the app gets a token for the chat.
//
//	PARLEY_JWT_SECRET=… PORT=3000 token
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

// sessions are yours: who is behind a request, by the app's own session.
var sessions = map[string]string{"session-of-alice": "alice", "session-of-bob": "bob"}

func mint(secret, user string) string {
	now, encode := time.Now().Unix(), base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"sub":%q,"scope":"chat.read chat.write","iat":%d,"exp":%d}`, user, now, now+15*60)
	signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode([]byte(claims))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}

func main() {
	// POST, and no CORS: only pages of the app's own origin can ask.
	http.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		session, err := r.Cookie("session")
		if err != nil || sessions[session.Value] == "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, mint(os.Getenv("PARLEY_JWT_SECRET"), sessions[session.Value]))
	})
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, nil))
}

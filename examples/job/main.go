// Command job is a backend job that posts system messages over MQTT 5, with autopaho alone.
//
//	job MQTT-ADDRESS SERVICE TOKEN THREAD < messages
//
// The token has the scope chat.system and no other; SERVICE is its subject.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log"
	"net/url"
	"os"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

func main() {
	if len(os.Args) != 5 {
		log.Fatal("job MQTT-ADDRESS SERVICE TOKEN THREAD < messages")
	}
	if err := run(context.Background(), os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, address, service, token, thread string) error {
	server, err := url.Parse(address)
	if err != nil {
		return err
	}
	connection, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: []*url.URL{server}, KeepAlive: 50, CleanStartOnInitialConnection: true,
		ConnectUsername: service, ConnectPassword: []byte(token),
		ClientConfig: paho.ClientConfig{ClientID: "job"},
	})
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := post(ctx, connection, thread, lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return connection.Disconnect(ctx)
}

// post sends one message until it is stored: that is when the PUBACK comes.
func post(ctx context.Context, connection *autopaho.ConnectionManager, thread string, text []byte) error {
	payload, err := json.Marshal(map[string]any{"client_seq": time.Now().UnixMicro(), "ciphertext": text, "content_type": "system"})
	if err != nil {
		return err
	}
	key := rand.Text() // made once: every try has the same, so it is stored once
	for {
		if err := connection.AwaitConnection(ctx); err != nil {
			return err
		}
		answer, err := connection.Publish(ctx, &paho.Publish{
			Topic: "v1/threads/" + thread + "/messages", QoS: 1, Payload: payload,
			Properties: &paho.PublishProperties{CorrelationData: []byte(key)},
		})
		switch {
		case err == nil:
			fmt.Printf("stored: %s\n", text)
			return nil
		case answer != nil && answer.ReasonCode >= 0x80 && answer.ReasonCode != 0x97: // 0x97: too fast, later it may be taken
			return fmt.Errorf("refused: %s", answer.Properties.ReasonString)
		}
		log.Print(err) // no answer: it may be stored or not, and the same key asks
		time.Sleep(time.Second)
	}
}

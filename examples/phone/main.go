// Command phone is a client as a phone would have it: MQTT 5, with its outbox and its place in
// every thread in a file.
//
//	phone URL MQTT-ADDRESS USER TOKEN DEVICE FILE THREAD
//
// Lines of standard input are sent to the thread; at its end it goes on receiving.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/parleyhq/parley/client"
	"github.com/parleyhq/parley/client/mqtt"
)

func main() {
	if len(os.Args) != 8 {
		log.Fatal("phone URL MQTT-ADDRESS USER TOKEN DEVICE FILE THREAD")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string) error {
	store, err := client.OpenFileStore(args[5])
	if err != nil {
		return err
	}
	defer store.Close()
	phone, err := client.New(client.Options{
		URL: args[0], Transport: mqtt.Transport{Address: args[1]}, UserID: args[2], DeviceID: args[4], Store: store,
		Token: client.StaticToken(args[3]), // a real one asks its own service
		OnEvent: func(_ context.Context, e client.Frame) error {
			if e.Type == client.EventMessage {
				fmt.Printf("%s: %s\n", e.SenderID, e.Ciphertext)
			}
			return nil // kept: only now the server is told that the phone has it
		},
		OnPoisoned: func(_ context.Context, item client.Outgoing) { log.Printf("not sent: %s", item.Problem.Detail) },
		OnState:    func(s client.ConnState) { fmt.Println("·", s) },
	})
	if err != nil {
		return err
	}
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			if _, err := phone.Send(ctx, args[6], client.Draft{Ciphertext: []byte(lines.Text())}); err != nil {
				log.Print(err)
			}
		}
	}()
	return phone.Run(ctx)
}

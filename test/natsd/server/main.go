// Command server is a NATS server for tests.
//
//	server [-listen 127.0.0.1:0] [-user U -password P] [-token T] [-nkey KEY] [-cert FILE -key FILE]
//
// Once it serves it prints its address as one line. It ends when its standard input does,
// so that it never outlives a test that died.
package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "nats server:", err)
		os.Exit(1)
	}
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:0", "TCP address to serve on")
	opts := &server.Options{NoLog: true, NoSigs: true}
	flag.StringVar(&opts.Username, "user", "", "user of all clients")
	flag.StringVar(&opts.Password, "password", "", "password of -user")
	flag.StringVar(&opts.Authorization, "token", "", "token of all clients")
	nkey := flag.String("nkey", "", "public key of all clients")
	cert := flag.String("cert", "", "certificate file: clients must use TLS")
	key := flag.String("key", "", "key file of -cert")
	flag.Parse()
	host, port, err := net.SplitHostPort(*listen)
	if err != nil {
		return err
	}
	opts.Host = host
	if opts.Port, err = strconv.Atoi(port); err != nil {
		return err
	}
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	if *nkey != "" {
		opts.Nkeys = []*server.NkeyUser{{Nkey: *nkey}}
	}
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			return err
		}
		opts.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(time.Minute) {
		return errors.New("it does not come up")
	}
	fmt.Println(s.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Shutdown()
	return nil
}

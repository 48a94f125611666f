package mongo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// defaultDatabase is used when the connection string names none.
const defaultDatabase = "parley"

// ClientOptions say how a store reaches its servers. What is zero is as the connection
// string says or, if it does not, as DefaultClientOptions do.
type ClientOptions struct {
	Timeout          time.Duration // of a command whose context has no deadline, at the server too
	SelectionTimeout time.Duration // how long a call waits for a server that it can be sent to
	ConnectTimeout   time.Duration // of one connection
	MaxPool, MinPool int           // connections to each server
}

// DefaultClientOptions are what holds if neither the options nor the connection string say
// otherwise.
var DefaultClientOptions = ClientOptions{
	Timeout: 10 * time.Second, SelectionTimeout: 8 * time.Second, ConnectTimeout: 5 * time.Second, MaxPool: 100,
}

// apply sets what is not zero.
func (c ClientOptions) apply(o *options.ClientOptions) {
	if c.Timeout > 0 {
		o.SetTimeout(c.Timeout)
	}
	if c.SelectionTimeout > 0 {
		o.SetServerSelectionTimeout(c.SelectionTimeout)
	}
	if c.ConnectTimeout > 0 {
		o.SetConnectTimeout(c.ConnectTimeout)
	}
	if c.MaxPool > 0 {
		o.SetMaxPoolSize(uint64(c.MaxPool))
	}
	if c.MinPool > 0 {
		o.SetMinPoolSize(uint64(c.MinPool))
	}
}

// target holds the parts of a connection string that error texts show, and the secrets
// that they must not show.
type target struct {
	hosts    string
	database string
	secrets  []string
}

// parseTarget reads a connection string. It may name several hosts, so it is not always
// a URL.
func parseTarget(uri string) (target, error) {
	scheme, rest, found := strings.Cut(uri, "://")
	if !found || scheme != "mongodb" && scheme != "mongodb+srv" {
		return target{}, errors.New("the store URL is no MongoDB connection string")
	}
	rest, _, _ = strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	t := target{hosts: authority, database: defaultDatabase}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		t.hosts = authority[at+1:]
		if _, password, found := strings.Cut(authority[:at], ":"); found && password != "" {
			t.secrets = append(t.secrets, password)
			if plain, err := url.PathUnescape(password); err == nil && plain != password {
				t.secrets = append(t.secrets, plain)
			}
		}
	}
	if path != "" {
		name, err := url.PathUnescape(path)
		if err != nil || strings.ContainsAny(name, `/\. "$`+"\x00") {
			return target{}, errors.New("the store URL names a database that MongoDB cannot have")
		}
		t.database = name
	}
	return t, nil
}

// failed is the error of an opening that failed, in one line and without secrets.
func (t target) failed(err error) error { return &openError{t, err} }

// openError wraps an error and rewrites its text.
type openError struct {
	target target
	cause  error
}

func (e *openError) Unwrap() error { return e.cause }

func (e *openError) Error() string {
	text := strings.Join(strings.Fields(e.cause.Error()), " ")
	for _, secret := range e.target.secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return fmt.Sprintf("open the store in database %s of MongoDB at %s: %s", e.target.database, e.target.hosts, text)
}

// connect makes a client, and says after what time it gives a command up whose context has
// no deadline. The settings that durability depends on are fixed; the options and the
// connection string decide the others.
func connect(ctx context.Context, uri string, opts Options) (*mongo.Client, time.Duration, error) {
	type result struct {
		client  *mongo.Client
		timeout time.Duration
		err     error
	}
	done := make(chan result)
	go func() { // a mongodb+srv:// is looked up in the DNS, which no context bounds
		o := clientOptions(uri, opts)
		client, err := mongo.Connect(o)
		var timeout time.Duration
		if o.Timeout != nil {
			timeout = *o.Timeout
		}
		select {
		case done <- result{client, timeout, err}:
		case <-ctx.Done():
			if err == nil {
				_ = client.Disconnect(context.WithoutCancel(ctx)) // it has no connection yet
			}
		}
	}()
	select {
	case r := <-done:
		return r.client, r.timeout, r.err
	case <-ctx.Done():
		return nil, 0, context.Cause(ctx)
	}
}

func clientOptions(uri string, opts Options) *options.ClientOptions {
	journaled := true
	o := options.Client().SetAppName("parley")
	DefaultClientOptions.apply(o)
	o.ApplyURI(uri)
	opts.Client.apply(o)
	if opts.unbounded {
		o.Timeout = nil
	}
	o.SetWriteConcern(&writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journaled})
	o.SetReadConcern(readconcern.Majority()).SetReadPreference(readpref.Primary()).SetRegistry(newRegistry())
	if opts.dialer != nil {
		o.SetDialer(opts.dialer)
	}
	if opts.monitor != nil {
		o.SetMonitor(opts.monitor)
	}
	return o
}

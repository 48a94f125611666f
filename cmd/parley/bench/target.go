package bench

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/parleyhq/parley/cmd/parley/bench/wire"
)

// patience bounds one request, or the opening of one connection.
const patience = 30 * time.Second

// target is the server under test.
type target struct {
	o  Options
	id string

	http     *fasthttp.HostClient // nil for a plain broker
	httpAddr string
	mqttAddr string
	secure   bool // TLS on all addresses

	dialled atomic.Int64
}

func newTarget(o Options, id string) (*target, error) {
	t := &target{o: o, id: id}
	var err error
	if o.Broker != "" {
		t.mqttAddr, t.secure, err = parseAddr("broker", o.Broker, "mqtt", "mqtts", "1883")
		return t, err
	}
	if t.httpAddr, t.secure, err = parseAddr("url", o.URL, "http", "https", "8080"); err != nil {
		return nil, err
	}
	if t.mqttAddr = o.MQTT; t.mqttAddr == "" {
		host, _, _ := net.SplitHostPort(t.httpAddr) // cannot fail: parseAddr has joined it
		t.mqttAddr = net.JoinHostPort(host, "1883")
	}
	if _, _, err := net.SplitHostPort(t.mqttAddr); err != nil {
		return nil, fmt.Errorf("--mqtt must be host:port, not %q", t.mqttAddr)
	}
	t.http = &fasthttp.HostClient{
		Addr: t.httpAddr, IsTLS: t.secure, MaxConns: 1 << 16, NoDefaultUserAgentHeader: true,
		ReadTimeout: patience, WriteTimeout: patience, MaxIdleConnDuration: patience,
		Dial: func(addr string) (net.Conn, error) { return net.DialTimeout("tcp", addr, patience) },
		// Every request can be repeated: it has an idempotency key, or is a read.
		RetryIfErr: func(*fasthttp.Request, int, error) (resetTimeout, retry bool) { return true, true },
	}
	return t, nil
}

func (t *target) raw() bool { return t.http == nil }

func (t *target) close() {
	if t.http != nil {
		t.http.CloseIdleConnections()
	}
}

// user is the name of a user of this run.
func (t *target) user(kind string, i int) string { return t.id + "-" + kind + strconv.Itoa(i) }

// connectionsPerSource is well below the number of ports of one address.
const connectionsPerSource = 10_000

// source gives the address to connect from. If the server is on loopback, it spreads the
// connections over the addresses of that network; else it is nil, the system's choice.
func (t *target) source(addr string) net.IP {
	i := int((t.dialled.Add(1) - 1) / connectionsPerSource)
	host, _, _ := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); i == 0 || runtime.GOOS != "linux" || ip == nil || ip.To4() == nil || !ip.IsLoopback() {
		return nil
	}
	return net.IPv4(127, 0, 0, byte(2+i%250))
}

// dial opens a realtime connection that speaks protocol.
func (t *target) dial(ctx context.Context, protocol wire.Protocol, user, device, token string, onFrame func([]byte)) (*wire.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cfg := wire.Config{Protocol: protocol, Addr: t.httpAddr, Username: user, Token: token, Device: device, OnFrame: onFrame}
	if protocol == wire.MQTTTCP {
		cfg.Addr = t.mqttAddr
	}
	if t.raw() {
		cfg.Username, cfg.Device = "", user+device // a plain broker has one name space of client ids
	}
	cfg.Source = t.source(cfg.Addr)
	if t.secure {
		host, _, _ := net.SplitHostPort(cfg.Addr)
		cfg.TLS = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	}
	conn, err := wire.Dial(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.Addr, err)
	}
	return conn, nil
}

// token makes the token of a user. It is "" for a plain broker.
func (t *target) token(user string) (string, error) {
	if t.raw() {
		return "", nil
	}
	token, err := t.o.Token(user)
	if err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	return token, nil
}

// call makes one request. If out is not nil, the JSON of the answer is decoded into it.
func (t *target) call(method, path, token string, in, out any) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	t.prepare(req, method, path, token)
	if in != nil {
		body, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode a request: %w", err)
		}
		req.SetBodyRaw(body)
	}
	if err := t.http.Do(req, resp); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode() >= http.StatusBadRequest {
		return refused(method+" "+path, resp)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(resp.Body(), out); err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	return nil
}

func (t *target) prepare(req *fasthttp.Request, method, path, token string) {
	req.Header.SetMethod(method)
	req.SetRequestURI(path)
	req.SetHost(t.httpAddr)
	if t.secure {
		req.URI().SetScheme("https")
	}
	req.Header.SetContentType("application/json")
	req.Header.Set("Authorization", "Bearer "+token)
}

// refused makes an error of the problem that the server answered with.
func refused(what string, resp *fasthttp.Response) error {
	var problem struct{ Code, Detail string }
	_ = json.Unmarshal(resp.Body(), &problem) // without a problem in it, the status says enough
	err := fmt.Errorf("%s: %d %s %s", what, resp.StatusCode(), problem.Code, problem.Detail)
	if resp.StatusCode() == http.StatusTooManyRequests {
		return fmt.Errorf("%w (%w)", errLimited, err)
	}
	return err
}

// errLimited says what to do about a server that limits its senders.
var errLimited = errors.New("the server limits how fast users send; for a load test run it with --rate-send 0 --rate-read 0 --rate-strangers 0")

// group makes a group thread. The token is that of its creator.
func (t *target) group(people []string, token string) (thread string, err error) {
	return t.thread("GROUP", people, token)
}

func (t *target) thread(kind string, people []string, token string) (string, error) {
	var made struct{ ID string }
	err := t.call(http.MethodPost, "/v1/threads", token, map[string]any{"type": kind, "participants": people}, &made)
	return made.ID, err
}

package broker

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // see acceptKey
	"encoding/base64"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// The WebSocket subprotocols of docs/contract.md#connecting. A browser, which
// cannot set headers, offers its token as one more: "bearer.TOKEN".
const (
	subprotocolMQTT   = "mqtt"
	subprotocolJSON   = "parley.v1"
	subprotocolBearer = "bearer."
)

// Upgrade handles GET /v1/realtime: it picks the protocol, authenticates JSON
// clients (MQTT ones do so in their CONNECT), and upgrades the connection. Its
// errors are of type *chat.Error.
func (b *Broker) Upgrade(c *fiber.Ctx) error {
	r := offered(c)
	r.Addr = b.cfg.Proxies.Of(c.Context().RemoteAddr(), c.Request().Header.PeekAll(fiber.HeaderXForwardedFor))
	who, err := b.upgrade(c.Context(), r)
	if err != nil {
		protocol := protocolJSON
		if slices.Contains(r.protocols, subprotocolMQTT) {
			protocol = protocolMQTT
		}
		b.refused(visit{protocol, "websocket", r.Addr, who.User, who.Device}, refusalReason(err), err)
	}
	return err
}

// upgrade is Upgrade for a request that has been read. It says who wants to connect, as far
// as that is known.
func (b *Broker) upgrade(ctx *fasthttp.RequestCtx, r request) (who chat.Caller, err error) {
	if err := refuseTokenInQuery(ctx.QueryArgs()); err != nil {
		return who, err
	}
	if from := string(ctx.Request.Header.Peek(fiber.HeaderOrigin)); from != "" && !b.cfg.Origins.Allows(from, string(ctx.Request.Header.Host())) {
		return who, chat.Refuse(contracts.CodeOriginNotAllowed, "pages of this origin may not connect")
	}
	upgrade := asksForWebSocket(&ctx.Request.Header)
	if upgrade && slices.Contains(r.protocols, subprotocolMQTT) {
		if err := checkQuery(ctx.QueryArgs()); err != nil {
			return who, err
		}
		return who, handshake(ctx, subprotocolMQTT, func(socket net.Conn, in io.Reader) {
			b.serveMQTT(newWSStream(socket, in), r.Offer)
		})
	}
	params, err := b.authenticate(r, ctx.QueryArgs())
	if who = params.Caller; err != nil {
		return who, err
	}
	if !upgrade {
		askToUpgrade(ctx) // RFC 9110, 15.5.22
		return who, chat.Refuse(contracts.CodeUpgradeRequired, "this is a WebSocket URL")
	}
	chosen, err := chooseJSON(r.protocols)
	if err != nil {
		return who, err
	}
	return who, handshake(ctx, chosen, func(socket net.Conn, in io.Reader) { b.serveJSON(socket, in, params, r.Addr) })
}

// chooseJSON returns the subprotocol of a JSON connection for those that the client offers: ""
// for a client that offers none but its token. One that offers only what the server does not
// speak is refused, since it would take the connection for something else.
func chooseJSON(offers []string) (string, error) {
	others := false
	for _, p := range offers {
		if p == subprotocolJSON {
			return p, nil
		}
		others = others || !strings.HasPrefix(p, subprotocolBearer)
	}
	if others {
		return "", chat.Refuse(chat.CodeInvalidRequest, "the subprotocols are "+subprotocolJSON+" and "+subprotocolMQTT)
	}
	return "", nil
}

// Offer is what came with a WebSocket upgrade, for the CONNECT of an MQTT client to use.
type Offer struct {
	Token    string  // of the Authorization header
	Device   string  // the query parameter device_id
	LastSeen *string // the query parameter last_seen_id, nil without one
	Addr     string  // the client's address
}

// request is what the broker needs of an HTTP request. It is all copies, since the HTTP
// server reuses its buffers.
type request struct {
	Offer
	headerDevice string
	protocols    []string // the subprotocols that the client offers
}

// offered reads the request.
func offered(c *fiber.Ctx) request {
	r := request{headerDevice: strings.Clone(c.Get("X-Device-Id"))}
	r.Device = strings.Clone(c.Query("device_id"))
	if c.Context().QueryArgs().Has("last_seen_id") {
		last := strings.Clone(c.Query("last_seen_id"))
		r.LastSeen = &last
	}
	if scheme, token, ok := strings.Cut(c.Get(fiber.HeaderAuthorization), " "); ok && strings.EqualFold(scheme, "Bearer") {
		r.Token = strings.Clone(strings.TrimSpace(token))
	}
	for _, header := range c.Request().Header.PeekAll("Sec-Websocket-Protocol") {
		for p := range strings.SplitSeq(string(header), ",") {
			if p = strings.TrimSpace(p); p != "" {
				r.protocols = append(r.protocols, p)
			}
		}
	}
	return r
}

// tokenParameters are names that other services give to a token in the query.
var tokenParameters = []string{"token", "access_token", "authorization"}

// refuseTokenInQuery refuses a request with a token in its URL: URLs are logged
// (docs/contract.md#connecting).
func refuseTokenInQuery(query *fasthttp.Args) (err error) {
	query.VisitAll(func(key, _ []byte) {
		if name := strings.ToLower(string(key)); slices.Contains(tokenParameters, name) {
			err = chat.Invalid(name, "does not belong into a URL: send the token as a header or subprotocol")
		}
	})
	return err
}

// checkQuery refuses parameters that an upgrade does not have, and one that came twice
// (docs/contract.md#requests).
func checkQuery(query *fasthttp.Args) (err error) {
	seen := make(map[string]bool)
	query.VisitAll(func(key, _ []byte) {
		name := string(key)
		switch {
		case err != nil:
		case seen[name]:
			err = chat.Invalid(name, "is in the query twice")
		case name != "device_id" && name != "last_seen_id":
			err = chat.Invalid(name, "is not a parameter of this call")
		}
		seen[name] = true
	})
	return err
}

// asksForWebSocket reports whether a request wants to become a WebSocket.
func asksForWebSocket(h *fasthttp.RequestHeader) bool {
	return hasToken(h.Peek(fiber.HeaderConnection), "upgrade") && hasToken(h.Peek(fiber.HeaderUpgrade), "websocket")
}

// hasToken reports whether a header, a list with commas, has the token, in capitals or not.
func hasToken(header []byte, token string) bool {
	for t := range bytes.SplitSeq(header, []byte{','}) {
		if strings.EqualFold(string(bytes.TrimSpace(t)), token) {
			return true
		}
	}
	return false
}

// handshake answers an upgrade request with 101 (RFC 6455, 4.2.2). Then serve runs the
// connection on a goroutine of its own, and the socket is closed when serve returns. The
// client's bytes are to be read from in, and from the socket never.
//
// The HTTP server's handler returns before serve runs, so that the server takes back all
// that it holds for a request: the context and the buffers.
func handshake(ctx *fasthttp.RequestCtx, subprotocol string, serve func(socket net.Conn, in io.Reader)) error {
	h := &ctx.Request.Header
	key := string(h.Peek("Sec-Websocket-Key"))
	switch {
	case !ctx.IsGet():
		return chat.Refuse(chat.CodeInvalidRequest, "a WebSocket begins with GET")
	case !hasToken(h.Peek("Sec-Websocket-Version"), "13"):
		return chat.Refuse(chat.CodeInvalidRequest, "Sec-WebSocket-Version must be 13")
	case !isKey(key):
		return chat.Refuse(chat.CodeInvalidRequest, "Sec-WebSocket-Key must be 16 bytes as base64")
	}
	ctx.SetStatusCode(fasthttp.StatusSwitchingProtocols)
	askToUpgrade(ctx)
	ctx.Response.Header.Set("Sec-Websocket-Accept", acceptKey(key))
	if subprotocol != "" {
		ctx.Response.Header.Set("Sec-Websocket-Protocol", subprotocol)
	}
	ctx.Hijack(func(hijacked net.Conn) {
		socket, in := takeOver(hijacked)
		go func() {
			defer socket.Close()
			serve(socket, in)
		}()
	})
	return nil
}

// isKey reports whether a Sec-WebSocket-Key is what RFC 6455, 4.2.1, wants.
func isKey(key string) bool {
	nonce, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(nonce) == 16
}

// acceptKey proves to a client that its request was understood (RFC 6455, 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // what the RFC wants
	return base64.StdEncoding.EncodeToString(sum[:])
}

// takeOver gives the socket of a hijacked connection, and where the client's bytes are to
// be read from: first those that the HTTP server has read already, which the client sent
// right behind its request, then the socket.
func takeOver(hijacked net.Conn) (socket net.Conn, in io.Reader) {
	socket = hijacked.(interface{ UnsafeConn() net.Conn }).UnsafeConn()
	// After its deadline a socket gives nothing. So this reads what is in the server's buffer, and
	// what TLS has deciphered. Any other error than the deadline comes again with the next read.
	_ = socket.SetReadDeadline(time.Unix(1, 0))
	early, _ := io.ReadAll(hijacked)
	_ = socket.SetReadDeadline(time.Time{})
	if http, ok := socket.(interface{ Socket() net.Conn }); ok { // all that it held was early
		socket = http.Socket()
	}
	if len(early) == 0 {
		return socket, socket
	}
	return socket, io.MultiReader(bytes.NewReader(early), socket)
}

// authenticate finds out who connects over JSON and where it resumes, and whether it may
// connect.
func (b *Broker) authenticate(r request, query *fasthttp.Args) (session.Params, error) {
	token := r.Token
	for _, p := range r.protocols {
		if bearer, ok := strings.CutPrefix(p, subprotocolBearer); ok && token == "" {
			token = bearer
		}
	}
	id, err := b.cfg.Verifier.Verify(token)
	if err != nil {
		return session.Params{}, err
	}
	caller, err := id.Caller(r.headerDevice, r.Device)
	if err != nil {
		return session.Params{Caller: chat.Caller{User: id.User}}, err
	}
	if !caller.Has(chat.ScopeRead) {
		return session.Params{Caller: caller}, chat.Refuse(chat.CodeMissingScope, "the token lacks the scope chat.read")
	}
	if err := checkQuery(query); err != nil {
		return session.Params{}, err
	}
	p := session.Params{Caller: caller, Expires: id.Expires, Issued: id.Issued, NamesDevice: id.Device != "", Key: id.Key, Pings: true, SubscribesAll: true}
	if r.LastSeen != nil {
		last, err := chat.ParseMessageID(*r.LastSeen)
		if err != nil {
			return p, chat.Invalid("last_seen_id", "must be a message id")
		}
		p.LastSeen = &last
	}
	return p, b.cfg.Sessions.Admits(caller)
}

// askToUpgrade names the protocol to which the connection is, or should be, upgraded.
func askToUpgrade(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.Set(fiber.HeaderUpgrade, "websocket")
	ctx.Response.Header.Set(fiber.HeaderConnection, "Upgrade")
}

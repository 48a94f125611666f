package broker

import (
	"bufio"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/fasthttp/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// The WebSocket subprotocols of contract 4.
const (
	subprotocolMQTT   = "mqtt"
	subprotocolJSON   = "parley.v1"
	subprotocolBearer = "bearer."
)

// upgrader turns requests of the realtime URL into connections.
type upgrader struct {
	broker *Broker
	ws     websocket.FastHTTPUpgrader
}

func newUpgrader(b *Broker) *upgrader {
	u := &upgrader{broker: b}
	u.ws = websocket.FastHTTPUpgrader{
		Subprotocols:    []string{subprotocolMQTT, subprotocolJSON},
		ReadBufferSize:  256, // client frames are small, and so are PUBACKs
		WriteBufferSize: 256, // the library writes nothing but what goes wrong in the handshake
		CheckOrigin:     u.originAllowed,
	}
	return u
}

// Upgrade handles GET /v1/realtime: it picks the protocol, authenticates JSON
// clients (MQTT ones do so in their CONNECT), and upgrades the connection. Its
// errors are *chat.Error.
func (b *Broker) Upgrade(c *fiber.Ctx) error {
	return b.upgrader.upgrade(c.Context(), offered(c))
}

// request is what of the HTTP request outlives it: copies, since the server
// reuses its buffers.
type request struct {
	Offer
	headerDevice string
	protocols    []string
}

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
	for p := range strings.SplitSeq(c.Get("Sec-Websocket-Protocol"), ",") {
		r.protocols = append(r.protocols, strings.Clone(strings.TrimSpace(p)))
	}
	return r
}

func (u *upgrader) upgrade(ctx *fasthttp.RequestCtx, r request) error {
	if err := refuseTokenInQuery(ctx.QueryArgs()); err != nil {
		return err
	}
	if !u.originAllowed(ctx) {
		return chat.Refuse(contracts.CodeOriginNotAllowed, "pages of this origin may not connect")
	}
	upgrade := websocket.FastHTTPIsWebSocketUpgrade(ctx)
	if upgrade && slices.Contains(r.protocols, subprotocolMQTT) {
		return u.handshake(ctx, func(ws *websocket.Conn) { u.broker.serveMQTT(newWSStream(ws), r.Offer) })
	}
	params, err := u.authenticate(r)
	if err != nil {
		return err
	}
	if !upgrade {
		return chat.Refuse(contracts.CodeUpgradeRequired, "this is a WebSocket URL")
	}
	return u.handshake(ctx, func(ws *websocket.Conn) { u.connect(ws, params) })
}

// tokenParameters are names of query parameters that hold tokens elsewhere.
var tokenParameters = []string{"token", "access_token", "authorization"}

// refuseTokenInQuery keeps tokens out of URLs: they end in logs (contract 4).
func refuseTokenInQuery(query *fasthttp.Args) (err error) {
	query.VisitAll(func(key, _ []byte) {
		if name := strings.ToLower(string(key)); slices.Contains(tokenParameters, name) {
			err = chat.Invalid(name, "does not belong into a URL: send the token as a header or subprotocol")
		}
	})
	return err
}

// handshake answers the request and has serve run the connection, to which the socket
// belongs from then on: the HTTP server keeps hijacked ones open.
func (u *upgrader) handshake(ctx *fasthttp.RequestCtx, serve func(*websocket.Conn)) error {
	ws := u.ws
	ws.Error = func(*fasthttp.RequestCtx, int, error) {} // the caller answers
	err := ws.Upgrade(ctx, func(conn *websocket.Conn) {
		run := func() {
			defer underlying(conn.NetConn()).Close()
			serve(conn)
		}
		if !readsSocket(conn.NetConn()) { // the server's buffer lives as long as this call, and so does the request
			ctx.ResetUserValues()
			ctx.Request, ctx.Response = fasthttp.Request{}, fasthttp.Response{}
			run()
			return
		}
		go run() // so that the server keeps nothing of the request
	})
	if err != nil {
		return chat.Refuse(chat.CodeInvalidRequest, err.Error())
	}
	return nil
}

// readsSocket reports whether a hijacked connection reads from the socket itself. It
// does not if the client has sent something behind its request, before the answer.
func readsSocket(hijacked net.Conn) bool {
	v := reflect.Indirect(reflect.ValueOf(hijacked))
	if v.Kind() != reflect.Struct {
		return false
	}
	from := v.FieldByName("r")
	return from.Kind() == reflect.Interface && !from.IsNil() && from.Elem().Type() != reflect.TypeFor[*bufio.Reader]()
}

// authenticate settles who connects, where it resumes, and whether it may.
func (u *upgrader) authenticate(r request) (session.Params, error) {
	token := r.Token
	for _, p := range r.protocols {
		if bearer, ok := strings.CutPrefix(p, subprotocolBearer); ok && token == "" {
			token = bearer
		}
	}
	id, err := u.broker.cfg.Verifier.Verify(token)
	if err != nil {
		return session.Params{}, err
	}
	caller, err := id.Caller(r.headerDevice, r.Device)
	if err != nil {
		return session.Params{}, err
	}
	if !caller.Has(chat.ScopeRead) {
		return session.Params{}, chat.Refuse(chat.CodeMissingScope, "the token lacks the scope chat.read")
	}
	p := session.Params{Caller: caller, Expires: id.Expires, Pings: true, SubscribesAll: true}
	if r.LastSeen != nil {
		last, err := chat.ParseMessageID(*r.LastSeen)
		if err != nil {
			return session.Params{}, chat.Invalid("last_seen_id", "must be a message id")
		}
		p.LastSeen = &last
	}
	return p, u.broker.cfg.Sessions.Admits(caller)
}

// connect runs a JSON connection.
func (u *upgrader) connect(ws *websocket.Conn, p session.Params) {
	c := newJSONConn(ws)
	p.Transport = c
	s, err := u.broker.cfg.Sessions.Open(p)
	if err != nil { // too many connections or a shutdown, since the upgrade was answered
		c.finish(closeFor(session.ShuttingDown))
		c.awaitEnd()
		c.kill()
		return
	}
	c.sess.Store(s)
	u.broker.serveJSON(c, s)
}

// originAllowed applies --allowed-origins: by default pages of the server's own
// origin, and clients that send none.
func (u *upgrader) originAllowed(ctx *fasthttp.RequestCtx) bool {
	origin := string(ctx.Request.Header.Peek("Origin"))
	if origin == "" {
		return true
	}
	for _, allowed := range u.broker.cfg.AllowedOrigins {
		if allowed == "*" || strings.EqualFold(allowed, origin) {
			return true
		}
	}
	parsed, err := url.Parse(origin)
	return err == nil && strings.EqualFold(parsed.Host, string(ctx.Host()))
}

package hooks

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// maxKeepalive is the longest keep-alive, in seconds; none counts as longer
// (contract 4.3).
const maxKeepalive = 600

// errNoWills refuses a CONNECT with a will (contract 4.3), errNoAuthMethods one
// that wants to negotiate (MQTT 5, 4.12).
var (
	errNoWills       = errors.New("wills are not available")
	errNoAuthMethods = errors.New("authentication methods are not available")
)

// propertyLastSeen is the CONNECT user property with the resume position.
const propertyLastSeen = "last_seen_id"

type counter struct{ n atomic.Uint64 }

func (c *counter) next() string { return strconv.FormatUint(c.n.Add(1), 36) }

// OnConnect admits a client or refuses it with the CONNACK that contract 4 names.
func (h *Hook) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	c := conn(cl)
	asked := cl.Properties.Props
	c.SetProtocol(cl.Properties.ProtocolVersion, asked.MaximumPacketSize, !asked.RequestProblemInfoFlag || asked.RequestProblemInfo != 0)
	params, err := h.authenticate(cl, pk)
	if err == nil {
		params.Transport = c.Transport()
		var s *session.Session
		if s, err = h.cfg.Sessions.Open(params); err == nil {
			h.settle(cl, s)
			c.Bind(s, cl.ID)
			return nil
		}
	}
	code := connackCode(err)
	if err := h.cfg.Server.SendConnack(cl, code, false, nil); err != nil {
		return fmt.Errorf("refuse the connection: %w", err)
	}
	return code
}

// authenticate settles who connects and how, from the CONNECT and what came with
// the upgrade.
func (h *Hook) authenticate(cl *mqtt.Client, pk packets.Packet) (session.Params, error) {
	if pk.Properties.AuthenticationMethod != "" {
		return session.Params{}, errNoAuthMethods
	}
	bearer, queryDevice, lastSeen := conn(cl).Offer()
	if len(pk.Connect.Password) > 0 {
		bearer = string(pk.Connect.Password)
	}
	id, err := h.cfg.Verifier.Verify(bearer)
	if err != nil {
		return session.Params{}, err
	}
	if name := string(pk.Connect.Username); name != "" && name != string(id.User) {
		return session.Params{}, chat.Refuse(contracts.CodeUnauthenticated, "the username is not the token's user")
	}
	// The client id is a view into the packet, which it would keep alive.
	caller, err := id.Caller(strings.Clone(pk.Connect.ClientIdentifier), queryDevice)
	if err != nil {
		return session.Params{}, err
	}
	switch {
	case !caller.Has(chat.ScopeRead) && !caller.Has(chat.ScopeSystem): // a backend job sends, and need not read
		return session.Params{}, chat.Refuse(chat.CodeMissingScope, "the token lacks the scope chat.read")
	case pk.Connect.WillFlag:
		return session.Params{}, errNoWills
	}
	for _, p := range pk.Properties.User {
		if p.Key == propertyLastSeen {
			lastSeen = &p.Val
		}
	}
	params := session.Params{
		Caller: caller, Expires: id.Expires, CleanStart: pk.Connect.Clean || !caller.Has(chat.ScopeRead), KeepFor: keepFor(pk),
		ReceiveMaximum: int(cl.Properties.Props.ReceiveMaximum),
	}
	if lastSeen != nil {
		last, err := chat.ParseMessageID(*lastSeen)
		if err != nil {
			return session.Params{}, err
		}
		params.LastSeen = &last
	}
	return params, nil
}

// keepFor is how long the client wants its subscriptions kept. In 3.1.1 that is
// a flag.
func keepFor(pk packets.Packet) time.Duration {
	if pk.ProtocolVersion < 5 {
		if pk.Connect.Clean {
			return 0
		}
		return math.MaxInt64
	}
	return time.Duration(pk.Properties.SessionExpiryInterval) * time.Second
}

// settle leaves the server nothing of the session to keep: an own client id, a
// clean session without expiry.
func (h *Hook) settle(cl *mqtt.Client, s *session.Session) {
	caller := s.Caller()
	if cl.Properties.Props.AssignedClientID != "" { // the client id was empty
		cl.Properties.Props.AssignedClientID = string(caller.Device)
	}
	cl.ID = string(caller.User) + "/" + string(caller.Device) + "/" + h.nonce.next()
	cl.Properties.Clean = true
	cl.Properties.Props.SessionExpiryInterval = 0
	if k := cl.State.Keepalive; k == 0 || k > maxKeepalive {
		cl.State.Keepalive, cl.State.ServerKeepalive = maxKeepalive, true
	}
	conn(cl).SetKeepAlive(time.Duration(cl.State.Keepalive) * time.Second)
}

// connack completes a CONNACK.
func (h *Hook) connack(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	if pk.ProtocolVersion < 5 {
		pk.ReasonCode = connackCode3(pk.ReasonCode)
	}
	s := conn(cl).Session()
	if s == nil || pk.ReasonCode != packets.CodeSuccess.Code {
		return pk
	}
	pk.SessionPresent = s.Resumed()
	p := &pk.Properties
	p.MaximumPacketSize = h.cfg.MaxPacketBytes
	p.RetainAvailableFlag, p.RetainAvailable = true, 0
	p.SharedSubAvailableFlag, p.SharedSubAvailable = true, 0
	p.SubIDAvailableFlag, p.SubIDAvailable = true, 0
	if wanted := s.KeepFor(); wanted > h.cfg.KeepSubscriptions {
		p.SessionExpiryIntervalFlag = true
		p.SessionExpiryInterval = uint32(h.cfg.KeepSubscriptions / time.Second)
	}
	return pk
}

// connackCode maps a refusal to MQTT 5 (contract 4).
func connackCode(err error) packets.Code {
	switch {
	case errors.Is(err, errNoWills):
		return packets.Code{Code: packets.ErrNotAuthorized.Code, Reason: err.Error()}
	case errors.Is(err, errNoAuthMethods):
		return packets.ErrBadAuthenticationMethod
	}
	refusal, ok := errors.AsType[*chat.Error](err)
	if !ok {
		return packets.ErrServerUnavailable
	}
	code := packets.ErrServerUnavailable
	switch refusal.Code {
	case contracts.CodeUnauthenticated:
		code = packets.ErrBadUsernameOrPassword
	case chat.CodeMissingScope, contracts.CodeDeviceMismatch:
		code = packets.ErrNotAuthorized
	case chat.CodeInvalidRequest: // the device id or last_seen_id
		code = packets.ErrClientIdentifierNotValid
	case chat.CodeRateLimited:
		code = packets.ErrQuotaExceeded
	default: // not now
	}
	if refusal.Detail != "" {
		code.Reason = string(refusal.Code) + ": " + refusal.Detail
	}
	return code
}

// connackCode3 maps an MQTT 5 reason code to the return codes of 3.1.1, which has
// six.
func connackCode3(code byte) byte {
	switch code {
	case 0, 1, 2, 3, 4, 5:
		return code
	case packets.ErrUnsupportedProtocolVersion.Code:
		return packets.Err3UnsupportedProtocolVersion.Code
	case packets.ErrClientIdentifierNotValid.Code, packets.ErrUnspecifiedError.Code: // an empty id without a clean session
		return packets.Err3ClientIdentifierNotValid.Code
	case packets.ErrBadUsernameOrPassword.Code, packets.ErrNotAuthorized.Code:
		return packets.Err3NotAuthorized.Code
	}
	return packets.Err3ServerUnavailable.Code
}

// OnPacketRead sees packets before the server does. It takes the session expiry that
// a client may change as it leaves, before the server, which knows of no session, can
// find fault with it. And of a CONNECT that is refused anyway it mends what the server
// would refuse with another code than contract 4 names.
func (h *Hook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	switch pk.FixedHeader.Type {
	case packets.Disconnect:
		if pk.Properties.SessionExpiryIntervalFlag {
			conn(cl).Session().SetKeepFor(time.Duration(pk.Properties.SessionExpiryInterval) * time.Second)
			pk.Properties.SessionExpiryIntervalFlag = false
		}
	case packets.Connect:
		c := &pk.Connect
		if c.WillFlag {
			c.WillTopic, c.WillPayload, c.WillQos, c.WillRetain = "refused", []byte("refused"), 0, false
		}
		c.PasswordFlag = c.PasswordFlag && len(c.Password) > 0
	}
	return pk, nil
}

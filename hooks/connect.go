package hooks

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/parleyhq/parley/auth"
	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// maxKeepalive is the longest keep-alive of MQTT 5, in seconds, and what a client gets that
// asks for none (docs/contract.md#mqtt).
const maxKeepalive = 600

// Refusals of a CONNECT: with a will (docs/contract.md#mqtt), and with an
// authentication method (MQTT 5, 4.12).
var (
	errNoWills       = errors.New("wills are not available")
	errNoAuthMethods = errors.New("authentication methods are not available")
)

// errTooManyConnections refuses a client of a server that has as many connections as it takes.
var errTooManyConnections = errors.New("the server has as many connections as it takes")

// propertyLastSeen is the user property of a CONNECT that says which message the client has
// seen last.
const propertyLastSeen = "last_seen_id"

// propertyStoreID is the user property of a CONNACK that names the store.
const propertyStoreID = "store_id"

// OnConnect implements mqtt.Hook: it opens a session for the client, or refuses it with the
// CONNACK of docs/contract.md#mqtt.
func (h *Hook) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	c := conn(cl)
	asked := cl.Properties.Props
	c.SetProtocol(cl.Properties.ProtocolVersion, asked.MaximumPacketSize, !asked.RequestProblemInfoFlag || asked.RequestProblemInfo != 0)
	var params session.Params
	err := errTooManyConnections
	if !c.Over() {
		params, err = h.authenticate(cl, pk)
	}
	if err == nil {
		params.Transport = c.Transport()
		var s *session.Session
		if s, err = h.cfg.Sessions.Open(params); err == nil {
			h.setUp(cl, s)
			c.Bind(s, cl.ID, time.Duration(cl.State.Keepalive)*time.Second)
			return nil
		}
	}
	c.Refused(params.Caller.User, params.Caller.Device, err)
	code := connackCode(err)
	if err := h.cfg.Server.SendConnack(cl, code, false, nil); err != nil {
		return fmt.Errorf("refuse the connection: %w", err)
	}
	return code
}

// authenticate finds out who connects and with which parameters, from the CONNECT and from
// what came with a WebSocket upgrade.
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
		return session.Params{}, chat.Refuse(contracts.CodeUnauthenticated, "the username is not the token's user").Because(auth.OtherUser)
	}
	// The client id is a part of the packet's memory, all of which it would keep alive.
	caller, err := id.Caller(strings.Clone(pk.Connect.ClientIdentifier), queryDevice)
	if err != nil {
		return session.Params{Caller: chat.Caller{User: id.User}}, err
	}
	known := session.Params{Caller: caller}
	switch {
	case !caller.Has(chat.ScopeRead) && !caller.Has(chat.ScopeSystem): // a backend job sends and does not read
		return known, chat.Refuse(chat.CodeMissingScope, "the token lacks the scope chat.read")
	case pk.Connect.WillFlag:
		return known, errNoWills
	}
	for _, p := range pk.Properties.User {
		if p.Key == propertyLastSeen {
			lastSeen = &p.Val
		}
	}
	params := session.Params{
		Caller: caller, Expires: id.Expires, Issued: id.Issued, NamesDevice: id.Device != "", Key: id.Key, CleanStart: pk.Connect.Clean || !caller.Has(chat.ScopeRead), KeepFor: keepFor(pk),
		ReceiveMaximum: int(cl.Properties.Props.ReceiveMaximum),
	}
	if lastSeen != nil {
		last, err := chat.ParseMessageID(*lastSeen)
		if err != nil {
			return known, err
		}
		params.LastSeen = &last
	}
	return params, nil
}

// keepFor returns how long the client wants its subscriptions kept. In MQTT 3.1.1 a flag says
// whether they are kept at all.
func keepFor(pk packets.Packet) time.Duration {
	if pk.ProtocolVersion < 5 {
		if pk.Connect.Clean {
			return 0
		}
		return math.MaxInt64
	}
	return time.Duration(pk.Properties.SessionExpiryInterval) * time.Second
}

// setUp gives the mochi client an id of its own and a clean session without expiry, so that
// mochi keeps nothing of it, and its keep-alive.
func (h *Hook) setUp(cl *mqtt.Client, s *session.Session) {
	caller := s.Caller()
	if cl.Properties.Props.AssignedClientID != "" { // the client id was empty
		cl.Properties.Props.AssignedClientID = string(caller.Device)
	}
	cl.ID = string(caller.User) + "/" + string(caller.Device) + "/" + strconv.FormatUint(h.nonce.Add(1), 36)
	cl.Properties.Clean = true
	cl.Properties.Props.SessionExpiryInterval = 0
	if k := cl.State.Keepalive; cl.Properties.ProtocolVersion >= 5 && (k == 0 || k > maxKeepalive) { // an older client cannot be told
		cl.State.Keepalive, cl.State.ServerKeepalive = maxKeepalive, true
	}
}

// connack completes a CONNACK: what is available, and how long subscriptions are kept.
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
	// Without it mochi leaves out user properties where the client asked for no problem
	// information, which MQTT 5 (3.1.2.11.7) does not say of a CONNACK.
	pk.Mods.DisallowProblemInfo = false
	p.User = []packets.UserProperty{{Key: propertyStoreID, Val: h.cfg.Store.String()}}
	p.ReceiveMaximum = conn(cl).ReceiveMaximum()
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

// connackCode returns the reason code and string of MQTT 5 for a refusal
// (docs/contract.md#mqtt).
func connackCode(err error) packets.Code {
	switch {
	case errors.Is(err, errNoWills):
		return packets.Code{Code: packets.ErrNotAuthorized.Code, Reason: err.Error()}
	case errors.Is(err, errNoAuthMethods):
		return packets.ErrBadAuthenticationMethod
	case errors.Is(err, errTooManyConnections):
		return packets.Code{Code: packets.ErrServerBusy.Code, Reason: err.Error()}
	}
	refusal, ok := errors.AsType[*chat.Error](err)
	if !ok {
		return packets.ErrServerUnavailable
	}
	code := packets.ErrServerUnavailable
	switch refusal.Code {
	case contracts.CodeUnauthenticated, chat.CodeDeviceRemoved:
		code = packets.ErrBadUsernameOrPassword
	case chat.CodeMissingScope, contracts.CodeDeviceMismatch:
		code = packets.ErrNotAuthorized
	case chat.CodeInvalidRequest: // the device id or last_seen_id
		code = packets.ErrClientIdentifierNotValid
	case chat.CodeRateLimited:
		code = packets.ErrQuotaExceeded
	default: // the client may retry later
	}
	if refusal.Detail != "" {
		code.Reason = string(refusal.Code) + ": " + refusal.Detail
	}
	return code
}

// connackCode3 returns the return code of MQTT 3.1.1, of which there are six, for a reason
// code of MQTT 5.
func connackCode3(code byte) byte {
	switch code {
	case 0, 1, 2, 3, 4, 5:
		return code
	case packets.ErrUnsupportedProtocolVersion.Code:
		return packets.Err3UnsupportedProtocolVersion.Code
	case packets.ErrClientIdentifierNotValid.Code, packets.ErrUnspecifiedError.Code: // mochi's for an empty id without a clean session
		return packets.Err3ClientIdentifierNotValid.Code
	case packets.ErrBadUsernameOrPassword.Code, packets.ErrNotAuthorized.Code:
		return packets.Err3NotAuthorized.Code
	}
	return packets.Err3ServerUnavailable.Code
}

// OnPacketRead implements mqtt.Hook: it changes two packets before mochi judges them.
//
// A DISCONNECT may change the session expiry. The session gets it, and mochi does not: it has
// none for that client and would call the packet an error.
//
// A CONNECT with a bad will or an empty password would be refused by mochi with a code that
// docs/contract.md#mqtt does not name. Both are mended here; OnConnect refuses
// the client.
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

package hooks

import (
	"context"
	"errors"
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/parleyhq/parley/broker/session"
	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

// accessTimeout bounds how long a SUBSCRIBE waits for the store.
const accessTimeout = 5 * time.Second

// maxQoS is the highest QoS that a subscription is granted (docs/contract.md#mqtt).
const maxQoS = 1

// OnSubscribe implements mqtt.Hook: it subscribes the session to each filter or refuses it, and
// keeps the reason codes for the SUBACK. mochi then asks OnACLCheck, which refuses every
// filter, and so stores none.
func (h *Hook) OnSubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	ctx, cancel := context.WithTimeout(context.Background(), accessTimeout)
	defer cancel()
	c := conn(cl)
	codes := make([]byte, len(pk.Filters))
	for i, sub := range pk.Filters {
		codes[i] = h.subscribe(ctx, c.Session(), sub)
		if codes[i] > maxQoS {
			h.cfg.SubscribeRefused(codes[i])
		}
		if codes[i] > maxQoS && cl.Properties.ProtocolVersion < 5 {
			codes[i] = packets.ErrUnspecifiedError.Code // 3.1.1 has one code for all failures
		}
	}
	c.Session().KeepSubscriptions(ctx)
	c.KeepReasonCodes(codes)
	return pk
}

// subscribe subscribes the session to one filter, and returns the reason code.
func (h *Hook) subscribe(ctx context.Context, s *session.Session, sub packets.Subscription) byte {
	// The filter is a part of the packet's memory, all of which it would keep alive.
	name := strings.Clone(sub.Filter)
	f, err := contracts.ParseFilter(name)
	if err == nil {
		err = h.maySubscribe(ctx, s.Caller(), f)
	}
	if err == nil && f.MatchesNothing() {
		err = contracts.ErrFilterMalformed
	}
	if err != nil {
		return subackCode(err)
	}
	qos := min(sub.Qos, maxQoS)
	if !s.Subscribe(name, f, qos) {
		return packets.ErrQuotaExceeded.Code
	}
	return qos
}

// maySubscribe returns an error for a filter that names what the caller may not see. Without
// the scope chat.read that is all but the topics of its own device, where replies come.
func (h *Hook) maySubscribe(ctx context.Context, c chat.Caller, f contracts.Filter) error {
	if !c.Has(chat.ScopeRead) && f.Device != c.Device {
		return chat.Refuse(chat.CodeMissingScope, "the token lacks the scope chat.read")
	}
	if f.Threads && !f.AnyThread {
		return h.cfg.Access.MayFollow(ctx, c.User, f.Thread)
	}
	if f.User != "" {
		share, err := h.cfg.Access.ShareThread(ctx, c.User, f.User)
		if err == nil && !share {
			err = contracts.ErrFilterOutside
		}
		return err
	}
	if f.Devices && !f.OwnDevice && f.Device != c.Device {
		return contracts.ErrFilterOutside
	}
	return nil
}

// subackCode returns the reason code of MQTT 5 for a refused filter
// (docs/contract.md#mqtt).
func subackCode(err error) byte {
	switch {
	case errors.Is(err, contracts.ErrFilterMalformed):
		return packets.ErrTopicFilterInvalid.Code
	case errors.Is(err, contracts.ErrFilterShared):
		return packets.ErrSharedSubscriptionsNotSupported.Code
	case errors.Is(err, contracts.ErrFilterOutside):
		return packets.ErrNotAuthorized.Code
	case chat.CodeOf(err) == chat.CodeUnavailable:
		return packets.ErrUnspecifiedError.Code
	}
	return packets.ErrNotAuthorized.Code
}

// OnUnsubscribe implements mqtt.Hook: it removes filters from the session, and keeps the reason
// codes for the UNSUBACK.
func (h *Hook) OnUnsubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	ctx, cancel := context.WithTimeout(context.Background(), accessTimeout)
	defer cancel()
	c := conn(cl)
	codes := make([]byte, len(pk.Filters))
	for i, sub := range pk.Filters {
		if !c.Session().Unsubscribe(sub.Filter) {
			codes[i] = packets.CodeNoSubscriptionExisted.Code
		}
	}
	c.Session().KeepSubscriptions(ctx)
	c.KeepReasonCodes(codes)
	return pk
}

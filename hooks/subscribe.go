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

// maxQoS is the highest that is granted (contract 4.3).
const maxQoS = 1

// OnSubscribe decides each filter and keeps the reason codes for the SUBACK. The
// server goes on to ask OnACLCheck, is refused everything, and so keeps nothing.
func (h *Hook) OnSubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	ctx, cancel := context.WithTimeout(context.Background(), accessTimeout)
	defer cancel()
	c := conn(cl)
	codes := make([]byte, len(pk.Filters))
	for i, sub := range pk.Filters {
		codes[i] = h.subscribe(ctx, c.Session(), sub)
		if codes[i] > maxQoS && cl.Properties.ProtocolVersion < 5 {
			codes[i] = packets.ErrUnspecifiedError.Code // 3.1.1 knows one failure
		}
	}
	c.SetAnswer(codes)
	return pk
}

func (h *Hook) subscribe(ctx context.Context, s *session.Session, sub packets.Subscription) byte {
	f, err := contracts.ParseFilter(sub.Filter)
	if err == nil {
		err = h.maySubscribe(ctx, s.Caller(), f)
	}
	if err != nil {
		return subackCode(err)
	}
	qos := min(sub.Qos, maxQoS)
	// The name is a view into the packet, which it would keep alive.
	if !s.Subscribe(strings.Clone(sub.Filter), f, qos) {
		return packets.ErrQuotaExceeded.Code
	}
	return qos
}

// maySubscribe refuses a filter that names what the user may not see.
func (h *Hook) maySubscribe(ctx context.Context, c chat.Caller, f contracts.Filter) error {
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

// subackCode maps a refusal to MQTT 5 (contract 4.3).
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

// OnUnsubscribe removes filters and keeps the reason codes for the UNSUBACK.
func (h *Hook) OnUnsubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	c := conn(cl)
	codes := make([]byte, len(pk.Filters))
	for i, sub := range pk.Filters {
		if !c.Session().Unsubscribe(sub.Filter) {
			codes[i] = packets.CodeNoSubscriptionExisted.Code
		}
	}
	c.SetAnswer(codes)
	return pk
}

// OnACLCheck implements mqtt.Hook. write asks for a PUBLISH to that topic; the
// server answers a refusal with PUBACK 0x87, or ends a 3.1.1 connection.
func (h *Hook) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	if !write {
		return false // see OnSubscribe
	}
	t := contracts.ParseTopic(topic)
	return t.Kind == contracts.TopicDeviceUp && t.Device == conn(cl).Session().Caller().Device
}

// OnPublish takes what a client publishes. OnACLCheck has let pass the device's
// own up topic only; sending messages and typing join it here. Nothing is ever
// left to the server to fan out: CodeSuccessIgnore has it acknowledged, no more.
func (h *Hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	s := conn(cl).Session()
	f, err := contracts.ParseClientFrame(pk.Payload)
	if err == nil {
		err = s.Take(f)
	}
	if refusal, ok := errors.AsType[*chat.Error](err); ok {
		s.Fail(refusal.Code, refusal.Detail)
	}
	return pk, packets.CodeSuccessIgnore
}

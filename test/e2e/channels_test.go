package e2e

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// channel is what asyncapi.yaml says of one address in one direction.
type channel struct {
	name     string
	address  *regexp.Regexp // its parameters are named groups
	qos      byte
	messages []string // by their names in components.messages
}

// realtimeAddress stands for the topic on JSON connections, which have none.
const realtimeAddress = "/v1/realtime"

// channels are those that asyncapi.yaml has for an action of the server: "send" or
// "receive".
func channels(action string) ([]channel, error) {
	doc, err := document("asyncapi.yaml")
	if err != nil {
		return nil, err
	}
	operations, _ := dig(doc, "operations").(map[string]any)
	var all []channel
	for name, operation := range operations {
		if dig(operation, "action") != action {
			continue
		}
		at := resolve(doc, dig(operation, "channel"))
		c := channel{name: name}
		address, ok := dig(at, "address").(string)
		if !ok {
			return nil, fmt.Errorf("operation %s has a channel without an address", name)
		}
		c.address = regexp.MustCompile("^" + regexp.MustCompile(`\{(\w+)\}`).ReplaceAllString(address, `(?P<$1>[^/]+)`) + "$")
		if address != realtimeAddress {
			qos, ok := number(dig(operation, "bindings", "mqtt", "qos"))
			if !ok {
				return nil, fmt.Errorf("operation %s names no QoS", name)
			}
			c.qos = byte(qos)
		}
		refs, limited := dig(operation, "messages").([]any)
		if !limited {
			all, _ := dig(at, "messages").(map[string]any)
			for _, m := range all {
				refs = append(refs, m)
			}
		}
		for _, ref := range refs {
			for to := fmt.Sprint(dig(ref, "$ref")); ; to = fmt.Sprint(dig(resolve(doc, map[string]any{"$ref": to}), "$ref")) {
				if message, last := strings.CutPrefix(to, "#/components/messages/"); last {
					c.messages = append(c.messages, message)
					break
				}
			}
		}
		all = append(all, c)
	}
	return all, nil
}

// resolve follows one reference.
func resolve(doc, v any) any {
	if ref, ok := dig(v, "$ref").(string); ok {
		return dig(doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	return v
}

func number(v any) (int, bool) {
	var n int
	_, err := fmt.Sscan(fmt.Sprint(v), &n)
	return n, err == nil
}

var sendChannels = sync.OnceValues(func() ([]channel, error) { return channels("send") })

// checkPlace checks the topic and the QoS of a frame against asyncapi.yaml. On JSON
// connections the topic is empty. subscribed is the QoS of the subscription.
func checkPlace(f frame, subscribed byte) error {
	all, err := sendChannels()
	if err != nil {
		return err
	}
	topic := f.topic
	if topic == "" {
		topic = realtimeAddress
	}
	at := slices.IndexFunc(all, func(c channel) bool { return c.address.MatchString(topic) })
	if at < 0 {
		return fmt.Errorf("asyncapi.yaml has no channel %s for a %s frame", topic, f.T)
	}
	c := all[at]
	if !slices.Contains(c.messages, f.T) {
		return fmt.Errorf("a %s frame came on %s, which asyncapi.yaml has for %v", f.T, topic, c.messages)
	}
	if want := min(c.qos, subscribed); f.qos != want {
		return fmt.Errorf("a %s frame came on %s with QoS %d, want %d", f.T, topic, f.qos, want)
	}
	named := c.address.FindStringSubmatch(topic)
	for parameter, want := range map[string]string{"thread_id": f.ThreadID, "user_id": f.UserID} {
		if i := c.address.SubexpIndex(parameter); i >= 0 && named[i] != want {
			return fmt.Errorf("a %s frame about %s came on %s", f.T, want, topic)
		}
	}
	return nil
}

// checkReply checks the reply to a published message against asyncapi.yaml.
func checkReply(topic, contentType string, qos byte, payload []byte) error {
	schemas, err := frameSchemas()
	if err != nil {
		return err
	}
	name := map[string]string{"application/json": "sent", "application/problem+json": "refused"}[contentType]
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	switch {
	case name == "":
		return fmt.Errorf("a reply on %s has the content type %q", topic, contentType)
	case qos != 0:
		return fmt.Errorf("a reply on %s came with QoS %d", topic, qos)
	case err != nil:
		return fmt.Errorf("a reply on %s is no JSON: %w", topic, err)
	}
	if err := schemas[name].Validate(value); err != nil {
		return fmt.Errorf("a reply on %s is not what asyncapi.yaml says of %s: %w", topic, name, err)
	}
	return nil
}

// isReply reports whether a topic has the form of one for replies.
func isReply(topic string) bool {
	return strings.HasPrefix(topic, "v1/devices/") && !strings.HasSuffix(topic, "/frames")
}

// The document has each topic of the contract, with its messages and its QoS.
func TestAsyncAPIHasTheTopicTree(t *testing.T) {
	for action, want := range map[string][]string{
		"send": {
			"/v1/realtime auth caught_up del delivered devices edit error failed hello msg ping prekeys_low presence reaction read signal thread thread_state token_expiring typing",
			"v1/devices/d/frames 0 auth caught_up devices error prekeys_low thread_state token_expiring",
			"v1/presence/u 0 presence",
			"v1/threads/t/frames 1 del delivered edit failed msg reaction read thread",
			"v1/threads/t/signals/s 0 signal",
			"v1/threads/t/typing 0 typing",
		},
		"receive": {
			"/v1/realtime client_ack client_auth client_signal client_typing pong",
			"v1/devices/d/auth 1 token",
			"v1/devices/d/up 1 client_ack",
			"v1/threads/t/messages 1 send",
			"v1/threads/t/signals/s 0 signal_data",
			"v1/threads/t/typing 0 client_typing",
		},
	} {
		all, err := channels(action)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, topic := range []string{realtimeAddress, "v1/devices/d/auth", "v1/devices/d/frames", "v1/devices/d/up", "v1/presence/u", "v1/threads/t/frames", "v1/threads/t/messages", "v1/threads/t/signals/s", "v1/threads/t/typing"} {
			for _, c := range all {
				if c.address.MatchString(topic) {
					slices.Sort(c.messages)
					line := topic
					if topic != realtimeAddress {
						line += fmt.Sprint(" ", c.qos)
					}
					got = append(got, line+" "+strings.Join(c.messages, " "))
				}
			}
		}
		if !slices.Equal(got, want) || len(all) != len(want) {
			t.Errorf("what the server is to %s is\n%s\nwant\n%s", action, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// checkPlace and checkReply refuse what they must.
func TestAsyncAPICatchesWrongPlaces(t *testing.T) {
	const thread, other = "0197226c-3f55-7cc3-98c4-dc0c0c07398f", "0197226c-3f55-7cc3-98c4-dc0c0c073990"
	for what, c := range map[string]struct {
		f     frame
		right bool
	}{
		"a message":                          {frame{T: "msg", ThreadID: thread, topic: "v1/threads/" + thread + "/frames", qos: 1}, true},
		"a message, QoS 0":                   {frame{T: "msg", ThreadID: thread, topic: "v1/threads/" + thread + "/frames"}, false},
		"a message of another thread":        {frame{T: "msg", ThreadID: other, topic: "v1/threads/" + thread + "/frames", qos: 1}, false},
		"a message on a device":              {frame{T: "msg", ThreadID: thread, topic: "v1/devices/a/frames", qos: 0}, false},
		"a message on messages":              {frame{T: "msg", ThreadID: thread, topic: "v1/threads/" + thread + "/messages", qos: 1}, false},
		"typing":                             {frame{T: "typing", ThreadID: thread, topic: "v1/threads/" + thread + "/typing"}, true},
		"typing among frames":                {frame{T: "typing", ThreadID: thread, topic: "v1/threads/" + thread + "/frames", qos: 1}, false},
		"typing, QoS 1":                      {frame{T: "typing", ThreadID: thread, topic: "v1/threads/" + thread + "/typing", qos: 1}, false},
		"presence":                           {frame{T: "presence", UserID: "bob", topic: "v1/presence/bob"}, true},
		"presence of another":                {frame{T: "presence", UserID: "cid", topic: "v1/presence/bob"}, false},
		"a ping over MQTT":                   {frame{T: "ping", topic: "v1/devices/a/frames"}, false},
		"a ping over JSON":                   {frame{T: "ping"}, true},
		"a frame of clients from the server": {frame{T: "client_ack"}, false},
	} {
		if err := checkPlace(c.f, 1); (err == nil) != c.right {
			t.Errorf("%s: %v", what, err)
		}
	}
	problem := `{"type":"/problems/x","title":"X","status":403,"detail":"x","code":"not_a_participant"}`
	if err := checkReply("v1/devices/a/r", "application/problem+json", 0, []byte(problem)); err != nil {
		t.Error(err)
	}
	if checkReply("v1/devices/a/r", "application/json", 0, []byte(`{"id":"01JWFG3M2J8K4N5P7Q8R0S1TVW"}`)) == nil {
		t.Error("a message without most of its members passes")
	}
}

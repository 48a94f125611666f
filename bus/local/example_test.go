package local_test

import (
	"fmt"

	"github.com/parleyhq/parley/bus/local"
	"github.com/parleyhq/parley/chat"
)

// screen is a subscriber.
type screen struct{}

func (screen) HandleNotice(n chat.Notice) {
	fmt.Println(n.Typing.User, "is typing, says the bus to", n.Audience)
}

func (screen) HandleLoss() { fmt.Println("notices were lost: look at the store") }

func Example() {
	bus := local.New()
	defer func() { _ = bus.Close() }()
	stop := bus.Subscribe(screen{})
	bus.Publish(chat.Notice{Audience: []chat.UserID{"bob"}, Typing: &chat.Typing{User: "alice"}})
	stop()
	bus.Publish(chat.Notice{Audience: []chat.UserID{"bob"}, Typing: &chat.Typing{User: "nobody hears of"}})
	// Output: alice is typing, says the bus to [bob]
}

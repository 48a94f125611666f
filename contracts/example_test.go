package contracts_test

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/contracts"
)

var (
	exampleThread, _ = chat.ParseThreadID("01970c2e-3c00-7000-8000-000000000001")
	exampleTime      = time.Date(2026, 5, 30, 17, 42, 11, 234e6, time.UTC)
)

// The server encodes an event once, and each connection adds its own frame_seq.
func ExampleFrame() {
	frame := contracts.EventFrame(chat.Event{
		Thread: exampleThread, Seq: 9, ID: chat.EventIDAt(exampleTime), At: exampleTime, Kind: chat.KindReaction, By: "alice",
		Target:   chat.Target{ID: chat.EventIDAt(exampleTime.Add(-time.Minute)), Seq: 7},
		Reaction: &chat.ReactionChange{Emoji: "👍"},
	})
	phone, tablet := frame.Append(nil, 1), frame.Append(nil, 42)

	fmt.Println(string(phone))
	fmt.Println(strings.HasSuffix(string(tablet), `,"frame_seq":42}`), len(tablet) == frame.Len(42))
	// Output:
	// {"t":"reaction","id":"01KSWZKFY20000000000000000","thread_id":"01970c2e-3c00-7000-8000-000000000001","seq":9,"by":"alice","emoji":"👍","op":"add","at":"2026-05-30T17:42:11.234Z","frame_seq":1}
	// true true
}

// What the realtime connection is told besides the log's events has a function for
// each kind of frame.
func ExamplePresenceFrame() {
	online := contracts.PresenceFrame(chat.Presence{User: "bob", Online: true})
	fmt.Println(string(online.Append(nil, 3)))
	// Output:
	// {"t":"presence","user_id":"bob","status":"online","last_seen_at":null,"frame_seq":3}
}

// The topic of a publish is read once into its parts. A topic that no client may
// publish to is TopicUnknown.
func ExampleParseTopic() {
	topic := contracts.ParseTopic("v1/threads/01970c2e-3c00-7000-8000-000000000001/messages")
	fmt.Println(topic.Kind == contracts.TopicThreadMessages, topic.Thread)

	frames := contracts.ParseTopic("v1/threads/01970c2e-3c00-7000-8000-000000000001/frames")
	fmt.Println(frames.Kind == contracts.TopicUnknown)
	// Output:
	// true 01970c2e-3c00-7000-8000-000000000001
	// true
}

// A subscription's filter is read once into what it covers.
func ExampleParseFilter() {
	filter, err := contracts.ParseFilter("v1/threads/+/frames")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("frames of the thread:", filter.CoversThread(exampleThread))
	fmt.Println("typing in the thread:", filter.CoversTyping(exampleThread))
	fmt.Println("presence of bob:", filter.CoversPresence("bob"))

	_, err = contracts.ParseFilter("sensors/#")
	fmt.Println(err)
	// Output:
	// frames of the thread: true
	// typing in the thread: false
	// presence of bob: false
	// topic filter outside the tree
}

func ExampleFilterMatches() {
	topic := contracts.Topic{Kind: contracts.TopicThreadTyping, Thread: exampleThread}.String()
	fmt.Println(topic)
	fmt.Println(contracts.FilterMatches("v1/threads/+/typing", topic))
	fmt.Println(contracts.FilterMatches("v1/threads/+/frames", topic))
	// Output:
	// v1/threads/01970c2e-3c00-7000-8000-000000000001/typing
	// true
	// false
}

// An error becomes the problem document that a client is told.
func ExampleProblemOf() {
	problem := contracts.ProblemOf(chat.Refuse(chat.CodeThreadNotFound, "no such thread"))
	fmt.Println(problem.Status, problem.Type, problem.Detail)

	bug := contracts.ProblemOf(errors.New("disk on fire"))
	fmt.Println(bug.Status, bug.Type, bug.Detail)
	// Output:
	// 404 /problems/thread_not_found no such thread
	// 500 /problems/internal the failure was logged under the request id
}

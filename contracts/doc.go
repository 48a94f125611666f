// Package contracts defines everything that clients and server exchange: the bodies of
// requests and responses, the frames of the realtime connections, the topic grammar and
// the problem codes, each with its conversion from or to the types of package chat. The
// same, for machines, is in openapi.yaml and asyncapi.yaml.
//
// The package decides nothing and does no I/O. It checks the form of what a client sends;
// the rules are in package chat.
//
// A request goes through a Decode function (requests.go, prekeys.go, pins.go,
// moderation.go), its answer is made by a New function (message.go, thread.go, ...), and an
// error becomes a [Problem] (problem.go). An event of a log becomes a [Frame] by
// [EventFrame] (event_frames.go), everything else that is told in realtime by the functions
// of frames.go; [ParseClientFrame] reads what a client answers. topics.go is the only
// place that knows how a topic is spelled. Begin with the examples.
package contracts

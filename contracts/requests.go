package contracts

import (
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parleyhq/parley/chat"
)

// The bodies of the requests. A field is a pointer where absence differs from the zero
// value. A null of an optional member counts as absence. Decoding checks the form only;
// package chat judges the values. The exception are empty values which, once converted,
// would look like absence: these are refused here.

type createThreadBody struct {
	Type         *string  `json:"type"`
	Participants []string `json:"participants"`
	Title        *string  `json:"title"`
}

// DecodeCreateThread reads the body of POST /v1/threads (docs/contract.md#threads).
func DecodeCreateThread(body []byte) (chat.CreateThread, error) {
	var b createThreadBody
	if err := decode(body, &b, member{"type", &b.Type}, member{"participants", &b.Participants}); err != nil {
		return chat.CreateThread{}, err
	}
	req := chat.CreateThread{
		Type:         chat.ThreadType(*b.Type),
		Participants: convertAll(b.Participants, func(user string) chat.UserID { return chat.UserID(user) }),
	}
	if b.Title != nil {
		req.Title = *b.Title
	}
	return req, nil
}

// DecodeAddParticipant reads the body of POST /v1/threads/{id}/participants
// (docs/contract.md#threads).
func DecodeAddParticipant(body []byte) (chat.UserID, error) {
	var b struct {
		UserID *string `json:"user_id"`
	}
	if err := decode(body, &b, member{"user_id", &b.UserID}); err != nil {
		return "", err
	}
	return chat.ParseUserID(*b.UserID)
}

// DecodeSetTitle reads the body of PATCH /v1/threads/{id}. A null, which clears the title,
// becomes "" (docs/contract.md#threads).
func DecodeSetTitle(body []byte) (string, error) {
	b := struct {
		Title jsontext.Value `json:"title"`
	}{}
	if err := decode(body, &b, member{"title", &b.Title}); err != nil {
		return "", err
	}
	switch b.Title.Kind() {
	case jsontext.KindNull:
		return "", nil
	case jsontext.KindString:
		title, err := jsontext.AppendUnquote(nil, b.Title)
		return string(title), err
	default:
		return "", chat.Invalid("title", "must be a string or null")
	}
}

// DecodeSetRole reads the body of PATCH /v1/threads/{id}/participants/{uid}
// (docs/contract.md#threads).
func DecodeSetRole(body []byte) (chat.Role, error) {
	var b struct {
		Role *string `json:"role"`
	}
	if err := decode(body, &b, member{"role", &b.Role}); err != nil {
		return "", err
	}
	return chat.Role(*b.Role), nil
}

// DecodeMarkRead reads the body of POST /v1/threads/{id}/read
// (docs/contract.md#receipts).
func DecodeMarkRead(body []byte) (chat.MessageID, error) {
	var b struct {
		UpTo *string `json:"up_to_msg_id"`
	}
	if err := decode(body, &b, member{"up_to_msg_id", &b.UpTo}); err != nil {
		return chat.MessageID{}, err
	}
	return messageIDField("up_to_msg_id", *b.UpTo)
}

type editBody struct {
	Ciphertext  Bytes   `json:"ciphertext"`
	ContentType *string `json:"content_type"`
}

// DecodeEdit reads the body of PATCH /v1/messages/{id}
// (docs/contract.md#editing-and-deleting).
func DecodeEdit(body []byte) (chat.EditRequest, error) {
	var b editBody
	if err := decode(body, &b, member{"ciphertext", &b.Ciphertext}); err != nil {
		return chat.EditRequest{}, err
	}
	contentType, err := contentTypeField(b.ContentType)
	return chat.EditRequest{Ciphertext: b.Ciphertext, ContentType: contentType}, err
}

type reactionBody struct {
	Emoji *string `json:"emoji"`
}

// DecodeReaction reads the body of POST /v1/messages/{id}/reactions
// (docs/contract.md#reactions).
func DecodeReaction(body []byte) (emoji string, err error) {
	var b reactionBody
	if err := decode(body, &b, member{"emoji", &b.Emoji}); err != nil {
		return "", err
	}
	return *b.Emoji, nil
}

// SendBody is the body of a send, after its form was checked
// (docs/contract.md#sending).
type SendBody struct {
	ClientSeq        *int64  `json:"client_seq"`
	Ciphertext       Bytes   `json:"ciphertext"`
	ContentType      *string `json:"content_type"`
	AttachmentID     *string `json:"attachment_id"`
	AttachmentSHA256 *string `json:"attachment_sha256"`
	ReplyTo          *string `json:"reply_to_msg_id"`
	TTLSeconds       *int64  `json:"ttl_seconds"`
	Epoch            *int64  `json:"epoch"`
}

// DecodeSend reads the body of POST /v1/threads/{id}/messages
// (docs/contract.md#sending).
func DecodeSend(body []byte) (SendBody, error) {
	var b SendBody
	err := decode(body, &b, b.required()...)
	return b, err
}

// SendPublish is the payload of a send over MQTT: a [SendBody] with the idempotency key as
// one more member, "" if it is absent (docs/contract.md#mqtt).
type SendPublish struct {
	SendBody
	IdempotencyKey string `json:"idempotency_key"`
}

// SendPublish311 is the payload in MQTT 3.1.1: the response topic is a member of it, since
// the packet has no property for it.
type SendPublish311 struct {
	SendPublish
	ResponseTopic string `json:"response_topic"`
}

// DecodeSendPublish reads the payload of a publish of MQTT 5 to a thread's messages topic
// (docs/contract.md#mqtt).
func DecodeSendPublish(payload []byte) (SendPublish, error) {
	var p SendPublish
	err := decode(payload, &p, p.required()...)
	return p, err
}

// DecodeSendPublish311 is DecodeSendPublish for MQTT 3.1.1. Of a payload that is wrong it
// still returns the key and the response topic if they can be read, so that the client can
// be told which of its messages it was.
func DecodeSendPublish311(payload []byte) (SendPublish311, error) {
	var p SendPublish311
	err := decode(payload, &p, p.required()...)
	if err != nil {
		p = SendPublish311{}
		p.IdempotencyKey, p.ResponseTopic = stringMember(payload, "idempotency_key"), stringMember(payload, "response_topic")
	}
	return p, err
}

// stringMember finds a member of a JSON object whatever else is wrong with it; "" if it is
// not there, no string, or longer than any that is valid.
func stringMember(object []byte, name string) string {
	const longest = 256
	members := map[string]jsontext.Value{}
	if err := json.Unmarshal(object, &members, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return ""
	}
	var s string
	if json.Unmarshal(members[name], &s) != nil || len(s) > longest {
		return ""
	}
	return s
}

func (b *SendBody) required() []member {
	return []member{{"client_seq", &b.ClientSeq}, {"ciphertext", &b.Ciphertext}}
}

// maxTTLSeconds is compared with what the client sent before that becomes a Duration, which
// could overflow.
const maxTTLSeconds = int64(chat.MaxTTL / time.Second)

// Request turns a decoded body into the use case's request.
func (b SendBody) Request(thread chat.ThreadID, idempotencyKey string) (chat.SendRequest, error) {
	req := chat.SendRequest{
		Thread: thread, IdempotencyKey: idempotencyKey, ClientSeq: *b.ClientSeq, Ciphertext: b.Ciphertext,
	}
	var err error
	if req.ContentType, err = contentTypeField(b.ContentType); err != nil {
		return chat.SendRequest{}, err
	}
	if b.AttachmentID != nil {
		req.AttachmentID = *b.AttachmentID
	}
	if b.AttachmentSHA256 != nil {
		if *b.AttachmentSHA256 == "" {
			return chat.SendRequest{}, chat.Invalid("attachment_sha256", "must not be empty")
		}
		req.AttachmentSHA256 = *b.AttachmentSHA256
	}
	if b.TTLSeconds != nil {
		if *b.TTLSeconds < 1 || *b.TTLSeconds > maxTTLSeconds {
			return chat.SendRequest{}, chat.Invalid("ttl_seconds", "must be 1 to 2419200")
		}
		req.TTL = time.Duration(*b.TTLSeconds) * time.Second
	}
	if b.Epoch != nil {
		if *b.Epoch < 1 || *b.Epoch > int64(chat.MaxEpoch) {
			return chat.SendRequest{}, chat.Invalid("epoch", "must be an integer from 1 to 9007199254740991")
		}
		req.Epoch = chat.Epoch(*b.Epoch)
	}
	if b.ReplyTo != nil {
		if req.ReplyTo, err = messageIDField("reply_to_msg_id", *b.ReplyTo); err != nil {
			return chat.SendRequest{}, err
		}
		if req.ReplyTo.IsZero() { // the zero id would mean no reply
			return chat.SendRequest{}, chat.Invalid("reply_to_msg_id", "is no message of this thread")
		}
	}
	return req, nil
}

// contentTypeField converts an optional content_type: "" if it is absent. It refuses an
// empty one, which package chat could not tell from an absent one.
func contentTypeField(s *string) (chat.ContentType, error) {
	if s == nil {
		return "", nil
	}
	if *s == "" {
		return "", chat.Invalid("content_type", "must not be empty")
	}
	return chat.ContentType(*s), nil
}

// messageIDField parses a message id. The error names the field.
func messageIDField(field, s string) (chat.MessageID, error) {
	id, err := chat.ParseMessageID(s)
	if err != nil {
		return chat.MessageID{}, chat.Invalid(field, "must be a ULID of 26 characters")
	}
	return id, nil
}

package broker

// The types of MQTT control packets that a client may send.
const (
	packetConnect     = 1
	packetPublish     = 3
	packetPuback      = 4
	packetSubscribe   = 8
	packetUnsubscribe = 10
	packetPingreq     = 12
	packetDisconnect  = 14
)

// flagDup in the first byte of a PUBLISH says that it may have been sent before.
const flagDup = 1 << 3

// The first bytes of packets that the server sends.
const (
	firstByteConnack    = 2 << 4
	firstByteSuback     = 9 << 4
	firstByteUnsuback   = 11 << 4
	firstByteDisconnect = packetDisconnect << 4
)

// Reason codes of MQTT 5 (2.4) that connections use.
const (
	reasonFailure           = 0x80 // this and all above are failures
	reasonMalformed         = 0x81
	reasonProtocolError     = 0x82
	reasonNotAuthorized     = 0x87
	reasonServerBusy        = 0x89
	reasonShuttingDown      = 0x8B
	reasonKeepAliveTimeout  = 0x8D
	reasonTakenOver         = 0x8E
	reasonTopicName         = 0x90
	reasonReceiveMaximum    = 0x93
	reasonPacketTooLarge    = 0x95
	reasonQuotaExceeded     = 0x97
	reasonAdministrative    = 0x98
	reasonPayloadFormat     = 0x99
	reasonRetainUnsupported = 0x9A
	reasonQoSUnsupported    = 0x9B
	reasonNoSubscriptionIDs = 0xA1
)

// connackUnknownLevel is the return code of MQTT 3.1.1 for a level that the server does not
// know.
const connackUnknownLevel = 1

// Identifiers of MQTT 5 properties (2.2.2.2) that the broker writes or looks at.
const (
	propertyPayloadFormat   = 0x01
	propertyContentType     = 0x03
	propertyResponseTopic   = 0x08
	propertyCorrelationData = 0x09
	propertySubscriptionID  = 0x0B
	propertyReasonString    = 0x1F
	propertyUser            = 0x26 // may come more than once
)

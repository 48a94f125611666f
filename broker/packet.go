package broker

// The MQTT control packet types a client may send, as the guard sees them.
const (
	packetConnect     = 1
	packetPublish     = 3
	packetPuback      = 4
	packetSubscribe   = 8
	packetUnsubscribe = 10
	packetPingreq     = 12
	packetDisconnect  = 14
)

// The first bytes of packets of the front that the connection looks at.
const (
	packetSuback    = 9 << 4
	packetUnsuback  = 11 << 4
	packetServerBye = packetDisconnect << 4
)

// Reason codes the guard and the pump give by themselves (MQTT 5, 2.4).
const (
	reasonFailure        = 0x80 // and above
	reasonMalformed      = 0x81
	reasonProtocolError  = 0x82
	reasonNotAuthorized  = 0x87
	reasonShuttingDown   = 0x8B
	reasonTakenOver      = 0x8E
	reasonTopicName      = 0x90
	reasonPacketTooLarge = 0x95
	reasonQuotaExceeded  = 0x97
	reasonQoSUnsupported = 0x9B

	reasonKeepAliveTimeout  = 0x8D
	reasonRetainUnsupported = 0x9A
	reasonNoSubscriptionIDs = 0xA1
)

// Properties by name (MQTT 5, 2.2.2.2).
const (
	propertyContentType     = 0x03
	propertyCorrelationData = 0x09
	propertySubscriptionID  = 0x0B
	propertyReasonString    = 0x1F
	propertyUser            = 0x26 // may come more than once
)

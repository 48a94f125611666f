package contracts

import _ "embed"

// AsyncAPI is asyncapi.yaml: the realtime half of the contract (channels, topics
// and frames) in machine-readable form.
//
//go:embed asyncapi.yaml
var AsyncAPI []byte

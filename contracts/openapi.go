package contracts

import _ "embed" // for the document

// OpenAPI is the machine-readable form of docs/contract.md#requests, an OpenAPI 3.1
// document in YAML.
//
//go:embed openapi.yaml
var OpenAPI []byte

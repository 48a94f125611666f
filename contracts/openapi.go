package contracts

import _ "embed" // for the document

// OpenAPI is the machine-readable form of contract section 3, an OpenAPI 3.1
// document in YAML.
//
//go:embed openapi.yaml
var OpenAPI []byte

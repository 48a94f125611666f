// Package contracts is what crosses the border: the bodies of requests and
// responses, the frames, the topic grammar and the problem codes, each with its
// conversion from and to the types of package chat. The same, for machines, is
// in openapi.yaml and asyncapi.yaml.
//
// Nothing here decides anything: form is checked on the way in, rules are chat's.
package contracts

// Package e2e is Parley seen from outside: it builds the real binary, runs it as
// a process and talks to it over real sockets with the client libraries that
// strangers use. It knows nothing of the product but its command line and the
// two documents beside it, openapi.yaml and asyncapi.yaml, to which it holds
// every response and every frame it sees.
//
// It is a module of its own so that these libraries stay out of the product.
package e2e

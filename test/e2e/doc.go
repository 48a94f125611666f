// Package e2e is Parley seen from outside: it builds the real binary, runs it as
// a process and talks to it over real sockets with the client libraries that
// strangers use. It knows nothing of the product but its command line and the
// two documents beside it, openapi.yaml and asyncapi.yaml, to which it holds
// every response and every frame it sees.
//
// PARLEY_E2E_STORE=mongodb gives each server a database of a MongoDB-compatible
// test server instead of a directory; package mongod runs that, and is all
// that is taken from the product. With PARLEY_TEST_MONGO_URI it is a server of
// yours: the databases parley_test_… stay there.
//
// It is a module of its own so that these libraries stay out of the product.
package e2e

// Package e2e tests Parley from outside: it builds the real binary, runs it as
// a process and talks to it over real sockets, with the client libraries that
// other people's clients use. It knows nothing of the product but its command line
// and two documents, contracts/openapi.yaml and contracts/asyncapi.yaml. It checks
// every response and every frame that it sees against these documents.
//
// With PARLEY_E2E_STORE=mongodb each server has a database of a MongoDB-compatible
// test server instead of a directory. Package test/mongod runs that test server; no
// other package of the product's module is imported. PARLEY_TEST_MONGO_URI names a
// server of yours to use instead: the tests leave their databases parley_test_… on it.
//
// The suite is a module of its own so that the client libraries stay out of the product.
package e2e

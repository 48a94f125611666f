package main

import "testing"

// An embedded store is of one node alone, and settings of NATS without NATS are a mistake.
func TestBusThatCannotWork(t *testing.T) {
	secret := []string{"--jwt-secret", testSecret}
	for says, args := range map[string][]string{
		"nodes that share a store": {"--bus", "nats://localhost"},
		"are for --bus nats://":    {"--nats-prefix", "mine"},
		"unknown scheme":           {"--bus", "carrier://pigeon"},
	} {
		refusesToStart(t, says, append(secret, args...)...)
	}
}

//go:build !linux && !darwin

package bench

// allowConnections does nothing: opening a connection fails where the limit is too low.
func allowConnections(int) error { return nil }

// ownCPU is 0: it is not measured on this system.
func ownCPU() float64 { return 0 }

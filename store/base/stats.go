package base

import "github.com/parleyhq/parley/internal/measure"

// Stats are figures of an embedded store for operators.
type Stats struct {
	Bytes func() int64       // what it takes on the disk now
	Syncs *measure.Histogram // the time of each sync, which makes a group of writes durable
}

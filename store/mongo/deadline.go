package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/xoptions"
)

// Every command says how long the server may take for it (maxTimeMS): what is left of the
// context's deadline, or the client's timeout. A server that is overloaded or stuck then stops
// what nobody waits for any more. The driver does that for every command that opens no
// cursor; a collection does it for those that do.

// collection is one whose finds and aggregates are bounded at the server, too.
type collection struct {
	*mongo.Collection
	timeout time.Duration // of a command whose context has no deadline; 0 is none
}

// Find is [mongo.Collection.Find]. The bound holds for all batches of the cursor together.
func (c *collection) Find(ctx context.Context, filter any, opts ...options.Lister[options.FindOptions]) (*mongo.Cursor, error) {
	if most := c.left(ctx); most > 0 {
		bounded := options.Find()
		if err := xoptions.SetInternalFindOptions(bounded, commandFields, d(maxTime, most)); err != nil {
			return nil, err
		}
		opts = append(opts[:len(opts):len(opts)], bounded)
	}
	return c.Collection.Find(ctx, filter, opts...)
}

// Aggregate is [mongo.Collection.Aggregate], bounded as Find is.
func (c *collection) Aggregate(ctx context.Context, pipeline any, opts ...options.Lister[options.AggregateOptions]) (*mongo.Cursor, error) {
	if most := c.left(ctx); most > 0 {
		bounded := options.Aggregate().SetCustom(bson.M{maxTime: most}) //nolint:staticcheck // of an aggregate the driver has no other way in
		opts = append(opts[:len(opts):len(opts)], bounded)
	}
	return c.Collection.Aggregate(ctx, pipeline, opts...)
}

const (
	maxTime = "maxTimeMS"
	// commandFields is the driver's name for what is added to a command. Of a find it has no
	// other way in, but the one without retries.
	commandFields = "addCommandFields"
)

// left is how many milliseconds a command may take: 0 if that is not bounded.
func (c *collection) left(ctx context.Context) int64 {
	most := c.timeout
	if deadline, bounded := ctx.Deadline(); bounded {
		most = max(time.Until(deadline), time.Millisecond)
	}
	return int64((most + time.Millisecond - 1) / time.Millisecond)
}

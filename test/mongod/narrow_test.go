package mongod

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"pgregory.net/rapid"
)

// things are what queries are about: few values, so that they often match.
var (
	words = []string{"", "ann", "ann/bob", "ann/bob 2", "annb", "Zoë", "it's \"5\" < 7\\", "50"}
	kinds = []func(*rapid.T) any{
		func(rt *rapid.T) any { return rapid.SampledFrom(words).Draw(rt, "word") },
		func(rt *rapid.T) any { return rapid.Int64Range(-2, 101).Draw(rt, "number") },
		func(rt *rapid.T) any { return time.UnixMilli(rapid.Int64Range(-1, 3).Draw(rt, "time")) },
		func(rt *rapid.T) any {
			return bson.Binary{Subtype: bson.TypeBinaryUUID, Data: []byte{0: rapid.SampledFrom([]byte{0, 0x60, 0xfc}).Draw(rt, "binary"), 15: 0}}
		},
	}
	fieldKinds = map[string]int{"word": 0, "number": 1, "time": 2, "binary": 3}
	fieldNames = []string{"word", "number", "time", "binary"}
)

// What the changed FerretDB finds by an index is what it finds when it reads all: a
// filter inside $and is left as it is.
func TestNarrowedQueriesFindTheSame(t *testing.T) {
	things := connect(t, Shared(t).URI())
	for i, keys := range []bson.D{{{Key: "word", Value: 1}, {Key: "number", Value: 1}}, {{Key: "binary", Value: 1}, {Key: "_id", Value: 1}}} {
		if _, err := things.Indexes().CreateOne(t.Context(), mongo.IndexModel{Keys: keys, Options: options.Index().SetName(fmt.Sprint("index", i))}); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		if _, err := things.DeleteMany(rt.Context(), bson.D{}); err != nil {
			rt.Fatal(err)
		}
		for i := range rapid.IntRange(0, 30).Draw(rt, "documents") {
			doc := bson.D{{Key: "_id", Value: fmt.Sprintf("%s/%02d", words[i%len(words)], i)}}
			for _, name := range fieldNames {
				if rapid.IntRange(0, 5).Draw(rt, "there") > 0 {
					doc = append(doc, bson.E{Key: name, Value: kinds[fieldKinds[name]](rt)})
				}
			}
			if _, err := things.InsertOne(rt.Context(), doc); err != nil {
				rt.Fatal(err)
			}
		}
		for range 8 {
			filter, opts := drawQuery(rt)
			got, want := find(rt, things, filter, opts), find(rt, things, bson.D{{Key: "$and", Value: bson.A{filter}}}, opts)
			if !reflect.DeepEqual(got, want) {
				rt.Fatalf("%v found\n%v, not\n%v", filter, got, want)
			}
		}
	})
}

// drawQuery draws a filter, and with what order and limit it is asked. The order is
// one of all documents, so that there is one answer.
func drawQuery(rt *rapid.T) (bson.D, *options.FindOptionsBuilder) {
	filter := bson.D{}
	names := rapid.Permutation(append([]string{"_id"}, fieldNames...)).Draw(rt, "fields")
	for _, name := range names[:rapid.IntRange(0, 3).Draw(rt, "terms")] {
		filter = append(filter, drawTerm(rt, name))
	}
	order := bson.D{{Key: "_id", Value: rapid.SampledFrom([]int{1, -1}).Draw(rt, "direction")}}
	if rapid.Bool().Draw(rt, "by a number first") {
		order = append(bson.D{{Key: "number", Value: rapid.SampledFrom([]int{1, -1}).Draw(rt, "its direction")}}, order...)
	}
	// A binary is ordered by among those that the filter names, as the store does.
	if in := slices.IndexFunc(filter, func(e bson.E) bool { return e.Key == "binary" }); in >= 0 && rapid.Bool().Draw(rt, "by a binary first") {
		if operators, ok := filter[in].Value.(bson.D); ok && operators[0].Key == "$in" {
			order = append(bson.D{{Key: "binary", Value: rapid.SampledFrom([]int{1, -1}).Draw(rt, "its direction")}}, order...)
		}
	}
	opts := options.Find().SetSort(order)
	if n := rapid.Int64Range(0, 4).Draw(rt, "limit"); n > 0 {
		opts.SetLimit(n)
	}
	return filter, opts
}

func drawTerm(rt *rapid.T, name string) bson.E {
	value := kinds[fieldKinds[name]] // a word for an _id too
	switch rapid.IntRange(0, 3).Draw(rt, "what") {
	case 0:
		return bson.E{Key: name, Value: value(rt)}
	case 1:
		return bson.E{Key: name, Value: bson.D{{Key: "$in", Value: bson.A{value(rt), value(rt)}}}}
	case 2:
		return bson.E{Key: name, Value: bson.D{{Key: "$ne", Value: value(rt)}}}
	}
	if name == "binary" { // the backend cannot say which is less
		return bson.E{Key: name, Value: bson.D{{Key: "$exists", Value: true}}}
	}
	term := bson.D{}
	for _, operator := range rapid.Permutation([]string{"$gt", "$gte", "$lt", "$lte"}).Draw(rt, "operators")[:rapid.IntRange(1, 2).Draw(rt, "of them")] {
		term = append(term, bson.E{Key: operator, Value: value(rt)})
	}
	return bson.E{Key: name, Value: term}
}

func find(rt *rapid.T, things *mongo.Collection, filter bson.D, opts *options.FindOptionsBuilder) (found []bson.D) {
	cursor, err := things.Find(rt.Context(), filter, opts)
	if err == nil {
		err = cursor.All(rt.Context(), &found)
	}
	if err != nil {
		rt.Fatalf("%v: %v", filter, err)
	}
	return found
}

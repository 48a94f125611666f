package mongo

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"pgregory.net/rapid"

	"github.com/parleyhq/parley/chat"
	"github.com/parleyhq/parley/test/mongod"
)

// What is packed is unpacked as it was, and takes few bytes.
func TestPackedMarks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		run := make([]markDoc, rapid.IntRange(1, runLength).Draw(rt, "marks"))
		var seq chat.Seq
		for i := range run {
			seq += chat.Seq(rapid.Uint64Range(1, 1<<40).Draw(rt, "seq"))
			run[i] = markDoc{Seq: seq, At: time.UnixMilli(rapid.Int64Range(-1<<40, 1<<41).Draw(rt, "at")), Beside: chat.Seq(rapid.Uint64Range(0, 1<<63-1).Draw(rt, "beside"))}
			if rapid.Bool().Draw(rt, "of a message") {
				copy(run[i].Message[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(rt, "message"))
			}
		}
		got, err := unpackMarks(packMarks(run))
		if err != nil || !reflect.DeepEqual(got, run) {
			rt.Fatalf("%+v was packed, and unpacked as %+v, %v", run, got, err)
		}
	})
	var run []markDoc
	for seq := range chat.Seq(runLength) {
		run = append(run, newMarkDoc(markAt(newThreadID(), "ann", 1000+2*seq)))
	}
	plain, err := bson.Marshal(struct{ Run []markDoc }{run})
	if err != nil {
		t.Fatal(err)
	}
	packed := packMarks(run)
	t.Logf("a run of %d marks takes %d bytes, packed %d", len(run), len(plain), len(packed))
	if 4*len(packed) > len(plain) {
		t.Errorf("a run of %d marks takes %d bytes, packed %d", len(run), len(plain), len(packed))
	}
}

// Whatever bytes stand there, they are a run or an error.
func FuzzUnpackMarks(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{packedVersion})
	f.Add(packMarks([]markDoc{newMarkDoc(markAt(newThreadID(), "ann", 7)), newMarkDoc(markAt(newThreadID(), "ann", 9))}))
	f.Fuzz(func(t *testing.T, b []byte) {
		run, err := unpackMarks(b)
		if err != nil || !bytes.Equal(packMarks(run), b) { // a number has several encodings
			return
		}
		if again, err := unpackMarks(packMarks(run)); err != nil || !reflect.DeepEqual(again, run) {
			t.Errorf("%+v is read again as %+v, %v", run, again, err)
		}
	})
}

// While builds of the format before may run, runs are as these read them. Once the store is
// prepared they are packed, and both kinds are read.
func TestMarksArePackedOnceTheStoreIsPrepared(t *testing.T) {
	server := mongod.Shared(t)
	uri := server.URI()
	s := open(t, server, uri, Options{})
	s.setFormat(t, formatVersion, buildsFrom)
	thread := newThreadID()
	seq := chat.Seq(0)
	fill := func(s *Store) {
		t.Helper()
		for range runLength + 1 {
			seq++
			if _, moved, err := s.PutMark(t.Context(), markAt(thread, "ann", seq)); err != nil || !moved {
				t.Fatal(moved, err)
			}
		}
	}
	packed := func(want ...bool) {
		t.Helper()
		docs, err := findAll[oldMarksDoc](t.Context(), s.oldMarks, d("thread", thread))
		if err != nil || len(docs) != len(want) {
			t.Fatalf("%d runs, %v; want %d", len(docs), err, len(want))
		}
		for i, doc := range docs {
			if (len(doc.Packed) > 0) != want[i] || (len(doc.Run) == 0) != want[i] {
				t.Errorf("run %d is packed: %v, and has %d marks", i, len(doc.Packed) > 0, len(doc.Run))
			}
		}
	}
	fill(open(t, server, uri, Options{}).Store)
	packed(false)
	if err := Prepare(t.Context(), uri, Options{}, func(string) {}); err != nil {
		t.Fatal(err)
	}
	prepared := open(t, server, uri, Options{}).Store
	fill(prepared)
	packed(false, true)
	if !open(t, server, server.URI(), Options{}).onlyNew.Load() {
		t.Error("a new store does not pack")
	}
	for at := chat.Seq(1); at <= 2*runLength; at++ {
		marks, err := prepared.MarksAt(t.Context(), thread, at, []chat.UserID{"ann"})
		if want := markAt(thread, "ann", at); err != nil || marks[0].Read.Seq != at || marks[0].Read.Message != want.Message || !marks[0].Read.At.Equal(want.At) {
			t.Fatalf("the mark at %d is %+v, %v; want %+v", at, marks[0].Read, err, want)
		}
	}
}

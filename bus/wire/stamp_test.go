package wire

import (
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/parleyhq/parley/chat"
)

func TestStamp(t *testing.T) {
	b := append(AppendStamp(nil, 1<<62+5), "notice"...)
	SetNumber(b, math.MaxUint64)
	from, n, rest, err := CutStamp(b)
	if from != 1<<62+5 || n != math.MaxUint64 || string(rest) != "notice" || err != nil {
		t.Errorf("the stamp is read as %d, %d, %q, %v", from, n, rest, err)
	}
	for end := range stampBytes {
		if _, _, _, err := CutStamp(b[:end]); err == nil {
			t.Errorf("%d bytes are read as a stamp", end)
		}
	}
	b[0]++
	if _, _, _, err := CutStamp(b); !errors.Is(err, ErrNewer) {
		t.Errorf("a stamp of a newer version: %v", err)
	}
}

func TestBeat(t *testing.T) {
	want := Beat{
		From: 77, Numbers: []uint64{0, 1, 300, math.MaxUint64}, Leaving: true,
		Began: chat.EventID{1, 15: 2}, Closed: chat.EventID{3, 15: 4},
	}
	w := &writer{AppendBeat(nil, want)}
	for end := range w.b {
		if got, err := ReadBeat(w.b[:end]); err == nil && reflect.DeepEqual(got, want) {
			t.Errorf("%d of %d bytes are the whole beat", end, len(w.b))
		}
	}
	w.item(99, "to come")
	if got, err := ReadBeat(w.b); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the beat is read as %+v, %v", got, err)
	}
	w.b[0]++
	if _, err := ReadBeat(w.b); !errors.Is(err, ErrNewer) {
		t.Errorf("a beat of a newer version: %v", err)
	}
	if _, err := ReadBeat(AppendBeat(nil, Beat{Numbers: make([]uint64, maxSubjects+1)})); err == nil {
		t.Error("a beat with too many numbers is read")
	}
}

func FuzzReadBeat(f *testing.F) {
	f.Add(AppendBeat(nil, Beat{From: 77, Numbers: []uint64{0, 1, 300}, Leaving: true}))
	f.Fuzz(func(t *testing.T, b []byte) {
		beat, err := ReadBeat(b)
		if err != nil {
			return
		}
		if again, err := ReadBeat(AppendBeat(nil, beat)); err != nil || !reflect.DeepEqual(again, beat) {
			t.Errorf("%+v is read again as %+v, %v", beat, again, err)
		}
	})
}

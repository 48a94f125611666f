package session

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/parleyhq/parley/contracts"
)

func mustFilter(t testing.TB, name string) contracts.Filter {
	t.Helper()
	f, err := contracts.ParseFilter(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A session's filters are what its client asked for last, and what others got of them stays as
// it was then.
func TestChangesLeaveSharedFilters(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	names := make([]string, 12)
	for i := range names {
		names[i] = fmt.Sprint("v1/presence/user-", i)
	}
	qos := func(subs []subscription) map[string]byte {
		m := make(map[string]byte)
		for _, sub := range subs {
			m[sub.name] = sub.qos
		}
		return m
	}
	type copied struct {
		is   interest
		want map[string]byte
	}
	for range 200 {
		var i interest
		want, shared := map[string]byte{}, []copied(nil)
		for range 100 {
			name := names[random.IntN(len(names))]
			_, there := want[name]
			switch random.IntN(4) {
			case 0:
				if got := i.remove(name); got != there {
					t.Fatalf("%s is removed: %v, want %v", name, got, there)
				}
				delete(want, name)
			case 1:
				shared = append(shared, copied{i.share(), maps.Clone(want)})
			default:
				level := byte(random.IntN(2))
				ok, fresh, changed := i.add(name, mustFilter(t, name), level)
				if !ok || fresh == there || changed != (!there || want[name] != level) {
					t.Fatalf("%s is added: %v, %v, %v", name, ok, fresh, changed)
				}
				want[name] = level
			}
			bytes := 0
			for name := range want {
				bytes += len(name)
			}
			if got := qos(i.filters); !maps.Equal(got, want) || len(i.filters) != len(want) || i.size() != bytes {
				t.Fatalf("the filters are %v, of %d bytes, want %v, of %d", got, i.size(), want, bytes)
			}
		}
		for _, c := range shared {
			if got := qos(c.is.filters); !maps.Equal(got, c.want) {
				t.Fatalf("what was shared is %v, it was %v", got, c.want)
			}
		}
	}
}

// What a client changes of one of many filters costs the same as with few: it copies nothing
// until somebody else has got them, and then once.
func TestChangingAFilterCopiesNothing(t *testing.T) {
	var i interest
	for n := range maxFilters {
		name := fmt.Sprintf("v1/presence/user-%04d", n)
		i.add(name, mustFilter(t, name), 0)
	}
	const name = "v1/presence/user-0007"
	filter, level := mustFilter(t, name), byte(0)
	i.share()
	i.add(name, filter, 1) // copies them
	for what, change := range map[string]func(){
		"another QoS": func() { level ^= 1; i.add(name, filter, level) },
		"taking one away, and adding it": func() {
			i.remove(name)
			i.add(name, filter, level)
		},
	} {
		if n := testing.AllocsPerRun(100, change); n != 0 {
			t.Errorf("%s, of %d filters: %v allocations", what, len(i.filters), n)
		}
	}
	if len(i.filters) != maxFilters {
		t.Errorf("%d filters are left", len(i.filters))
	}
}

package capacity

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// docs/capacity.md shows what is computed here, and docs/performance.md the figures it is computed from.
func TestDocumentShowsTheModel(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	table := Table(For(10_000), For(1_000_000), For(100_000_000))
	if !strings.Contains(read("capacity.md"), table) {
		t.Errorf("docs/capacity.md does not have this table:\n%s", table)
	}
	for _, figure := range []float64{connectionKB, sendMicroseconds, deliverMicros} {
		if text := fmt.Sprintf(" %.4g", figure); !strings.Contains(read("performance.md"), text) {
			t.Errorf("docs/performance.md does not have the figure%s", text)
		}
	}
}

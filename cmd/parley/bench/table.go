package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteTable writes reports as a Markdown table. The reports with one label are one row:
// the median of each figure, with its ratio to that of the baseline. A label such as
// "fanout 50/s/parley" says what is measured and, behind the last slash, which server.
func WriteTable(w io.Writer, reports []*Report, baseline string) error {
	groups := make(map[string][]*Report)
	var order []string
	for _, r := range reports {
		label := r.Label
		if label == "" {
			label = string(r.Mode)
		}
		if groups[label] == nil {
			order = append(order, label)
		}
		groups[label] = append(groups[label], r)
	}
	var b strings.Builder
	b.WriteString("| what | whom | sends/s | deliveries/s | p50 ms | p99 ms | server CPU s per 1 M | KB per connection | lost / doubles / disorder |\n")
	b.WriteString("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, label := range order {
		what, whom := splitLabel(label)
		base := groups[what+"/"+baseline]
		if whom == baseline {
			base = nil
		}
		row := []string{what, whom}
		for _, c := range columns {
			row = append(row, cell(groups[label], base, c))
		}
		row = append(row, promises(groups[label]))
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func splitLabel(label string) (what, whom string) {
	if i := strings.LastIndexByte(label, '/'); i >= 0 {
		return label[:i], label[i+1:]
	}
	return label, ""
}

// column is one figure of a report. Its value is not ok if the report does not have it.
type column struct {
	format string
	value  func(*Report) (v float64, ok bool)
}

var columns = []column{
	{"%.0f", func(r *Report) (float64, bool) { return r.SendsPerSecond, r.SendsPerSecond > 0 }},
	{"%.0f", func(r *Report) (float64, bool) { return r.DeliveriesPerSecond, r.DeliveriesPerSecond > 0 }},
	{"%.2f", func(r *Report) (float64, bool) { t, ok := r.main(); return t.P50, ok }},
	{"%.2f", func(r *Report) (float64, bool) { t, ok := r.main(); return t.P99, ok }},
	{"%.2f", func(r *Report) (float64, bool) {
		if r.Server == nil {
			return 0, false
		}
		seconds, _ := r.Server.perMillion()
		return seconds, seconds > 0
	}},
	{"%.1f", func(r *Report) (float64, bool) {
		if r.Server == nil {
			return 0, false
		}
		return r.Server.BytesPerConnection / 1e3, r.Mode == Idle
	}},
}

// main is the most important timing of the report's mode.
func (r *Report) main() (Timing, bool) {
	name, ok := map[Mode]string{Fanout: timeDelivery, Pairs: timeDelivery, Sends: timeSend, Catchup: timeCatchup, Receipts: timeReceipt}[r.Mode]
	i := slices.IndexFunc(r.Timings, func(t Timing) bool { return t.What == name })
	if !ok || i < 0 {
		return Timing{}, false
	}
	return r.Timings[i], true
}

func cell(reports, base []*Report, c column) string {
	v, ok := median(reports, c)
	if !ok {
		return ""
	}
	text := fmt.Sprintf(c.format, v)
	if other, ok := median(base, c); ok && other != 0 {
		text += fmt.Sprintf(" (%.2f ×)", v/other)
	}
	return text
}

func median(reports []*Report, c column) (float64, bool) {
	var values []float64
	for _, r := range reports {
		if v, ok := c.value(r); ok {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return 0, false
	}
	slices.Sort(values)
	half := len(values) / 2
	if len(values)%2 == 0 {
		return (values[half-1] + values[half]) / 2, true
	}
	return values[half], true
}

// promises adds up, over all reports, what should be 0. A median could hide it.
func promises(reports []*Report) string {
	var lost, duplicates, disorder uint64
	for _, r := range reports {
		lost += r.Lost + r.LostReceipts + r.Broken
		duplicates += r.Duplicates
		disorder += r.OutOfOrder + r.Strange
	}
	return fmt.Sprintf("%d / %d / %d", lost, duplicates, disorder)
}

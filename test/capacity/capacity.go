// Package capacity computes what a number of connections takes: the tables of docs/capacity.md.
// Each constant is a figure of docs/performance.md, or an assumption that is marked as one.
package capacity

import (
	"fmt"
	"math"
	"strings"
)

// Measured, in docs/performance.md.
const (
	connectionKB     = 11.8  // an idle connection, MQTT over WebSocket, the most of the three kinds
	sendMicroseconds = 494.0 // CPU of a send with one delivery and one receipt, at a gentle rate
	deliverMicros    = 23.04 // CPU of each further delivery, at a gentle rate
)

// Measured for docs/capacity.md, which says how.
const storedBytes = 210.0 // of a message in the embedded store, without its ciphertext

// Assumed of the users and machines: change them to yours.
const (
	sendsPerConnection = 0.01 // a second, at the busiest time: 36 an hour
	deliveriesOfASend  = 3.0  // devices of the recipients and of the sender that are connected
	recipientsOfASend  = 1.5  // people; each writes two marks, delivered and read
	ciphertextBytes    = 300.0
	dailyOfBusiest     = 0.3 // of the busiest second's sends, over a day
	coresOfANode       = 8.0
	busy               = 0.6 // of the cores, at the busiest time
	connectionsOfANode = 100_000
	nodesOfACell       = 16 // every node of a cell hears all its hints
	writesOfAShard     = 10_000.0
	marksOfARecipient  = 2.0
	spareNodesOfACell  = 1
	secondsOfADay      = 86_400
	bytesOfAHint       = 670.0 // a frame with a payload of 300 bytes, which a hint carries
)

// Plan is what a number of connections takes.
type Plan struct {
	Connections, Cells, Nodes, Shards int
	SendsPerSecond, WritesPerSecond   float64
	CPU                               float64 // cores busy, of all nodes
	MemoryGB                          float64 // of connections, on all nodes
	HintsPerNode                      float64 // a second, that each node hears
	HintMBPerNode                     float64 // a second
	StoredGBPerDay                    float64
}

// For computes the plan of a number of connections.
func For(connections int) Plan {
	p := Plan{Connections: connections}
	n := float64(connections)
	p.SendsPerSecond = n * sendsPerConnection
	p.WritesPerSecond = p.SendsPerSecond * (1 + recipientsOfASend*marksOfARecipient)
	p.CPU = p.SendsPerSecond * (sendMicroseconds + (deliveriesOfASend-1)*deliverMicros) / 1e6
	p.MemoryGB = n * connectionKB / 1e6
	p.StoredGBPerDay = p.SendsPerSecond * dailyOfBusiest * secondsOfADay * (storedBytes + ciphertextBytes) / 1e9
	working := int(max(math.Ceil(n/connectionsOfANode), math.Ceil(p.CPU/(coresOfANode*busy))))
	// A cell ends at its nodes, or at its log, which one shard takes whole.
	p.Cells = max((working+nodesOfACell-spareNodesOfACell-1)/(nodesOfACell-spareNodesOfACell), int(math.Ceil(p.SendsPerSecond/writesOfAShard)))
	p.Nodes = working + p.Cells*spareNodesOfACell
	p.HintsPerNode = p.SendsPerSecond / float64(p.Cells)
	p.HintMBPerNode = p.HintsPerNode * bytesOfAHint / 1e6
	p.Shards = p.Cells * int(math.Ceil(p.WritesPerSecond/float64(p.Cells)/writesOfAShard))
	return p
}

// Table shows the plans as Markdown, a column for each.
func Table(plans ...Plan) string {
	rows := []struct {
		name string
		of   func(Plan) string
	}{
		{"connections", func(p Plan) string { return count(float64(p.Connections)) }},
		{"sends a second", func(p Plan) string { return count(p.SendsPerSecond) }},
		{"cores busy, of all nodes", func(p Plan) string { return count(p.CPU) }},
		{"memory of connections, GB", func(p Plan) string { return count(p.MemoryGB) }},
		{"nodes, one spare in each cell", func(p Plan) string { return count(float64(p.Nodes)) }},
		{"cells", func(p Plan) string { return count(float64(p.Cells)) }},
		{"hints that each node hears a second", func(p Plan) string { return count(p.HintsPerNode) }},
		{"their MB a second", func(p Plan) string { return fmt.Sprintf("%.1f", p.HintMBPerNode) }},
		{"writes a second, all databases", func(p Plan) string { return count(p.WritesPerSecond) }},
		{"MongoDB shards", func(p Plan) string { return count(float64(p.Shards)) }},
		{"stored a day, GB", func(p Plan) string { return count(p.StoredGBPerDay) }},
	}
	var b strings.Builder
	for i, row := range rows {
		b.WriteString("| " + row.name + " |")
		for _, p := range plans {
			b.WriteString(" " + row.of(p) + " |")
		}
		b.WriteString("\n")
		if i == 0 {
			b.WriteString("| --- |" + strings.Repeat(" ---: |", len(plans)) + "\n")
		}
	}
	return b.String()
}

// count writes a number with commas, and one below 10 with a digit behind the point if it has one.
func count(x float64) string {
	if x < 10 && x != math.Trunc(x) {
		return fmt.Sprintf("%.1f", x)
	}
	s := fmt.Sprintf("%.0f", x)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

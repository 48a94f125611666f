package model

import (
	"math/rand/v2"
	"slices"
)

// operation is one step of a history: what one user asks for. It is made of numbers
// that mean something whatever happened before, so that any operation can be left
// out of a history.
type operation struct {
	what      int  // which one: an index of weights
	by, other int  // who asks, and whom else it may concern: indices of people
	thread    int  // see someThread
	message   int  // see recent
	a, b      int  // everything else about it
	node      int  // which of the two services is asked
	again     bool // the other service is asked the same at once
	look      int  // what it touched is compared if LookEvery divides it
}

// drawHistory draws a history, all of it from one number. A longer history of the
// same number begins like a shorter one.
func drawHistory(seed uint64, operations int) []operation {
	history := make([]operation, operations)
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range history {
		history[i] = operation{
			what: draws[random.IntN(len(draws))], by: random.IntN(len(people)), other: random.IntN(len(people)),
			thread: random.IntN(64), message: random.IntN(256), a: random.IntN(1000), b: random.IntN(1000),
			node: random.IntN(2), again: random.IntN(8) == 0, look: random.IntN(1 << 16),
		}
		if history[i].message < 192 { // mostly a newer message
			history[i].message %= 12
		}
	}
	return history
}

// weights are the operations there are, and how often each is drawn.
var weights = []struct {
	weight int
	run    func(*runner, operation)
}{
	{30, (*runner).send},
	{10, (*runner).retry},
	{4, (*runner).create},
	{12, (*runner).edit},
	{5, (*runner).deleteMessage},
	{12, (*runner).react},
	{6, (*runner).unreact},
	{1, (*runner).reactOften},
	{7, (*runner).pin},
	{4, (*runner).unpin},
	{4, (*runner).add},
	{4, (*runner).remove},
	{3, (*runner).setRole},
	{2, (*runner).setTitle},
	{5, (*runner).block},
	{6, (*runner).unblock},
	{10, (*runner).read},
	{12, (*runner).acknowledge},
	{14, (*runner).wait},
	{5, (*runner).expire},
	{2, (*runner).upload},
	{3, (*runner).fetch},
	{2, (*runner).report},
	{1, (*runner).deny},
	{2, (*runner).presence},
	{5, (*runner).setAccepted},
	{8, (*runner).setOwn},
	{16, (*runner).look},
	{1, (*runner).lookAtAll},
}

// draws has the index of each operation as often as its weight says.
var draws = func() (table []int) {
	for i, w := range weights {
		table = append(table, slices.Repeat([]int{i}, w.weight)...)
	}
	return table
}()

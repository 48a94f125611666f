package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync/atomic"
	"testing"
)

// history is everything that a test knows of some threads in the end: the frames of its
// observers on all their connections, before crashes and after, the answers that the
// server gave on the way, and the log that it has stored. Its problems are the places where
// the server broke the contract's promises of order and receipts.
//
// An observer must have got every event of each thread from its first one on, to the end.
// A witness may have missed some.
type history struct {
	log       map[string][]frame // each thread's events in the end, oldest first
	members   map[string][]participant
	observers []*union
	witnesses []*union  // receivers that need not have got everything
	accepted  []message // answered 202
	states    []state   // in the order of asking
	reads     []reading

	seqs map[string]uint64 // of the messages in the log
}

// ack is a client's acknowledgement of one durable frame.
type ack struct {
	moment uint64
	thread string
	seq    uint64
}

// reading is a call by which a user marked a thread as read up to a message. It counts as
// an acknowledgement of everything up to there.
type reading struct {
	moment       uint64
	user, thread string
	upTo         string // message id
}

// state is the state of a message for a recipient at the moment when the test asked.
type state struct {
	moment          uint64
	thread, message string
	receipt         receipt
}

// moments counts the sends and arrivals of all connections, to order them. A send is
// counted before it is made and an arrival after it, so an effect never has a lower number
// than its cause.
var moments atomic.Uint64

func now() uint64 { return moments.Add(1) }

// historyOf reads the logs and participants of the threads from the server.
func historyOf(t testing.TB, d *device, threads []string, observers ...*union) *history {
	t.Helper()
	h := &history{log: map[string][]frame{}, members: map[string][]participant{}, observers: observers}
	for _, id := range threads {
		h.log[id] = d.events(t, id, 0, 100)
		h.members[id] = d.thread(t, id).Participants
	}
	return h
}

func (h *history) everybody() []*union { return slices.Concat(h.observers, h.witnesses) }

func (h *history) check(t testing.TB) {
	t.Helper()
	for _, p := range h.problems() {
		t.Error(p)
	}
}

// problems describes what breaks a rule, at most five cases for each.
func (h *history) problems() []string {
	h.index()
	var all []string
	rules := []func(wrong func(string, ...any)){
		h.logIsInOrder, h.linesAreInOrder, h.nothingIsMissing, h.acceptedIsThere, h.marksOnlyRise, h.marksAreStored, h.statesOnlyRise, h.receivedIsAcknowledged,
	}
	for _, rule := range rules {
		found := 0
		rule(func(format string, args ...any) {
			if found++; found <= 5 {
				all = append(all, fmt.Sprintf(format, args...))
			}
		})
	}
	return all
}

// logIsInOrder checks that seq is 1, 2, 3 …, and that messages' ids rise with it.
func (h *history) logIsInOrder(wrong func(string, ...any)) {
	for id, log := range h.log {
		last := ""
		for i, f := range log {
			if f.Seq != uint64(i+1) {
				wrong("thread %s: event %d of the log has seq %d", id, i+1, f.Seq)
				break
			}
			if f.T == "msg" && !f.Redelivery {
				if f.ID <= last {
					wrong("thread %s: seq %d has id %s, not above %s", id, f.Seq, f.ID, last)
				}
				last = f.ID
			}
		}
	}
}

// linesAreInOrder checks that each connection got events of the log only, and in its order.
// So the order is the same for all receivers.
func (h *history) linesAreInOrder(wrong func(string, ...any)) {
	for _, o := range h.everybody() {
		for n, line := range o.lines {
			last := map[string]uint64{}
			for _, f := range line {
				log, known := h.log[f.ThreadID]
				if !known || !f.durable() {
					continue
				}
				switch {
				case f.Seq <= last[f.ThreadID]:
					wrong("%s, connection %d: thread %s: seq %d came after %d", o.name, n+1, f.ThreadID, f.Seq, last[f.ThreadID])
				case f.Seq > uint64(len(log)):
					wrong("%s, connection %d: thread %s: seq %d is not in the history: %s", o.name, n+1, f.ThreadID, f.Seq, f.raw)
				case !sameEvent(f, log[f.Seq-1]):
					wrong("%s, connection %d: thread %s: seq %d is %s, in the history it is %s", o.name, n+1, f.ThreadID, f.Seq, f.raw, log[f.Seq-1].raw)
				}
				last[f.ThreadID] = f.Seq
			}
		}
	}
}

// nothingIsMissing checks that every observer got all of the log from its first event on.
func (h *history) nothingIsMissing(wrong func(string, ...any)) {
	for _, o := range h.observers {
		for id, log := range h.log {
			if len(o.seen[id]) == 0 {
				wrong("%s: thread %s: nothing came", o.name, id)
			}
			for seq := o.first(id); seq <= uint64(len(log)); seq++ {
				if _, there := o.seen[id][seq]; !there {
					wrong("%s: thread %s: seq %d of %d never came", o.name, id, seq, len(log))
					break
				}
			}
		}
	}
}

// sameEvent reports whether two frames tell of one event. The message may have been edited
// in between, so their content may differ.
func sameEvent(a, b frame) bool {
	type event struct {
		t, thread, id, sender, device, kind, by, user, role, message, emoji, op, at, reason string
		seq                                                                                 uint64
		clientSeq                                                                           int64
		again                                                                               bool
	}
	of := func(f frame) event {
		return event{
			f.T, f.ThreadID, f.ID, f.SenderID, f.DeviceID, f.Event, text(f.By), f.UserID, f.Role, f.MessageID, f.Emoji, f.Op, f.CreatedAt + f.EditedAt + f.At, f.Reason,
			f.Seq, f.ClientSeq, f.Redelivery,
		}
	}
	return of(a) == of(b)
}

// acceptedIsThere checks that each message that was answered 202 is in the log, with the seq
// of the answer.
func (h *history) acceptedIsThere(wrong func(string, ...any)) {
	for _, m := range h.accepted {
		log := h.log[m.ThreadID]
		if m.Seq == 0 || m.Seq > uint64(len(log)) {
			wrong("thread %s: 202 said seq %d, the history has %d", m.ThreadID, m.Seq, len(log))
			continue
		}
		if f := log[m.Seq-1]; f.T != "msg" || f.ID != m.ID || f.SenderID != m.SenderID || f.ClientSeq != m.ClientSeq {
			wrong("thread %s: 202 said that seq %d is %s by %s, in the history it is %s", m.ThreadID, m.Seq, m.ID, m.SenderID, f.raw)
		}
	}
}

// mark names one of a participant's two marks in a thread.
type mark struct{ kind, thread, user string }

// marksOnlyRise checks that the delivered and read frames that a receiver got about one
// person name messages of the log, and never an older one than before.
func (h *history) marksOnlyRise(wrong func(string, ...any)) {
	for _, o := range h.everybody() {
		last := map[mark]uint64{}
		for f := range o.receipts() {
			if h.log[f.ThreadID] == nil {
				continue
			}
			m, seq := mark{f.T, f.ThreadID, text(f.By)}, h.seqOf(cmp.Or(f.UpTo, f.ID))
			switch {
			case seq == 0:
				wrong("%s: a receipt of no message in the history: %s", o.name, f.raw)
			case seq < last[m]:
				wrong("%s: thread %s: %s of %s goes back from seq %d to %d", o.name, m.thread, m.kind, m.user, last[m], seq)
			}
			last[m] = max(last[m], seq)
		}
	}
}

// marksAreStored checks that the server has stored every mark of which it told, and that no
// participant has read more than it has received.
func (h *history) marksAreStored(wrong func(string, ...any)) {
	for _, o := range h.everybody() {
		for f := range o.receipts() {
			m, seq := mark{f.T, f.ThreadID, text(f.By)}, h.seqOf(cmp.Or(f.UpTo, f.ID))
			if stored := h.stored(m); h.log[f.ThreadID] != nil && stored < seq {
				wrong("%s: thread %s: was told %s of %s seq %d, the server has %d", o.name, m.thread, m.kind, m.user, seq, stored)
			}
		}
	}
	for id, members := range h.members {
		for _, p := range members {
			if delivered, read := h.stored(mark{"delivered", id, p.UserID}), h.stored(mark{"read", id, p.UserID}); delivered < read {
				wrong("thread %s: %s has read seq %d and received %d", id, p.UserID, read, delivered)
			}
		}
	}
}

// stored is the seq of a mark as the server has it in the end; 0 if there is none.
func (h *history) stored(m mark) uint64 {
	for _, p := range h.members[m.thread] {
		switch {
		case p.UserID != m.user:
		case m.kind == "read" && p.ReadUpTo != nil:
			return h.seqOf(*p.ReadUpTo)
		case m.kind == "delivered" && p.DeliveredUpTo != nil:
			return h.seqOf(*p.DeliveredUpTo)
		}
	}
	return 0
}

// seqOf is the seq of a message in the log; 0 if it is not there.
func (h *history) seqOf(message string) uint64 { return h.seqs[message] }

func (h *history) index() {
	h.seqs = map[string]uint64{}
	for _, log := range h.log {
		for _, f := range log {
			if f.T == "msg" && !f.Redelivery {
				h.seqs[f.ID] = f.Seq
			}
		}
	}
}

// statesOnlyRise checks that states only go from SENT to DELIVERED to READ, and that a time
// does not change once it was told.
func (h *history) statesOnlyRise(wrong func(string, ...any)) {
	type machine struct{ message, user string }
	rank := map[string]int{"SENT": 0, "DELIVERED": 1, "READ": 2}
	last := map[machine]receipt{}
	for _, s := range h.states {
		m := machine{s.message, s.receipt.RecipientID}
		before, asked := last[m]
		if asked && (rank[s.receipt.State] < rank[before.State] || changed(before.DeliveredAt, s.receipt.DeliveredAt) || changed(before.ReadAt, s.receipt.ReadAt)) {
			wrong("message %s: %s was %s (%s, %s), then %s (%s, %s)", m.message, m.user, before.State, text(before.DeliveredAt), text(before.ReadAt),
				s.receipt.State, text(s.receipt.DeliveredAt), text(s.receipt.ReadAt))
		}
		last[m] = s.receipt
	}
}

// changed reports whether a time that was told has become another.
func changed(before, after *string) bool { return before != nil && text(before) != text(after) }

// receivedIsAcknowledged checks that before a user was said to have received a message, the
// user had acknowledged it and all events before it, or had marked it as read.
func (h *history) receivedIsAcknowledged(wrong func(string, ...any)) {
	got := h.progress()
	for _, c := range h.claims() {
		if h.log[c.thread] == nil {
			continue
		}
		steps := got[[2]string{c.user, c.thread}]
		i, _ := slices.BinarySearchFunc(steps, c.moment, func(s step, moment uint64) int { return cmp.Compare(s.moment, moment) })
		reached := uint64(0)
		if i > 0 {
			reached = steps[i-1].seq
		}
		if c.seq > reached {
			wrong("thread %s: %s: %s received seq %d; its acknowledgements had reached %d", c.thread, c.by, c.user, c.seq, reached)
		}
	}
}

// claim is a statement of the server that a user has received a thread up to a seq.
type claim struct {
	moment           uint64
	by, user, thread string
	seq              uint64
}

func (h *history) claims() (all []claim) {
	for _, o := range h.everybody() {
		for f := range o.receipts() {
			all = append(all, claim{f.moment, o.name + " was told", text(f.By), f.ThreadID, h.seqOf(cmp.Or(f.UpTo, f.ID))})
		}
	}
	for _, s := range h.states {
		if s.receipt.State == "DELIVERED" || s.receipt.State == "READ" {
			all = append(all, claim{s.moment, "the receipts say", s.receipt.RecipientID, s.thread, h.seqOf(s.message)})
		}
	}
	for id, members := range h.members {
		for _, p := range members {
			all = append(all, claim{math.MaxUint64, "the thread says", p.UserID, id, h.stored(mark{"delivered", id, p.UserID})})
		}
	}
	return all
}

// step is how far a user's acknowledgements had come at a moment.
type step struct {
	moment uint64
	seq    uint64
}

// progress gives, for each user and thread, how far the user had received it and when: the
// highest seq up to which one device had acknowledged everything, or the user had read.
func (h *history) progress() map[[2]string][]step {
	steps := map[[2]string][]step{}
	for _, o := range h.everybody() {
		acked, reached := map[string]map[uint64]bool{}, map[string]uint64{}
		for _, a := range o.acks { // in the order of sending
			if acked[a.thread] == nil {
				acked[a.thread], reached[a.thread] = map[uint64]bool{}, o.first(a.thread)-1
			}
			acked[a.thread][a.seq] = true
			for acked[a.thread][reached[a.thread]+1] {
				reached[a.thread]++
			}
			key := [2]string{o.user, a.thread}
			steps[key] = append(steps[key], step{a.moment, reached[a.thread]})
		}
	}
	for _, r := range h.reads {
		key := [2]string{r.user, r.thread}
		steps[key] = append(steps[key], step{r.moment, h.seqOf(r.upTo)})
	}
	for _, key := range slices.Collect(maps.Keys(steps)) {
		all := steps[key]
		slices.SortFunc(all, func(a, b step) int { return cmp.Compare(a.moment, b.moment) })
		for i := range all[1:] {
			all[i+1].seq = max(all[i+1].seq, all[i].seq)
		}
	}
	return steps
}

package chat

import (
	"testing"

	"pgregory.net/rapid"
)

// In a 1:1, a head names the last message that either person sees, whatever was
// hidden from whom and redelivered, without a look into the log.
func TestHeadIsWhatEachPersonSees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		people := []UserID{"ann", "bob"}
		var thread Thread
		var sent []Event
		for seq := Seq(1); seq <= 12; seq++ {
			e := Event{Seq: seq, ID: EventID{15: byte(seq)}, At: instant(int(seq)), Kind: KindMessage}
			by := rapid.IntRange(0, 1).Draw(t, "by")
			switch rapid.SampledFrom([]string{"shown", "hidden", "hidden", "again", "other"}).Draw(t, "what") {
			case "shown":
				e.By, e.Message = people[by], &Message{CreatedAt: e.At}
				sent = append(sent, e)
			case "hidden":
				e.By, e.Message = people[by], &Message{CreatedAt: e.At, HiddenFrom: people[1-by]}
				sent = append(sent, e)
			case "again":
				if len(sent) == 0 {
					continue
				}
				m := &sent[rapid.IntRange(0, len(sent)-1).Draw(t, "message")]
				e.Kind, e.Target = KindRedelivery, Target{m.ID, m.Seq}
				m.Message = &Message{CreatedAt: m.At, RedeliveredSeq: seq}
				e.Message = m.Message
			case "other":
				e.Kind, e.Change = KindThread, &ThreadChange{Event: TitleChanged}
			}
			thread = thread.Apply(e)
			for _, user := range people {
				var want Event
				for _, m := range sent {
					if m.VisibleTo(user, 0) {
						want = m
					}
				}
				got := thread.Head.For(user)
				if got.LastMessage != want.ID || got.LastMessageSeq != want.Seq || !got.LastMessageAt.Equal(want.At) || got.Seq != seq {
					t.Fatalf("after event %d the last that %s sees is %d, want %d: %+v", seq, user, got.LastMessageSeq, want.Seq, thread.Head)
				}
				for joined := Seq(1); joined <= seq; joined++ {
					want := want
					if !want.VisibleTo(user, joined) {
						want = Event{}
					}
					if got := thread.Head.LastVisibleTo(user, joined); got != (Target{want.ID, want.Seq}) {
						t.Fatalf("after event %d the last that %s sees since %d is %+v, want %d", seq, user, joined, got, want.Seq)
					}
				}
			}
		}
	})
}

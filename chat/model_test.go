package chat_test

import (
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/parleyhq/parley/chat"
)

// model is a group as the contract describes it, in the plainest form.
type model struct {
	w      *world
	id     chat.ThreadID
	log    []modelEvent
	in     []modelMember // in order of joining
	read   map[chat.UserID]int
	number int
	left   map[chat.UserID]bool // has left at least once
}

type modelEvent struct {
	by   chat.UserID
	text string // "" is no message
	id   chat.MessageID
}

type modelMember struct {
	user   chat.UserID
	admin  bool
	joined int // seq
}

func (m *model) member(u chat.UserID) int {
	return slices.IndexFunc(m.in, func(p modelMember) bool { return p.user == u })
}

func (m *model) send(rt *rapid.T, by chat.UserID) {
	m.number++
	text := strconv.Itoa(m.number)
	res, err := m.w.Send(rt.Context(), as(by), m.w.request(m.id, text))
	if m.member(by) < 0 {
		refused(rt, err, chat.CodeNotAParticipant)
		return
	}
	must(rt, err)
	m.log = append(m.log, modelEvent{by: by, text: text, id: res.Event.ID})
}

func (m *model) add(rt *rapid.T, by, user chat.UserID) {
	_, added, err := m.w.AddParticipant(rt.Context(), as(by), m.id, user)
	if m.member(by) < 0 {
		refused(rt, err, chat.CodeNotAParticipant)
		return
	}
	if m.member(user) < 0 && m.left[user] && !m.in[m.member(by)].admin {
		refused(rt, err, chat.CodeCannotAdd)
		return
	}
	must(rt, err)
	same(rt, "added", added, m.member(user) < 0)
	if added {
		m.log = append(m.log, modelEvent{by: by})
		m.in = append(m.in, modelMember{user: user, joined: len(m.log)})
	}
}

func (m *model) remove(rt *rapid.T, by, user chat.UserID) {
	err := m.w.RemoveParticipant(rt.Context(), as(by), m.id, user)
	actor, target := m.member(by), m.member(user)
	switch {
	case actor < 0:
		refused(rt, err, chat.CodeNotAParticipant)
		return
	case by != user && !m.in[actor].admin:
		refused(rt, err, chat.CodeNotAnAdmin)
		return
	case target < 0:
		refused(rt, err, chat.CodeParticipantNotFound)
		return
	}
	must(rt, err)
	if m.left == nil {
		m.left = make(map[chat.UserID]bool)
	}
	m.left[m.in[target].user] = true
	m.in = slices.Delete(m.in, target, target+1)
	if len(m.in) > 0 && !slices.ContainsFunc(m.in, func(p modelMember) bool { return p.admin }) {
		m.in[0].admin = true
		m.log = append(m.log, modelEvent{by: by})
	}
	m.log = append(m.log, modelEvent{by: by})
}

func (m *model) markRead(rt *rapid.T, by chat.UserID, seq int) {
	e := m.log[seq-1]
	if e.text == "" {
		return
	}
	err := m.w.MarkRead(rt.Context(), as(by), m.id, e.id)
	me := m.member(by)
	switch {
	case me < 0:
		refused(rt, err, chat.CodeNotAParticipant)
	case seq < m.in[me].joined:
		refused(rt, err, chat.CodeMessageNotFound)
	default:
		must(rt, err)
		m.read[by] = max(m.read[by], seq)
	}
}

// agree compares all that each user may see with the model.
func (m *model) agree(rt *rapid.T, users []chat.UserID) {
	for _, u := range users {
		v, err := m.w.Thread(rt.Context(), as(u), m.id)
		me := m.member(u)
		if me < 0 {
			refused(rt, err, chat.CodeNotAParticipant)
			continue
		}
		must(rt, err)
		var visible []string
		last, unread := chat.MessageID{}, 0
		for i, e := range m.log {
			if e.text == "" || i+1 < m.in[me].joined {
				continue
			}
			visible, last = append(visible, e.text), e.id
			if e.by != u && i+1 > m.read[u] {
				unread++
			}
		}
		same(rt, "head", v.Head.Seq, chat.Seq(len(m.log)))
		same(rt, "last message", v.LastMessage, last)
		same(rt, "unread", v.Unread, unread)
		same(rt, "participants", len(v.Participants), len(m.in))
		for i, p := range v.Participants {
			same(rt, "participant", modelMember{p.User, p.Role == chat.Admin, int(p.JoinedSeq)}, m.in[i])
		}
		page, err := m.w.History(rt.Context(), as(u), m.id, chat.PageRequest{Size: 100})
		must(rt, err)
		slices.Reverse(visible)
		sameList(rt, "history", texts(page.Messages), visible...)
	}
}

// After any operations in a group, every user sees exactly what the contract says.
// A failure prints its seed; -rapid.seed runs it again.
func TestGroupAgreesWithItsModel(t *testing.T) {
	users := []chat.UserID{"alice", "bob", "carol", "dave"}
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		m := &model{
			w: w, id: w.newGroup("alice", "bob"), log: []modelEvent{{by: "alice"}}, read: make(map[chat.UserID]int),
			in: []modelMember{{user: "alice", admin: true, joined: 1}, {user: "bob", joined: 1}},
		}
		someone := rapid.SampledFrom(users)
		rt.Repeat(map[string]func(*rapid.T){
			"send":   func(rt *rapid.T) { m.send(rt, someone.Draw(rt, "by")) },
			"add":    func(rt *rapid.T) { m.add(rt, someone.Draw(rt, "by"), someone.Draw(rt, "user")) },
			"remove": func(rt *rapid.T) { m.remove(rt, someone.Draw(rt, "by"), someone.Draw(rt, "user")) },
			"read": func(rt *rapid.T) {
				m.markRead(rt, someone.Draw(rt, "by"), rapid.IntRange(1, len(m.log)).Draw(rt, "seq"))
			},
			"": func(rt *rapid.T) { m.agree(rt, users) },
		})
		w.soundLog(m.id)
	})
}

package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/parleyhq/parley/chat"
)

// deaf is a bus on which every notice is lost, unnoticed.
type deaf struct{ chat.Bus }

func (deaf) Publish(chat.Notice) {}

func (deaf) Subscribe(chat.BusHandler) (stop func()) { return func() {} }

// node is one of two services over one store, used by a cast of its own: a group of ann, who is
// its admin, bob, who has two one-time prekeys, and cid; and a 1:1 of ann and bob.
type node struct {
	*chat.Service
	*cast
	ctx context.Context
}

type cast struct {
	ann, bob, cid, eve chat.Caller
	group, pair        chat.ThreadID
	said               []chat.MessageID // by ann in the group
	sends              int
}

func (n *node) meet(row int) (err error) {
	for name, c := range map[string]*chat.Caller{"ann": &n.ann, "bob": &n.bob, "cid": &n.cid, "eve": &n.eve} {
		c.User, c.Device, c.Scopes = chat.UserID(fmt.Sprint(name, row)), "phone", []chat.Scope{chat.ScopeRead, chat.ScopeWrite, chat.ScopeAdmin}
	}
	group, _, err := n.CreateThread(n.ctx, n.ann, chat.CreateThread{Type: chat.Group, Participants: []chat.UserID{n.bob.User, n.cid.User}})
	pair, _, err2 := n.CreateThread(n.ctx, n.ann, chat.CreateThread{Type: chat.OneToOne, Participants: []chat.UserID{n.bob.User}})
	n.group, n.pair = group.ID, pair.ID
	for range 4 {
		said, sendErr := n.send(n.ann, n.group)
		n.said, err = append(n.said, said.ID), errors.Join(err, sendErr)
	}
	keys := chat.PrekeyUpload{Identity: []byte("identity"), Signed: chat.SignedPrekey{Prekey: chat.Prekey{ID: 1, Public: []byte("signed")}, Signature: []byte("by bob")}}
	for id := range uint32(2) {
		keys.OneTime = append(keys.OneTime, chat.Prekey{ID: id, Public: []byte{byte(id)}})
	}
	_, err3 := n.UploadPrekeys(n.ctx, n.bob, keys)
	return errors.Join(err, err2, err3)
}

func (n *node) send(c chat.Caller, thread chat.ThreadID, changes ...func(*chat.SendRequest)) (chat.Event, error) {
	n.sends++
	req := chat.SendRequest{Thread: thread, IdempotencyKey: fmt.Sprint("key-", n.sends), ClientSeq: int64(n.sends), Ciphertext: []byte("text")}
	for _, change := range changes {
		change(&req)
	}
	res, err := n.Send(n.ctx, c, req)
	return res.Event, err
}

func (n *node) bobSends() error {
	_, err := n.send(n.bob, n.group)
	return err
}

func (n *node) bobReacts() error {
	n.sends++
	_, err := n.React(n.ctx, n.bob, n.said[0], fmt.Sprint("+", n.sends))
	return err
}

func (n *node) bobSetsTitle() error {
	n.sends++
	_, err := n.SetTitle(n.ctx, n.bob, n.group, fmt.Sprint("title ", n.sends))
	return err
}

func (n *node) bobPins(message int) error {
	_, _, err := n.Pin(n.ctx, n.bob, n.group, n.said[message])
	return err
}

func (n *node) add(by, user chat.Caller) error {
	_, _, err := n.AddParticipant(n.ctx, by, n.group, user.User)
	return err
}

func (n *node) removeBob() error { return n.RemoveParticipant(n.ctx, n.ann, n.group, n.bob.User) }

func (n *node) removeCid() error { return n.RemoveParticipant(n.ctx, n.ann, n.group, n.cid.User) }

func (n *node) setRole(of chat.Caller, role chat.Role) error {
	_, err := n.SetRole(n.ctx, n.ann, n.group, of.User, role)
	return err
}

func (n *node) bobBlocksAnn() error { return n.Block(n.ctx, n.bob, n.ann.User) }

func (n *node) accepts(c chat.Caller) error {
	_, err := n.SetOwnState(n.ctx, c, n.group, chat.StateChange{Accepted: new(true)})
	return err
}

// groupWithBob has ann make a group with bob.
func (n *node) groupWithBob() error {
	_, _, err := n.CreateThread(n.ctx, n.ann, chat.CreateThread{Type: chat.Group, Participants: []chat.UserID{n.bob.User}})
	return err
}

func (n *node) deleteSaid() error { return n.Delete(n.ctx, n.ann, n.said[0]) }

// annSendsPicture sends an attachment whose hash is of this cast alone.
func (n *node) annSendsPicture() error {
	_, err := n.send(n.ann, n.group, func(r *chat.SendRequest) {
		r.ContentType, r.AttachmentID, r.AttachmentSHA256 = chat.ImageRef, "file", n.hash()
	})
	return err
}

func (n *node) hash() string { return fmt.Sprintf("%064x", []byte(n.ann.User)) }

func (n *node) beginEpoch(by chat.Caller, thread chat.ThreadID) error {
	_, err := n.send(by, thread, func(r *chat.SendRequest) { r.ContentType, r.Epoch = chat.Control, 1 })
	return err
}

func (n *node) fetchKeysOfBob() error {
	_, err := n.FetchPrekeys(n.ctx, n.ann, n.bob.User)
	return err
}

// bobSendsWith sends a text with a key that is the same at both nodes.
func (n *node) bobSendsWith(text string) error {
	_, err := n.send(n.bob, n.group, func(r *chat.SendRequest) { r.IdempotencyKey, r.Ciphertext = "the-same", []byte(text) })
	return err
}

// showsTheOld is for a read that does not show the change.
const showsTheOld chat.Code = "shows_the_old"

func unless(shown bool, err error) error {
	if err == nil && !shown {
		return chat.Refuse(showsTheOld, "")
	}
	return err
}

// otherNodeRows are changes that one node makes. The other one, which has in its caches what was
// before, answers a call accordingly.
var otherNodeRows = []struct {
	name   string
	before chat.Code           // of the first call; "" is success
	first  func(n *node) error // at the other node, before the change; nil: the call
	change func(n *node) error
	call   func(n *node) error // at the other node, after the change
	after  chat.Code
}{
	{"one who was removed sends", "", nil, (*node).removeBob, (*node).bobSends, chat.CodeNotAParticipant},
	{"one who left sends", "", nil, func(n *node) error { return n.RemoveParticipant(n.ctx, n.bob, n.group, n.bob.User) }, (*node).bobSends, chat.CodeNotAParticipant},
	{"one who was removed reacts", "", nil, (*node).removeBob, (*node).bobReacts, chat.CodeNotAParticipant},
	{"one who was removed pins", "", nil, (*node).removeBob, func(n *node) error { return n.bobPins(0) }, chat.CodeNotAParticipant},
	{"one who was removed adds", "", (*node).bobSends, (*node).removeBob, func(n *node) error { return n.add(n.bob, n.eve) }, chat.CodeNotAParticipant},
	{"one who was removed has read", "", nil, (*node).removeBob, func(n *node) error { return n.MarkRead(n.ctx, n.bob, n.group, n.said[0]) }, chat.CodeNotAParticipant},
	{"one who was removed types", "", nil, (*node).removeBob, func(n *node) error { return n.Typing(n.ctx, n.bob, n.group) }, chat.CodeNotAParticipant},
	{"one who was removed signals", "", nil, (*node).removeBob, func(n *node) error {
		return n.Signal(n.ctx, n.bob, chat.Signal{Thread: n.group, Name: "ring"})
	}, chat.CodeNotAParticipant},
	{"one who was removed follows", "", nil, (*node).removeBob, func(n *node) error { return n.MayFollow(n.ctx, n.bob.User, n.group) }, chat.CodeNotAParticipant},
	{"one who was removed reads on", "", nil, (*node).removeBob, func(n *node) error {
		_, err := n.History(n.ctx, n.bob, n.group, chat.PageRequest{})
		return err
	}, chat.CodeNotAParticipant},
	{"one who was removed mutes", "", nil, (*node).removeBob, func(n *node) error {
		_, err := n.SetOwnState(n.ctx, n.bob, n.group, chat.StateChange{Pinned: new(true)})
		return err
	}, chat.CodeNotAParticipant},
	{"one who was removed asks for keys", "", nil, (*node).removeBob, func(n *node) error {
		_, err := n.FetchGroupPrekeys(n.ctx, n.bob, n.group, nil)
		return err
	}, chat.CodeNotAParticipant},
	{"one who was added sends", chat.CodeNotAParticipant, nil, func(n *node) error { return n.add(n.ann, n.eve) }, func(n *node) error {
		_, err := n.send(n.eve, n.group)
		return err
	}, ""},
	{"one who was removed is removed", "", (*node).bobSends, (*node).removeCid, (*node).removeCid, chat.CodeParticipantNotFound},
	{"one who became an admin sets the title", chat.CodeNotAnAdmin, nil, func(n *node) error { return n.setRole(n.bob, chat.Admin) }, (*node).bobSetsTitle, ""},
	{"one who is no admin any more sets the title", "", func(n *node) error {
		return errors.Join(n.setRole(n.bob, chat.Admin), n.bobSetsTitle())
	}, func(n *node) error { return n.setRole(n.bob, chat.Member) }, (*node).bobSetsTitle, chat.CodeNotAnAdmin},
	{"the last admin steps down", "", func(n *node) error { return n.setRole(n.bob, chat.Admin) }, func(n *node) error { return n.setRole(n.bob, chat.Member) }, func(n *node) error {
		return n.setRole(n.ann, chat.Member)
	}, chat.CodeLastAdmin},
	{"a group that was filled takes nobody", "", (*node).bobSends, func(n *node) error { return n.add(n.ann, n.eve) }, func(n *node) error {
		return n.add(n.bob, chat.Caller{User: "fay"})
	}, chat.CodeThreadFull},
	{"a member brings back one who left", "", (*node).bobSends, (*node).removeCid, func(n *node) error { return n.add(n.bob, n.cid) }, chat.CodeCannotAdd},
	{"one who blocks is put into a group", "", nil, (*node).bobBlocksAnn, (*node).groupWithBob, chat.CodeCannotAdd},
	{"one who blocks no more is put into a group", chat.CodeCannotAdd, func(n *node) error {
		return errors.Join(n.bobBlocksAnn(), n.groupWithBob())
	}, func(n *node) error { return n.Unblock(n.ctx, n.bob, n.ann.User) }, (*node).groupWithBob, ""},
	{"one who is blocked begins an epoch", "", func(n *node) error {
		_, err := n.send(n.ann, n.pair)
		return err
	}, (*node).bobBlocksAnn, func(n *node) error { return n.beginEpoch(n.ann, n.pair) }, chat.CodeBlocked},
	{"what one sends who is blocked is shown", "", nil, (*node).bobBlocksAnn, func(n *node) error {
		e, err := n.send(n.ann, n.pair)
		return unless(e.Message == nil || e.Message.HiddenFrom == "", err)
	}, showsTheOld},
	{"a deleted message is reacted to", "", nil, (*node).deleteSaid, (*node).bobReacts, chat.CodeMessageDeleted},
	{"a deleted message is pinned", "", (*node).bobReacts, (*node).deleteSaid, func(n *node) error { return n.bobPins(0) }, chat.CodeMessageDeleted},
	{"a deleted message is edited", "", nil, (*node).deleteSaid, func(n *node) error {
		_, err := n.Edit(n.ctx, n.ann, n.said[0], chat.EditRequest{Ciphertext: []byte("new")})
		return err
	}, chat.CodeMessageDeleted},
	{"a fourth message is pinned", "", (*node).bobReacts, func(n *node) error {
		return errors.Join(n.bobPins(0), n.bobPins(1), n.bobPins(2))
	}, func(n *node) error { return n.bobPins(3) }, chat.CodeTooManyPins},
	{"an attachment that was denied is sent", "", nil, func(n *node) error { return n.DenyAttachment(n.ctx, n.ann, n.hash()) }, (*node).annSendsPicture, chat.CodeAttachmentBlocked},
	{"an epoch that was taken is begun", "", (*node).bobSends, func(n *node) error { return n.beginEpoch(n.ann, n.group) }, func(n *node) error {
		return n.beginEpoch(n.bob, n.group)
	}, chat.CodeEpochConflict},
	{"a key is used for another message", "", (*node).bobSends, func(n *node) error { return n.bobSendsWith("one") }, func(n *node) error {
		return n.bobSendsWith("two")
	}, chat.CodeIdempotencyKeyReused},
	{"a thread was accepted", showsTheOld, nil, func(n *node) error { return n.accepts(n.cid) }, func(n *node) error {
		me, err := n.OwnState(n.ctx, n.cid, n.group)
		return unless(me.Accepted, err)
	}, ""},
	{"one who came back accepts by sending", "", func(n *node) error {
		return errors.Join(n.accepts(n.bob), n.bobSends())
	}, func(n *node) error {
		return errors.Join(n.removeBob(), n.add(n.ann, n.bob))
	}, func(n *node) error {
		err := n.bobSends()
		me, stateErr := n.OwnState(n.ctx, n.bob, n.group)
		return unless(me.Accepted, errors.Join(err, stateErr))
	}, ""},
	{"the presence of one who shares no thread any more", "", nil, (*node).removeCid, func(n *node) error {
		_, err := n.Presence(n.ctx, n.cid, n.ann.User)
		return err
	}, chat.CodeNoSharedThread},
	{"keys are asked for that were all given away", "", nil, (*node).fetchKeysOfBob, (*node).fetchKeysOfBob, chat.CodePrekeysExhausted},
}

// testOtherNode: nothing that a node keeps in memory makes it refuse, or admit, what another
// node's change has made right, or wrong. Both nodes lose every notice, and their clock stands
// still, so that what they keep is never too old.
func testOtherNode(t *testing.T, s Subject) {
	f := newFixture(t, s)
	second := f.store
	if s.Shared && s.Reopen != nil {
		second = s.Reopen(t, f.store)
	}
	open := func(store chat.Store) *chat.Service {
		svc := chat.New(chat.Config{Store: store, Bus: deaf{}, Now: f.clock.Now, Limits: chat.Limits{Participants: 4}})
		t.Cleanup(func() { svc.Close(context.Background()) })
		return svc
	}
	services := [2]*chat.Service{open(f.store), open(second)}
	for i, row := range otherNodeRows {
		t.Run(row.name, func(t *testing.T) {
			c := new(cast)
			one, two := &node{services[0], c, t.Context()}, &node{services[1], c, t.Context()}
			if err := two.meet(i); err != nil {
				t.Fatal(err)
			}
			first := row.first
			if first == nil {
				first = row.call
			}
			if err := first(two); codeOf(err) != row.before {
				t.Fatalf("before: %v, want %q", err, row.before)
			}
			if err := row.change(one); err != nil {
				t.Fatalf("the change: %v", err)
			}
			if err := row.call(two); codeOf(err) != row.after {
				t.Errorf("after: %v, want %q", err, row.after)
			}
		})
	}
}

func codeOf(err error) chat.Code {
	if err == nil {
		return ""
	}
	return chat.CodeOf(err)
}

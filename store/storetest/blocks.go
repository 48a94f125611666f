package storetest

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

var blockScenarios = []scenario{
	{"a block exists from PutBlock to DeleteBlock", testBlocks},
	{"a block is of one user against one other", testBlocksApart},
}

func (f *fixture) putBlock(user, blocked chat.UserID) chat.Block {
	f.tb.Helper()
	b := chat.Block{User: user, Blocked: blocked, At: f.clock.Now()}
	if err := f.store.PutBlock(f.tb.Context(), b); err != nil {
		f.tb.Fatalf("PutBlock: %v", err)
	}
	return b
}

func (f *fixture) deleteBlock(user, blocked chat.UserID) {
	f.tb.Helper()
	if err := f.store.DeleteBlock(f.tb.Context(), user, blocked); err != nil {
		f.tb.Fatalf("DeleteBlock: %v", err)
	}
}

// wantBlocks fails the test unless a user blocks exactly these, given in order of their ids.
func (f *fixture) wantBlocks(user chat.UserID, want ...chat.Block) {
	f.tb.Helper()
	got, err := f.store.Blocks(f.tb.Context(), user, "", 100)
	if err != nil {
		f.tb.Fatalf("Blocks: %v", err)
	}
	if got = sortedBlocks(got); !slices.Equal(got, want) {
		f.tb.Errorf("%s blocks %+v, want %+v", user, got, want)
	}
	for _, other := range []chat.UserID{"ann", "bob", "cid", "dan", "bo"} {
		has, err := f.store.HasBlocked(f.tb.Context(), user, other)
		blocks := slices.ContainsFunc(want, func(b chat.Block) bool { return b.Blocked == other })
		if err != nil || has != blocks {
			f.tb.Errorf("%s blocks %s: %v, %v; want %v", user, other, has, err, blocks)
		}
		who, err := f.store.WhoBlocks(f.tb.Context(), other, []chat.UserID{"nobody", user})
		if err != nil || (len(who) == 1 && who[0] == user) != blocks || len(who) > 1 {
			f.tb.Errorf("%v of nobody and %s block %s, %v", who, user, other, err)
		}
	}
}

func sortedBlocks(blocks []chat.Block) []chat.Block {
	for i := range blocks {
		blocks[i].At = canonicalTime(blocks[i].At)
	}
	slices.SortFunc(blocks, func(a, b chat.Block) int { return cmp.Compare(a.Blocked, b.Blocked) })
	return blocks
}

func testBlocks(_ *testing.T, f *fixture) {
	f.wantBlocks("ann")
	f.deleteBlock("ann", "bob")
	cid := f.putBlock("ann", "cid")
	f.clock.Advance(time.Second)
	bob := f.putBlock("ann", "bob")
	f.clock.Advance(time.Second)
	f.putBlock("ann", "cid") // keeps its time
	f.wantBlocks("ann", bob, cid)
	f.deleteBlock("ann", "cid")
	f.deleteBlock("ann", "cid")
	f.wantBlocks("ann", bob)
	f.wantBlocks("ann", bob)
	cid = f.putBlock("ann", "cid")
	f.wantBlocks("ann", bob, cid)
}

func testBlocksApart(_ *testing.T, f *fixture) {
	one, other := f.putBlock("ann", "bob"), f.putBlock("bob", "cid")
	f.wantBlocks("ann", one)
	f.wantBlocks("bob", other)
	f.wantBlocks("cid")
	f.wantBlocks("an")
	f.deleteBlock("bob", "ann")
	f.wantBlocks("ann", one)
}

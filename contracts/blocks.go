package contracts

import "github.com/parleyhq/parley/chat"

// Blocks is one page of the users whom the caller blocks, in order of their ids
// (docs/contract.md#blocks).
type Blocks struct {
	Blocks     []Block `json:"blocks"`
	NextCursor *string `json:"next_cursor"`
}

// Block is one user whom the caller blocks (docs/contract.md#blocks).
type Block struct {
	UserID    string `json:"user_id"`
	BlockedAt string `json:"blocked_at"`
}

// NewBlocks converts a page of a user's blocks.
func NewBlocks(p chat.BlockPage) Blocks {
	blocks := convertAll(p.Blocks, func(b chat.Block) Block {
		return Block{UserID: string(b.Blocked), BlockedAt: FormatTime(b.At)}
	})
	return Blocks{Blocks: blocks, NextCursor: optional(p.Next)}
}

package contracts

import "github.com/parleyhq/parley/chat"

// Blocks lists the users whom the caller blocks, the oldest block first
// (docs/contract.md#blocks).
type Blocks struct {
	Blocks []Block `json:"blocks"`
}

// Block is one user whom the caller blocks (docs/contract.md#blocks).
type Block struct {
	UserID    string `json:"user_id"`
	BlockedAt string `json:"blocked_at"`
}

// NewBlocks converts a user's blocks.
func NewBlocks(blocks []chat.Block) Blocks {
	return Blocks{convertAll(blocks, func(b chat.Block) Block {
		return Block{UserID: string(b.Blocked), BlockedAt: FormatTime(b.At)}
	})}
}

package chat

import "context"

// AcceptanceStore answers who has accepted which threads ([OwnState]). A joining or leaving that
// a crash left half done may not count yet.
type AcceptanceStore interface {
	// AcceptedBy lists those of the users who are in the thread and have accepted it. It takes
	// one read, where the store can ask for many at once.
	AcceptedBy(ctx context.Context, thread ThreadID, users []UserID) ([]UserID, error)
	// PeersWhoAccepted lists those of the peers, who are different, with whom the user shares a
	// thread that counts and that the peer has accepted. For a peer who has accepted their 1:1
	// it takes a few look-ups. The reads do not become more with the peers, where the store
	// can ask for many at once.
	PeersWhoAccepted(ctx context.Context, user UserID, peers []UserID, in SharedThreads) ([]UserID, error)
}

package wire

import "github.com/parleyhq/parley/chat"

// The fields of what a user keeps of a thread.
const (
	stateThread uint64 = 1 + iota
	stateAccepted
	stateMutedUntil
	stateArchived
	statePinned
	stateMarkedUnread
	stateLastClientSeq
	stateCustom // behind a byte, so that one of no bytes is not none
	stateRevision
)

func (w *writer) state(st *chat.ThreadState) {
	w.id(stateThread, st.Thread)
	w.bool(stateAccepted, st.Me.Accepted)
	w.time(stateMutedUntil, st.Me.MutedUntil)
	w.bool(stateArchived, st.Me.Archived)
	w.bool(statePinned, st.Me.Pinned)
	w.bool(stateMarkedUnread, st.Me.MarkedUnread)
	w.uint(stateRevision, st.Revision)
	if st.Me.LastClientSeq != nil {
		w.always(stateLastClientSeq, *st.Me.LastClientSeq)
	}
	if st.Me.Custom.Set {
		w.bytes(stateCustom, append([]byte{1}, st.Me.Custom.Bytes...))
	}
}

func (r *reader) state() *chat.ThreadState {
	st := new(chat.ThreadState)
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case stateThread:
			st.Thread = r.id(content)
		case stateAccepted:
			st.Me.Accepted = r.bool(content)
		case stateMutedUntil:
			st.Me.MutedUntil = r.time(content)
		case stateArchived:
			st.Me.Archived = r.bool(content)
		case statePinned:
			st.Me.Pinned = r.bool(content)
		case stateMarkedUnread:
			st.Me.MarkedUnread = r.bool(content)
		case stateRevision:
			st.Revision = r.uint(content)
		case stateLastClientSeq:
			st.Me.LastClientSeq = new(r.int(content))
		case stateCustom:
			if len(content) == 0 {
				r.fail(errParts)
				break
			}
			st.Me.Custom = chat.Custom{Set: true, Bytes: content[1:]}
		}
	}
	return st
}

package model

import "github.com/parleyhq/parley/chat"

// refuseOutsider is the refusal of a user who is not in the thread, "" for others.
func refuseOutsider(t *thread, u chat.UserID) chat.Code {
	switch {
	case t == nil:
		return chat.CodeThreadNotFound
	case t.member(u) == nil:
		return chat.CodeNotAParticipant
	}
	return ""
}

// refuseMessage is the refusal of a user who may not see a message, "" for others.
func refuseMessage(m *message, u chat.UserID) chat.Code {
	switch {
	case m == nil:
		return chat.CodeMessageNotFound
	case m.thread.member(u) == nil:
		return chat.CodeNotAParticipant
	case !m.thread.sees(u, m):
		return chat.CodeMessageNotFound
	}
	return ""
}

// refuseMessageIn is refuseMessage for a request that names the thread, too.
func refuseMessageIn(t *thread, m *message, u chat.UserID) chat.Code {
	if code := refuseOutsider(t, u); code != "" {
		return code
	}
	return refuseIf(m == nil || !t.sees(u, m), chat.CodeMessageNotFound)
}

// refuseChange is the refusal of a user who may not change who is in a thread.
func refuseChange(t *thread, u chat.UserID) chat.Code {
	if code := refuseOutsider(t, u); code != "" {
		return code
	}
	return refuseIf(t.kind != chat.Group, chat.CodeNotAGroup)
}

// refuseAdministration is the refusal of a user who may not do what admins do.
func refuseAdministration(t *thread, u chat.UserID) chat.Code {
	if code := refuseChange(t, u); code != "" {
		return code
	}
	return refuseIf(t.member(u).role != chat.Admin, chat.CodeNotAnAdmin)
}

// firstRefusal is the first of some refusals that is one.
func firstRefusal(codes ...chat.Code) chat.Code {
	for _, c := range codes {
		if c != "" {
			return c
		}
	}
	return ""
}

// refuseIf is a refusal if a condition holds.
func refuseIf(is bool, code chat.Code) chat.Code {
	if is {
		return code
	}
	return ""
}

package wire

import "github.com/parleyhq/parley/chat"

// The fields of what a user sees of a message otherwise.
const (
	veilUser    uint64 = 1 + iota
	veilContent        // its fields
	veilHidden         // one for each emoji
	veilKept           // one for each reaction
)

const (
	contentCiphertext uint64 = 1 + iota
	contentType
	contentEditedAt
)

const (
	keptEmoji uint64 = 1 + iota
	keptBy
)

func (w *writer) veil(v chat.Veil) {
	str(w, veilUser, v.User)
	if c := v.Content; c != nil {
		w.nest(veilContent, func() {
			w.bytes(contentCiphertext, c.Ciphertext)
			str(w, contentType, c.ContentType)
			w.time(contentEditedAt, c.EditedAt)
		})
	}
	for _, emoji := range v.Hidden {
		w.item(veilHidden, emoji)
	}
	for _, k := range v.Kept {
		w.nest(veilKept, func() {
			str(w, keptEmoji, k.Emoji)
			w.nest(keptBy, func() { w.reactedBy(k.By) })
		})
	}
}

func (r *reader) veil() (v chat.Veil) {
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case veilUser:
			v.User = text[chat.UserID](r, content)
		case veilContent:
			r.within(content, func(in *reader) { v.Content = in.veilContent() })
		case veilHidden:
			v.Hidden = add(r, field, v.Hidden, text[string](r, content))
		case veilKept:
			r.within(content, func(in *reader) { v.Kept = add(r, field, v.Kept, in.kept()) })
		}
	}
	return v
}

func (r *reader) veilContent() *chat.Content {
	c := new(chat.Content)
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case contentCiphertext:
			c.Ciphertext = []byte(content)
		case contentType:
			c.ContentType = text[chat.ContentType](r, content)
		case contentEditedAt:
			c.EditedAt = r.time(content)
		}
	}
	return c
}

func (r *reader) kept() (k chat.VeiledReaction) {
	for field, content, ok := r.next(); ok; field, content, ok = r.next() {
		switch field {
		case keptEmoji:
			k.Emoji = text[string](r, content)
		case keptBy:
			r.within(content, func(in *reader) { k.By = in.reactedBy() })
		}
	}
	return k
}

package pebble

import (
	"encoding/binary"

	"github.com/parleyhq/parley/chat"
)

func appendChange(b []byte, c *chat.ThreadChange) []byte {
	b = appendStr(appendStr(b, c.Event), c.Type)
	b = appendStr(appendStr(appendStr(b, c.User), c.Role), c.Title)
	b = binary.AppendUvarint(b, uint64(len(c.Members)))
	for _, m := range c.Members {
		b = appendStr(appendStr(b, m.User), m.Role)
	}
	return append(appendStr(b, c.IdempotencyKey), c.BodyHash[:]...)
}

func (d *decoder) change() *chat.ThreadChange {
	c := &chat.ThreadChange{
		Event: chat.ChangeEvent(d.str()), Type: chat.ThreadType(d.str()),
		User: chat.UserID(d.str()), Role: chat.Role(d.str()), Title: d.str(),
	}
	n := d.count()
	if n > 0 {
		c.Members = make([]chat.InitialMember, 0, n)
	}
	for range n {
		c.Members = append(c.Members, chat.InitialMember{User: chat.UserID(d.str()), Role: chat.Role(d.str())})
	}
	c.IdempotencyKey = d.str()
	copy(c.BodyHash[:], d.take(uint64(len(c.BodyHash))))
	return c
}

package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// repeatsHandler is a slog.Handler that logs a warning or error with the same text at most
// once a second, in the whole process: while the store fails, every request has the same to
// say. The next line with that text says how many were left out. Of the access log every line
// is logged, since each tells of another request.
type repeatsHandler struct {
	slog.Handler
	repeats *repeats
}

// repeats are the warnings and errors of late, by their text.
type repeats struct {
	mu   sync.Mutex
	last map[string]*repeat
}

type repeat struct {
	passed time.Time
	count  int // left out since
}

// repeatEvery is the least time between two lines with the same text.
const repeatEvery = time.Second

// maxRepeats bounds the texts that are remembered. They are constants of the code, so there are few.
const maxRepeats = 1024

func newRepeatsHandler(h slog.Handler) slog.Handler {
	return repeatsHandler{h, &repeats{last: make(map[string]*repeat)}}
}

// Handle implements slog.Handler.
func (h repeatsHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn || r.Message == "request" {
		return h.Handler.Handle(ctx, r)
	}
	passes, left := h.repeats.pass(r.Message, r.Time)
	if !passes {
		return nil
	}
	if left > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("left_out", left))
	}
	return h.Handler.Handle(ctx, r)
}

func (p *repeats) pass(text string, now time.Time) (passes bool, left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.last[text]
	if e == nil {
		if len(p.last) >= maxRepeats {
			clear(p.last)
		}
		p.last[text] = &repeat{passed: now}
		return true, 0
	}
	if since := now.Sub(e.passed); since >= 0 && since < repeatEvery {
		e.count++
		return false, 0
	}
	left, e.passed, e.count = e.count, now, 0
	return true, left
}

// WithAttrs implements slog.Handler.
func (h repeatsHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return repeatsHandler{h.Handler.WithAttrs(attrs), h.repeats}
}

// WithGroup implements slog.Handler.
func (h repeatsHandler) WithGroup(name string) slog.Handler {
	return repeatsHandler{h.Handler.WithGroup(name), h.repeats}
}

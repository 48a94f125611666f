package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/parleyhq/parley/contracts"
)

// errStoreChanged ends a connection on which it is not clear which frames are of which store.
var errStoreChanged = errors.New("the server has another store")

// receive handles one frame. store is the server's store that the frame's connection has named; ""
// if it has named none yet. Whoever calls it acknowledges the frame if it returns nil.
func (c *Client) receive(ctx context.Context, f Frame, store string) error {
	c.log.Lock()
	defer c.log.Unlock()
	if f.StoreID != "" {
		if err := c.sameStore(ctx, f.StoreID); err != nil && (f.Type != contracts.FrameHello || !errors.Is(err, errStoreChanged)) {
			return err // hello comes before everything else: what follows it is of the new store
		}
	} else if store != "" && store != c.storeID {
		return errStoreChanged // it waited while a call found another store
	}
	if f.IsEvent() {
		return c.handle(ctx, f)
	}
	if c.options.OnFrame != nil {
		c.options.OnFrame(ctx, f)
	}
	return nil
}

// knownStore is the store that the positions are of. It waits for no event to be taken.
func (c *Client) knownStore() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.storeID
}

// sameStore compares the store that the server names with the one that the positions are of. It
// returns errStoreChanged after it has begun anew with another. The caller has the log.
func (c *Client) sameStore(ctx context.Context, id string) error {
	if id == "" || id == c.storeID {
		return nil
	}
	first := c.storeID == ""
	if !first && c.options.OnStoreChanged != nil {
		if err := c.options.OnStoreChanged(ctx, id); err != nil {
			return err
		}
	}
	if err := c.store.Reset(ctx, id); err != nil {
		return fmt.Errorf("begin with another store: %w", err)
	}
	c.mu.Lock()
	c.storeID = id
	c.mu.Unlock()
	clear(c.positions)
	clear(c.ahead)
	if first {
		return nil
	}
	return errStoreChanged
}

// handle gives an event to the owner, unless it has it, after all that is before it in its thread.
// The caller has the log.
func (c *Client) handle(ctx context.Context, f Frame) error {
	position, known := c.positions[f.ThreadID]
	if !known && !c.options.FromStart {
		return c.deliver(ctx, f)
	}
	if f.Seq <= position {
		return nil
	}
	if f.Seq > position+1 {
		if err := c.repair(ctx, f.ThreadID); err != nil {
			return err
		}
		if f.Seq <= c.positions[f.ThreadID] {
			return nil
		}
	}
	return c.deliver(ctx, f)
}

// repair reads on in the log from the thread's position to its end. A seq that a page skips is
// hidden from this user, and so no gap (docs/contract.md#receiving). The caller has the log.
func (c *Client) repair(ctx context.Context, thread string) error {
	for since := c.positions[thread]; ; {
		page, err := c.API.Events(ctx, thread, since)
		var problem *ProblemError
		if errors.As(err, &problem) && problem.Code != "" && (problem.Status == http.StatusForbidden || problem.Status == http.StatusNotFound) {
			return nil // the user is out of it: what is to be told comes in frames
		}
		if err != nil {
			return fmt.Errorf("read what is missing of a thread: %w", err)
		}
		if err := c.sameStore(ctx, page.StoreID); err != nil {
			return err
		}
		for _, event := range page.Events {
			if event.Seq <= c.positions[thread] {
				continue
			}
			if err := c.deliver(ctx, event); err != nil {
				return err
			}
		}
		if page.NextSinceSeq == nil || *page.NextSinceSeq <= since {
			return nil
		}
		since = *page.NextSinceSeq // a page of hidden events moves no position
	}
}

// deliver gives an event to the owner and moves the thread's position behind it. The caller has
// the log.
func (c *Client) deliver(ctx context.Context, f Frame) error {
	if c.options.OnEvent != nil && !c.ahead[f.ThreadID][f.Seq] {
		if err := c.options.OnEvent(ctx, f); err != nil {
			return fmt.Errorf("event %d of thread %s was not taken: %w", f.Seq, f.ThreadID, err)
		}
	}
	if err := c.store.SavePosition(ctx, f.ThreadID, f.Seq); err != nil {
		return fmt.Errorf("keep the position: %w", err)
	}
	c.positions[f.ThreadID] = f.Seq
	for seq := range c.ahead[f.ThreadID] {
		if seq <= f.Seq {
			delete(c.ahead[f.ThreadID], seq)
		}
	}
	if len(c.ahead[f.ThreadID]) == 0 {
		delete(c.ahead, f.ThreadID)
	}
	return nil
}

// handleOwn gives a message of this device to the owner when the server has it, since the server
// sends no frame of it to the device that sent it. store is the server's store that was known when
// the message was sent. If the client has found another one since then, that one does not have the
// message.
func (c *Client) handleOwn(ctx context.Context, m contracts.Message, store string) error {
	f, err := frameOf(m)
	if err != nil {
		return err
	}
	c.log.Lock()
	defer c.log.Unlock()
	if store != "" && store != c.storeID {
		return errStoreChanged
	}
	if _, known := c.positions[f.ThreadID]; known || c.options.FromStart {
		return c.handle(ctx, f)
	}
	// It does not tell where the thread begins for this device: events before it may be on their way.
	if c.ahead[f.ThreadID][f.Seq] {
		return nil
	}
	if c.options.OnEvent != nil {
		if err := c.options.OnEvent(ctx, f); err != nil {
			return err
		}
	}
	if ahead := c.ahead[f.ThreadID]; ahead == nil || len(ahead) >= aheadLimit {
		c.ahead[f.ThreadID] = make(map[uint64]bool)
	}
	c.ahead[f.ThreadID][f.Seq] = true
	return nil
}

// aheadLimit bounds what is remembered of one's own messages in a thread of which nothing comes.
const aheadLimit = 1024

// readUnknown reads the threads of which nothing was taken yet.
func (c *Client) readUnknown(ctx context.Context) error {
	threads, err := c.API.AllThreads(ctx, "")
	if err != nil {
		return fmt.Errorf("list the threads: %w", err)
	}
	c.log.Lock()
	defer c.log.Unlock()
	for _, thread := range threads {
		if _, known := c.positions[thread.ID]; known {
			continue
		}
		if err := c.repair(ctx, thread.ID); err != nil {
			return err
		}
	}
	return nil
}

// Sync has OnEvent given what a thread has that did not come yet: changes that this device made
// with API are not told to it. It returns at once; while there is no connection it is done after
// the next one.
func (c *Client) Sync(thread string) {
	c.mu.Lock()
	c.stale[thread] = true
	c.mu.Unlock()
	c.wakeSync()
}

func (c *Client) wakeSync() {
	select {
	case c.sync <- struct{}{}:
	default:
	}
}

// syncStale does what Sync was asked for, on one connection. One that fails ends the connection:
// it is done after the next.
func (c *Client) syncStale(ctx context.Context, end context.CancelCauseFunc) {
	for {
		select {
		case <-c.sync:
		case <-ctx.Done():
			return
		}
		for c.State() == Online {
			thread, found := c.oneStale()
			if !found {
				break
			}
			if err := c.syncOne(ctx, thread); err != nil {
				c.mu.Lock()
				c.stale[thread] = true
				c.mu.Unlock()
				end(err)
				return
			}
		}
	}
}

func (c *Client) oneStale() (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for thread := range c.stale {
		delete(c.stale, thread)
		return thread, true
	}
	return "", false
}

func (c *Client) syncOne(ctx context.Context, thread string) error {
	c.log.Lock()
	defer c.log.Unlock()
	if _, known := c.positions[thread]; !known && !c.options.FromStart {
		return nil // it begins with the first event that comes of it
	}
	return c.repair(ctx, thread)
}

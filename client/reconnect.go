package client

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/parleyhq/parley/contracts"
)

// Run connects, and stays connected until ctx ends; then it returns the cause. It returns before
// that with ErrTakenOver, ErrRemoved or ErrRefused, after which another try would not help by
// itself, or if the store cannot be read. When it returns, all its goroutines have ended. What
// is in the outbox then is sent by the next Run.
func (c *Client) Run(ctx context.Context) error {
	if err := c.load(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	if c.running {
		c.mu.Unlock()
		return errors.New("the client runs already")
	}
	c.running = true
	c.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	c.outbox.start(ctx)
	defer func() {
		cancel()
		c.outbox.wait()
		c.mu.Lock()
		c.running = false
		c.mu.Unlock()
		c.become(Stopped)
	}()
	if c.options.SendOnly {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	for failures := 0; ; failures++ {
		c.become(Connecting)
		online, err := c.connection(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c.failed(err)
		if online {
			failures = 0
		}
		end := endOf(err)
		wait := backoff(failures, time.Second, time.Minute)
		switch end.Ending {
		case EndRemoved:
			c.API.tokens.forget(ctx) // it is refused from now on, and Run may be called again
			return err
		case EndTakenOver, EndRefused:
			return err
		case EndRestart:
			wait = rand.N(3 * time.Second)
		case EndToken, EndLost:
		}
		c.mu.Lock()
		early := c.early
		c.mu.Unlock()
		c.become(Waiting) // who is told may call Hurry
		if err := pause(ctx, wait, early); err != nil {
			return err
		}
	}
}

// connection runs one connection to its end. It reports whether the client was online by it.
func (c *Client) connection(ctx context.Context) (online bool, err error) {
	token, err := c.API.tokens.get(ctx)
	if err != nil {
		return false, err
	}
	link, err := c.options.Transport.Connect(ctx, Target{
		URL: c.options.URL, Token: token, UserID: c.options.UserID, DeviceID: c.options.DeviceID, TLS: c.options.TLS,
	})
	if err != nil {
		if endOf(err).Ending == EndToken {
			if _, renewal := c.API.tokens.renewed(ctx, token); renewal != nil {
				err = errors.Join(err, renewal)
			}
		}
		return false, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	expiring := make(chan struct{}, 1)
	wg.Go(func() { c.renew(ctx, link, token, expiring) })
	wg.Go(func() { c.syncStale(ctx, cancel) })
	left := make(chan struct{})
	wg.Go(func() { closeAfter(ctx, link, left) })
	c.become(CatchingUp)
	c.setLink(link)
	defer func() {
		c.setLink(nil)
		close(left)
		cancel(nil)
		wg.Wait()
	}()
	var store string // that the frames of the connection are of
	for {
		delivery, err := link.Receive(ctx)
		if err == nil {
			err = c.receive(ctx, delivery.Frame, store)
			store = cmp.Or(delivery.Frame.StoreID, store)
		} else if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		if err != nil {
			return online, err
		}
		switch delivery.Frame.Type {
		case contracts.FrameCaughtUp:
			online = true
			if err := c.caughtUp(ctx); err != nil {
				return online, err
			}
		case contracts.FrameExpiring:
			select {
			case expiring <- struct{}{}:
			default:
			}
		}
		if err := delivery.Ack(); err != nil {
			return online, err
		}
	}
}

// closeAfter closes the connection after ctx has ended: when left is closed, or after lastAck if an
// acknowledgement is still waiting for the network then.
func closeAfter(ctx context.Context, link Link, left <-chan struct{}) {
	<-ctx.Done()
	_ = pause(context.WithoutCancel(ctx), lastAck, left) // its context does not end
	link.Close()
}

// lastAck is how long the acknowledgement of the last frame may take.
const lastAck = time.Second

func (c *Client) caughtUp(ctx context.Context) error {
	if c.options.FromStart {
		if err := c.readUnknown(ctx); err != nil {
			return err
		}
	}
	c.become(Online)
	c.outbox.hurry()
	c.wakeSync()
	return nil
}

// renew gives the connection a new token before the one that it has ends. A connection that does
// not take it ends with the old one, and the next begins with the new one.
func (c *Client) renew(ctx context.Context, link Link, current string, expiring <-chan struct{}) {
	least := time.Duration(0)
	for failures := 0; ; {
		present, wait, err := c.API.tokens.untilRenewal(ctx)
		switch {
		case err != nil:
			return
		case failures > 0:
			wait = backoff(failures, time.Second, 30*time.Second)
		case present != current: // a call has renewed it
			wait = 0
		default:
			wait = max(wait, least)
		}
		if pause(ctx, max(wait, 0), expiring) != nil {
			return
		}
		token, err := c.API.tokens.renewed(ctx, current)
		switch {
		case err != nil && ctx.Err() != nil:
			return
		case err == nil && token == current:
			failures++ // its provider has no other
			continue
		case err == nil:
			current, least = token, freshFor
			err = link.Authenticate(ctx, token)
		}
		if failures = 0; err != nil {
			failures = 1
			c.failed(err)
		}
	}
}

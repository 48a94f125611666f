package chat

import (
	"context"
	"slices"
)

// GroupPrekeys are the keys with which a caller begins an encrypted conversation with many
// people of a thread at once.
type GroupPrekeys struct {
	Bundles     []PrekeyBundle
	Unavailable []UserID // those of whom nothing can be given now; no key of theirs was taken
	Remaining   []UserID // those for whom there was no room in the answer; no key of theirs was taken
}

// MaxGroupPrekeyBytes bounds the bundles of one answer, as they are sent
// (docs/contract.md#prekeys).
const MaxGroupPrekeyBytes = 4 << 20

// usersAtOnce is for how many users keys are taken before it is looked at whether there is
// room for more.
const usersAtOnce = 64

// FetchGroupPrekeys gives the caller what it needs to write to the devices of the given
// participants of a thread, or of all, its own other devices too. One that is not in the thread
// is unavailable. It is limited by caller and thread and, as FetchPrekeys, by caller and target:
// a target beyond that is unavailable.
func (s *Service) FetchGroupPrekeys(ctx context.Context, c Caller, id ThreadID, users []UserID) (GroupPrekeys, error) {
	if err := c.need(ScopeWrite); err != nil {
		return GroupPrekeys{}, err
	}
	var given GroupPrekeys
	err := s.writing(c, costWrite, func() (wrote bool, err error) {
		t, _, err := s.threadFor(ctx, c.User, id)
		if err != nil {
			return false, err
		}
		if err := s.groupFetches.spend(ctx, string(c.User)+"/"+id.String(), s.now()); err != nil {
			return false, err
		}
		g := groupFetch{svc: s, caller: c}
		err = g.fetch(ctx, t, users)
		given = g.given
		return true, err
	})
	return given, err
}

// groupFetch is one call of FetchGroupPrekeys.
type groupFetch struct {
	svc    *Service
	caller Caller
	given  GroupPrekeys
	bytes  int // of the bundles so far
}

// fetch finds who is asked about and takes the keys. users is nil for all.
func (g *groupFetch) fetch(ctx context.Context, t Thread, users []UserID) error {
	all := users == nil
	if all {
		users = t.Users()
	}
	var in []UserID
	seen := make(map[UserID]bool, len(users))
	for _, u := range users {
		if seen[u] {
			continue
		}
		seen[u] = true
		if _, there := t.Participant(u); there {
			in = append(in, u)
		} else {
			g.given.Unavailable = append(g.given.Unavailable, u)
		}
	}
	devices, err := g.svc.store.PrekeyDevices(ctx, in)
	if err != nil {
		return Unavailable("look up the prekeys", err)
	}
	devices = slices.DeleteFunc(devices, func(d PrekeyDevice) bool { return d.User == g.caller.User && d.Device == g.caller.Device })
	var targets []target
	for _, u := range in {
		n := 0
		for n < len(devices) && devices[n].User == u {
			n++
		}
		switch {
		case n > 0:
			targets = append(targets, target{u, devices[:n:n]})
		case u != g.caller.User || !all: // who has no other device needs no keys of it
			g.given.Unavailable = append(g.given.Unavailable, u)
		}
		devices = devices[n:]
	}
	return g.take(ctx, targets)
}

// target is a user of whom keys are to be taken, of those devices.
type target struct {
	user    UserID
	devices []PrekeyDevice
}

// take takes the keys of as many targets as there is room for. It goes on as long as the
// largest that the next one can be has room, in steps, since how large keys are is known once
// they are taken.
func (g *groupFetch) take(ctx context.Context, targets []target) error {
	for len(targets) > 0 {
		n, most := 0, g.bytes
		for n < min(len(targets), usersAtOnce) {
			if most += targets[n].mostBytes(); most > MaxGroupPrekeyBytes {
				break
			}
			n++
		}
		if n == 0 {
			break
		}
		if err := g.takeOf(ctx, targets[:n]); err != nil {
			return err
		}
		targets = targets[n:]
	}
	for _, rest := range targets {
		g.given.Remaining = append(g.given.Remaining, rest.user)
	}
	return nil
}

// takeOf takes the keys of those targets who are not over the limit.
func (g *groupFetch) takeOf(ctx context.Context, targets []target) error {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = string(g.caller.User) + "/" + string(t.user)
	}
	allowed, err := g.svc.prekeyFetchesOf.spendEach(ctx, names, g.svc.now())
	if err != nil {
		return err
	}
	var devices []PrekeyDevice
	for i, t := range targets {
		if allowed[i] {
			devices = append(devices, t.devices...)
		}
	}
	taken, failed := g.svc.takePrekeys(ctx, devices)
	for i, t := range targets {
		if !allowed[i] {
			g.given.Unavailable = append(g.given.Unavailable, t.user)
			continue
		}
		bundle := PrekeyBundle{User: t.user}
		for j, d := range t.devices {
			bundle.add(d.Device, taken[j])
		}
		taken = taken[len(t.devices):]
		if len(bundle.Devices) == 0 {
			g.given.Unavailable = append(g.given.Unavailable, t.user)
			continue
		}
		g.given.Bundles = append(g.given.Bundles, bundle)
		g.bytes += bundle.sentBytes()
	}
	if len(g.given.Bundles) == 0 { // else the keys taken must be given
		return failed
	}
	return nil
}

// How many bytes things have in an answer, but for the keys: names of members and ids, at most.
const (
	sentPerUser   = 64 + MaxNameChars
	sentPerDevice = 128 + MaxNameChars
	sentPerKey    = 96
)

// sentBytes is how long a key is in base64, with what goes with it.
func (k SignedPrekey) sentBytes() int { return sentPerKey + sentLen(k.Public) + sentLen(k.Signature) }

func sentLen(b []byte) int { return (len(b) + 2) / 3 * 4 }

// sentBytes is how long a bundle is at most when it is sent.
func (b PrekeyBundle) sentBytes() int {
	n := sentPerUser + len(b.Unavailable)*sentPerUser
	for _, d := range b.Devices {
		n += sentPerDevice + sentLen(d.Identity) + d.Signed.sentBytes()
		if d.OneTime != nil {
			n += SignedPrekey{Prekey: *d.OneTime}.sentBytes()
		}
		for _, k := range []*SignedPrekey{d.LastResort, d.PQOneTime, d.PQLastResort} {
			if k != nil {
				n += k.sentBytes()
			}
		}
	}
	return n
}

// mostBytes is how long the bundle of the target can be, whatever keys are taken.
func (t target) mostBytes() int {
	const mostKey = (MaxPrekeyBytes + 2) / 3 * 4
	n := sentPerUser
	for _, d := range t.devices {
		n += sentPerDevice + sentLen(d.Identity) + d.Signed.sentBytes() + sentPerKey + 2*mostKey
		if d.Gives(PQPrekeys) {
			n += sentPerKey + 2*mostKey
		}
	}
	return n
}

package chat_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parleyhq/parley/chat"
)

// connect has a device connect, as a session does.
func (w *world) connect(user chat.UserID, device chat.DeviceID) {
	w.tb.Helper()
	admitted, err := w.store.AdmitDevice(w.tb.Context(), user, device)
	must(w.tb, err)
	if admitted.New {
		must(w.tb, w.ForgetOverflow(w.tb.Context(), user))
	}
}

func (w *world) devices(user chat.UserID) string {
	w.tb.Helper()
	devices, err := w.Devices(w.tb.Context(), as(user))
	must(w.tb, err)
	var all []string
	for _, d := range devices {
		one := string(d.Device)
		if d.Keys != nil {
			one += fmt.Sprintf(" with %s and %d keys", d.Keys.Identity, d.Keys.Left[chat.PlainPrekeys])
		}
		all = append(all, one)
	}
	return strings.Join(all, ", ")
}

// news drains what was heard, and describes what was told of devices.
func (w *world) news() (told []string) {
	for _, n := range w.heard.drain() {
		if d := n.Devices; d != nil {
			told = append(told, fmt.Sprintf("%s/%s %s to %v", d.User, d.Device, d.Change, n.Audience))
		}
	}
	return told
}

func TestDevicesAreListedRemovedAndTold(t *testing.T) {
	w := newWorld(t)
	w.newGroup("bob", "alice", "carol")
	w.block("bob", "carol")
	w.heard.drain()
	w.connect("bob", "web")
	w.upload(on("bob", "phone"), upload(1, 3))
	sameList(t, "told", w.news(), "bob/phone added to [alice bob]")
	same(t, "devices", w.devices("bob"), "phone with identity and 3 keys, web")
	w.upload(on("bob", "phone"), upload(4, 1))
	sameList(t, "told of an upload of the same installation", w.news())
	next := upload(1, 1)
	next.Identity = []byte("another")
	at := w.clock.advance(time.Minute)
	w.upload(on("bob", "phone"), next)
	sameList(t, "told", w.news(), "bob/phone identity_changed to [alice bob]")

	listed, err := w.DevicesOf(t.Context(), as("alice"), "bob")
	must(t, err)
	same(t, "listed to others", len(listed), 1)
	same(t, "identity", string(listed[0].Identity), "another")
	same(t, "since", listed[0].IdentityAt, at)
	_, err = w.DevicesOf(t.Context(), as("dave"), "bob")
	refused(t, err, chat.CodeNoSharedThread)
	_, err = w.DevicesOf(t.Context(), as("bob"), "alice")
	refused(t, err, chat.CodeNoPrekeys)

	refused(t, w.RemoveDevice(t.Context(), as("bob"), "never"), chat.CodeDeviceNotFound)
	refused(t, w.RemoveDevice(t.Context(), as("alice"), "phone"), chat.CodeDeviceNotFound)
	refused(t, w.RemoveDevice(t.Context(), with("bob", chat.ScopeRead), "phone"), chat.CodeMissingScope)
	must(t, w.RemoveDevice(t.Context(), as("bob"), "web"))
	sameList(t, "told of one without keys", w.news())
	removed := w.clock.advance(time.Minute)
	must(t, w.RemoveDevice(t.Context(), as("bob"), "phone"))
	heard := w.heard.drain()
	same(t, "notices", len(heard), 2)
	same(t, "to end", fmt.Sprint(heard[0].Audience, heard[0].Removed.Device, heard[0].Removed.At.Equal(removed)), "[bob]phonetrue")
	same(t, "change", heard[1].Devices.Change, chat.DeviceRemoved)
	same(t, "devices", w.devices("bob"), "")

	for issued, code := range map[time.Time]chat.Code{
		{}: chat.CodeDeviceRemoved, removed.Add(-time.Second): chat.CodeDeviceRemoved, removed: "", removed.Add(time.Second): "",
	} {
		if err := w.CheckDevice(t.Context(), "bob", "phone", issued); (err != nil) != (code != "") || err != nil && chat.CodeOf(err) != code {
			t.Errorf("a token of %v, with a removal at %v: %v, want %q", issued, removed, err, code)
		}
	}
	must(t, w.CheckDevice(t.Context(), "bob", "tablet", time.Time{}))
	must(t, w.CheckDevice(t.Context(), "alice", "phone", time.Time{}))
}

func TestDeviceNewsAreLimited(t *testing.T) {
	w := newWorld(t)
	w.newGroup("bob", "alice")
	w.heard.drain()
	told := 0
	for i := range 8 {
		u := upload(1, 1)
		u.Identity = fmt.Appendf(nil, "identity %d", i)
		w.upload(on("bob", "phone"), u)
		told += len(w.news())
	}
	same(t, "told in a minute", told, 6)
	w.clock.advance(time.Minute)
	u := upload(1, 1)
	w.upload(on("bob", "phone"), u)
	same(t, "told a minute later", len(w.news()), 1)
}

func TestOtherPeoplesDevicesAreListed60TimesAMinute(t *testing.T) {
	w := newWorldOf(t, setup{limits: chat.Limits{PrekeyFetches: 60, PrekeyFetchesOf: 6}})
	w.newGroup("bob", "alice")
	w.upload(on("bob", "phone"), upload(1, 1))
	for range 60 {
		_, err := w.DevicesOf(t.Context(), as("alice"), "bob")
		must(t, err)
	}
	_, err := w.DevicesOf(t.Context(), as("alice"), "bob")
	refused(t, err, chat.CodeRateLimited)
	w.clock.advance(time.Minute)
	_, err = w.DevicesOf(t.Context(), as("alice"), "bob")
	must(t, err)
}

// Of the devices without keys 64 are kept: those that were unseen for longest are forgotten, and
// none that has keys.
func TestDevicesBeyondTheBoundAreForgotten(t *testing.T) {
	w := newWorld(t)
	w.upload(on("bob", "keyed"), upload(1, 1))
	for i := range chat.MaxKeylessDevices + 2 {
		w.clock.advance(time.Second)
		w.connect("bob", chat.DeviceID(fmt.Sprintf("d-%d", i)))
		if i == 3 {
			w.connect("bob", "d-0") // seen again
		}
	}
	devices, err := w.Devices(t.Context(), as("bob"))
	must(t, err)
	same(t, "devices", len(devices), chat.MaxKeylessDevices+1)
	left := make(map[chat.DeviceID]bool)
	for _, d := range devices {
		left[d.Device] = true
	}
	same(t, "left are", fmt.Sprint(left["keyed"], left["d-0"], left["d-1"], left["d-2"], left["d-3"], left["d-65"]), "true true false false true true")
	must(t, w.CheckDevice(t.Context(), "bob", "d-1", time.Time{})) // forgotten is not removed
}

func TestParticipantsSayWhenTheirDevicesChanged(t *testing.T) {
	w := newWorld(t)
	g := w.newGroup("bob", "alice")
	at := w.clock.advance(time.Minute)
	w.upload(on("alice", "phone"), upload(1, 1))
	v, err := w.Thread(t.Context(), as("bob"), g)
	must(t, err)
	for _, p := range v.Views {
		want := time.Time{}
		if p.User == "alice" {
			want = at
		}
		same(t, string(p.User), p.DevicesAt, want)
	}
}

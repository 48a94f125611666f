package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/parleyhq/parley/test/cluster"
	"github.com/parleyhq/parley/test/mongod"
)

// election is the longest that a replica set takes for one, in seconds, with its defaults.
const election = 12

// While another primary is elected calls are refused, and told to come again within the time
// that this takes at most. When there is one everything works again by itself. First the old
// primary says that it is none any more; then nobody listens at its address.
func TestElectionOfAPrimary(t *testing.T) {
	t.Parallel()
	needsMongo(t)
	uri := mongod.Start(t).URI()
	host, _, _ := strings.Cut(strings.TrimPrefix(uri, "mongodb://"), "/")
	mongo := cluster.NewMongo(t, host)
	s := startServerOn(t, mongo.URI(uri))
	people, watchers, group := crowd(t, s)
	lines := map[*device]*client{}
	for i, p := range oneOfEach {
		lines[watchers[i]] = p.live(t, watchers[i], options{})
	}
	tr := startTraffic(t, group, people)
	for range 2 {
		tr.more(10)
		mongo.StepDown()
		checkOutage(t, s, tr, people[0], len(people))
		mongo.Refuse()
		checkOutage(t, s, tr, people[0], len(people))
		mongo.Elect()
		eventually(t, "/readyz says 200 again", func() bool { return s.status("/readyz") == http.StatusOK })
	}
	tr.more(10)
	checkNothingLost(t, group, tr.end(), lines)
	if tr.longest > election {
		t.Errorf("a refused send was told to come again after %d s", tr.longest)
	}
}

// Package mongod runs a MongoDB-compatible server for tests. It is a process
// of its own, built from the module in the folder server, so that what it
// depends on never meets the product's dependencies.
//
// With PARLEY_TEST_MONGO_URI set, tests run on the server of that URI instead,
// but for those that kill or stop their server: they are skipped.
package mongod

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// External is the environment variable that names a server to test on.
const External = "PARLEY_TEST_MONGO_URI"

// TB is what this package needs of *testing.T, *testing.B and *rapid.T.
type TB interface {
	Helper()
	Cleanup(func())
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// Server is a running server.
type Server struct {
	uri  string   // without a database
	proc *process // nil for an external server
}

// shared is the server of all tests of this process that do not harm it.
var shared struct {
	sync.Mutex
	server *Server
}

// Shared gives the server that the tests of this process share. It is started at
// the first call and ended by Main.
func Shared(tb TB) *Server {
	tb.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		s, err := open()
		if err != nil {
			tb.Fatalf("a server for tests: %v", err)
		}
		shared.server = s
	}
	return shared.server
}

// Start starts a server of the test's own, which it may kill. It ends with the test.
func Start(tb TB) *Server {
	tb.Helper()
	if os.Getenv(External) != "" {
		tb.Skipf("this test kills its server, and that of %s is not ours to kill", External)
	}
	s, err := open()
	if err != nil {
		tb.Fatalf("a server for tests: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.close(); err != nil {
			tb.Logf("ending the server: %v", err)
		}
	})
	return s
}

func open() (*Server, error) {
	if external := os.Getenv(External); external != "" {
		return &Server{uri: external}, nil
	}
	proc, err := startProcess()
	if err != nil {
		return nil, err
	}
	// FerretDB knows no retryable writes, and a monitor that polls holds no
	// connection open.
	uri := With("mongodb://"+proc.Addr, "directConnection=true", "retryWrites=false", "serverMonitoringMode=poll")
	return &Server{uri: uri, proc: proc}, nil
}

func (s *Server) close() error {
	if s.proc == nil {
		return nil
	}
	return s.proc.remove()
}

// databases counts the databases of this process.
var databases atomic.Int64

// URI names a database that nobody has used. On an external server the caller
// drops it.
func (s *Server) URI() string {
	before, query := cutQuery(s.uri)
	scheme, rest, _ := strings.Cut(before, "://")
	hosts, _, _ := strings.Cut(rest, "/")
	name := fmt.Sprintf("parley_test_%d_%d_%d", os.Getpid(), time.Now().UnixMilli(), databases.Add(1))
	return scheme + "://" + hosts + "/" + name + query
}

// With adds options to a connection string, each as name=value.
func With(uri string, opts ...string) string {
	before, query := cutQuery(uri)
	if _, rest, _ := strings.Cut(before, "://"); !strings.Contains(rest, "/") {
		before += "/"
	}
	for _, o := range opts {
		if query == "" {
			query = "?" + o
		} else {
			query += "&" + o
		}
	}
	return before + query
}

// cutQuery splits off the options, with their question mark.
func cutQuery(uri string) (before, query string) {
	if i := strings.IndexByte(uri, '?'); i >= 0 {
		return uri[:i], uri[i:]
	}
	return uri, ""
}

// IsExternal reports whether the server is one of the environment.
func (s *Server) IsExternal() bool { return s.proc == nil }

// Database is the name in a URI of [Server.URI].
func Database(uri string) string {
	before, _ := cutQuery(uri)
	return before[strings.LastIndexByte(before, '/')+1:]
}

// Kill ends the server as a crash of it would. What it had acknowledged is still
// there after [Server.Restart].
func (s *Server) Kill(tb TB) {
	tb.Helper()
	if err := s.own(tb).Kill(); err != nil {
		tb.Fatalf("kill the server: %v", err)
	}
}

// Restart starts a killed server again, at the same address.
func (s *Server) Restart(tb TB) {
	tb.Helper()
	if err := s.own(tb).Restart(); err != nil {
		tb.Fatalf("restart the server: %v", err)
	}
}

// Pause makes the server answer nobody until Resume: connections stay open, new
// ones are accepted by the system, and nothing comes back.
func (s *Server) Pause(tb TB) {
	tb.Helper()
	if err := s.own(tb).Pause(); err != nil {
		tb.Fatalf("pause the server: %v", err)
	}
}

// Resume ends Pause.
func (s *Server) Resume(tb TB) {
	tb.Helper()
	if err := s.own(tb).Resume(); err != nil {
		tb.Fatalf("resume the server: %v", err)
	}
}

func (s *Server) own(tb TB) *process {
	tb.Helper()
	if s.proc == nil {
		tb.Skipf("the server of %s is not ours to stop", External)
	}
	return s.proc
}

// M is a *testing.M.
type M interface{ Run() int }

// Main is an M whose Run ends the shared server after the tests of m.
func Main(m M) M { return main{m} }

type main struct{ M }

func (m main) Run() int {
	code := m.M.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		if err := shared.server.close(); err != nil {
			fmt.Fprintln(os.Stderr, "ending the test server:", err)
			code = max(code, 1)
		}
		shared.server = nil
	}
	return code
}

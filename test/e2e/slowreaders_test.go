package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// One user asks for large pages on 80 connections and reads no answer. What the server holds
// for that user is bounded, others are served meanwhile, and each page comes once it is read.
func TestSlowReadersOfPages(t *testing.T) {
	const (
		readers = 80
		size    = 64 << 10
		// growth is how much the heap may grow. 80 pages of 1 MiB of ciphertext are 117 MB.
		growth = 40 << 20
	)
	s := startWeighedServer(t)
	ann, slow := s.device(t, "ann", "a"), s.device(t, "slow", "s")
	ann.bulk = true
	group := writeBacklog(t, ann, slow.user, 1, 20, size)[0]

	heap := newGauge(t, s, "go_memstats_heap_inuse_bytes")
	resident := newGauge(t, s, "process_resident_memory_bytes")
	conns := make([]net.Conn, readers)
	for i := range conns {
		conns[i] = dialSmall(t, s.http)
		_, err := fmt.Fprintf(conns[i], "GET /v1/threads/%s/messages?page_size=100 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", group, slow.token)
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		if th := ann.thread(t, group); th.ID != group {
			t.Fatalf("another user is told of thread %s, want %s", th.ID, group)
		}
		heap.look(t)
		resident.look(t)
	}
	for i, conn := range conns {
		_ = conn.SetDeadline(time.Now().Add(patience))
		if n := readPage(t, conn); n != pageOf(size) {
			t.Errorf("page %d has %d messages, want %d", i, n, pageOf(size))
		}
		heap.look(t)
		resident.look(t)
	}
	t.Logf("%d slow readers of pages of 1 MiB: heap %v; resident %v", readers, heap, resident)
	if heap.growth() > growth {
		t.Errorf("the heap grew by %.0f MB, want at most %d", heap.growth()/(1<<20), growth>>20)
	}
}

// pageOf is how many messages of a size a page has, which is cut at 1 MiB of ciphertext.
func pageOf(size int) int { return 1 << 20 / size }

// readPage reads the answer to a request for messages, and counts them.
func readPage(t *testing.T, conn io.Reader) int {
	t.Helper()
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var page struct {
		Messages []message `json:"messages"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&page); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("a page was answered %d (%v)", answer.StatusCode, err)
	}
	return len(page.Messages)
}

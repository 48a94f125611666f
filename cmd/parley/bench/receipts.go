package bench

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// receipts has every user of a group read every message, and counts the read frames that
// all the others must get. A server may send only the newest of several read marks, so
// only the last one must not be missing.
func (r *run) receipts(ctx context.Context) error {
	n := r.o.Receivers
	r.streams = make([]stream, 1)
	room := &readingRoom{r: r, numbers: make(map[string]uint32), calls: make([][readTimes]atomic.Int64, n)}
	people, err := r.addDevices(n, 1)
	if err != nil {
		return err
	}
	if room.thread, err = r.target.group(people, r.devices[0].token); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var readers sync.WaitGroup
	for i, d := range r.devices {
		rd := room.reader(i, d)
		readers.Go(func() {
			if err := rd.run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	err = r.receiptsLoad(ctx, people[0], room)
	cancel(nil)
	readers.Wait()
	if err != nil {
		return err
	}
	r.closeDevices() // until then the devices' goroutines own what the readers have seen
	r.report.LostReceipts = room.lost()
	return room.check(people[0])
}

func (r *run) receiptsLoad(ctx context.Context, author string, room *readingRoom) error {
	if err := r.openAll(ctx, everything); err != nil {
		return err
	}
	s, err := r.newSender(ctx, ViaREST, author, "out")
	if err != nil {
		return err
	}
	l := &lane{r: r, sender: s, thread: room.thread, stream: 0, jobs: r.jobsFor(1)}
	// For each message every device gets the message itself and a read frame of each reader
	// but the author. A reader's own device gets it too, since the REST call was made as
	// another device.
	n := len(r.devices)
	return r.load(ctx, []*lane{l}, n+(n-1)*n)
}

// readTimes is for how many messages, the last ones, the times of reading are kept.
const readTimes = 256

// readingRoom holds what the readers of one thread share.
type readingRoom struct {
	r      *run
	thread string

	mu      sync.RWMutex
	numbers map[string]uint32 // the number of a message in its stream, by message id

	calls   [][readTimes]atomic.Int64 // by user and number of the message: when the user's read call began
	readers []*reader
}

// reader is one user who reads. Its device's goroutine owns seen.
type reader struct {
	room  *readingRoom
	index int
	d     *device
	queue chan toRead
	seen  []uint32 // by user: how many messages that user has read, by the read frames so far
}

// toRead is a message that has come and is to be read.
type toRead struct {
	id     string
	number uint32
	at     time.Time
}

// readBehind is how many messages a reader may be behind with its calls.
const readBehind = 1 << 16

func (room *readingRoom) reader(i int, d *device) *reader {
	rd := &reader{room: room, index: i, d: d, queue: make(chan toRead, readBehind), seen: make([]uint32, len(room.calls))}
	room.readers = append(room.readers, rd)
	d.onMessage, d.onReceipt = rd.message, rd.receipt
	return rd
}

// message runs in the device's goroutine.
func (rd *reader) message(h head, frame []byte) {
	id := string(member(frame, idName))
	rd.room.mu.Lock()
	rd.room.numbers[id] = h.number
	rd.room.mu.Unlock()
	if rd.index > 0 { // the author has nothing to read
		rd.queue <- toRead{id, h.number, rd.d.conn.ReadAt()}
	}
}

// receipt runs in the device's goroutine.
func (rd *reader) receipt(frame []byte) {
	by := member(frame, byName)
	prefix := len(rd.room.r.id) + len("-u")
	who := 0
	if len(by) > prefix {
		who, _ = strconv.Atoi(string(by[prefix:])) // the users of a run are numbered
	}
	rd.room.mu.RLock()
	number, ours := rd.room.numbers[string(member(frame, upToName))]
	rd.room.mu.RUnlock()
	switch {
	case !ours || who < 1 || who >= len(rd.seen):
		rd.room.r.counts.strange.Add(1)
	case number+1 == rd.seen[who]:
		rd.d.batch.duplicates++
	case number+1 < rd.seen[who]:
		rd.d.batch.late++
	default:
		rd.seen[who] = number + 1
		rd.d.batch.receipts++
		if at := rd.room.calls[who][number%readTimes].Load(); at >= rd.room.r.measuredFrom() {
			rd.d.batch.receiptLatencies = append(rd.d.batch.receiptLatencies, rd.room.r.since(rd.d.conn.ReadAt())-at)
		}
	}
}

// run calls read for each message, until ctx ends.
func (rd *reader) run(ctx context.Context) error {
	r := rd.room.r
	path := "/v1/threads/" + rd.room.thread + "/read"
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-rd.queue:
			rd.room.calls[rd.index][m.number%readTimes].Store(r.since(time.Now()))
			if err := r.target.call(http.MethodPost, path, rd.d.token, map[string]string{"up_to_msg_id": m.id}, nil); err != nil {
				return err
			}
			r.timing.record(timeRead, int64(time.Since(m.at)))
		}
	}
}

// lost counts the pairs of users of whom one was not told that the other has read the last
// message.
func (room *readingRoom) lost() (lost uint64) {
	sent := room.r.streams[0].sent.Load()
	for i, rd := range room.readers {
		for who, seen := range rd.seen {
			if who > 0 && who != i && seen < sent {
				lost++
			}
		}
	}
	return lost
}

// check asks the server for the receipts of the last message. Each reader that is missing
// there counts as a lost receipt.
func (room *readingRoom) check(author string) error {
	sent := room.r.streams[0].sent.Load()
	for id, number := range room.numbers {
		if number+1 != sent {
			continue
		}
		var states struct{ Summary struct{ Read uint64 } }
		token, err := room.r.target.token(author)
		if err == nil {
			err = room.r.target.call(http.MethodGet, "/v1/messages/"+id+"/receipts", token, nil, &states)
		}
		if err != nil {
			return err
		}
		room.r.report.LostReceipts += uint64(len(room.readers)-1) - states.Summary.Read
	}
	return nil
}

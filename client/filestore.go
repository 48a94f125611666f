package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// FileStore keeps everything in one file: a line of JSON for each change, which is written anew
// with what still holds when it has grown. Only one process may have it open.
type FileStore struct {
	mu     sync.Mutex
	path   string
	file   *os.File
	memory *MemoryStore
	lines  int   // in the file
	size   int64 // of the file, up to the end of its last line
	due    int   // the number of lines with which the file is written anew
	broken bool  // what the file holds on the disk is not known: it is written anew before the next change
}

// change is one line.
type change struct {
	Thread string    `json:"thread,omitempty"` // with Seq: a position
	Seq    uint64    `json:"seq,omitempty"`
	Put    *Outgoing `json:"put,omitempty"`
	Drop   uint64    `json:"drop,omitempty"`
	Reset  *string   `json:"reset,omitempty"`
}

// rewriteLines is how many lines the file may have besides those that hold.
const rewriteLines = 10_000

// OpenFileStore opens the file, which is made if it is absent. A last line that was cut off, as
// by a loss of power, is dropped.
func OpenFileStore(path string) (*FileStore, error) {
	s := &FileStore{path: path, memory: NewMemoryStore()}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	for lines := bufio.NewReader(bytes.NewReader(text)); ; s.lines++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		var c change
		if err := json.Unmarshal(line, &c); err != nil {
			return nil, fmt.Errorf("open the store: line %d of %s: %w", s.lines+1, path, err)
		}
		s.apply(c)
	}
	if err := s.rewrite(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *FileStore) apply(c change) {
	ctx := context.Background() // memory waits for nothing
	switch {
	case c.Reset != nil:
		_ = s.memory.Reset(ctx, *c.Reset) // memory fails at nothing
	case c.Put != nil:
		_ = s.memory.PutOutgoing(ctx, *c.Put)
	case c.Drop != 0:
		_ = s.memory.DropOutgoing(ctx, c.Drop)
	default:
		_ = s.memory.SavePosition(ctx, c.Thread, c.Seq)
	}
}

// rewrite makes a new file of what holds, and puts it in the place of the other.
func (s *FileStore) rewrite() error {
	state, _ := s.memory.Load(context.Background()) // memory fails at nothing
	changes := []change{{Reset: &state.StoreID}}
	for thread, seq := range state.Positions {
		changes = append(changes, change{Thread: thread, Seq: seq})
	}
	for _, item := range state.Outgoing {
		changes = append(changes, change{Put: &item})
	}
	var text bytes.Buffer
	for encoder := json.NewEncoder(&text); len(changes) > 0; changes = changes[1:] {
		if err := encoder.Encode(changes[0]); err != nil {
			return fmt.Errorf("write the store: %w", err)
		}
	}
	next := s.path + ".new"
	file, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("write the store: %w", err)
	}
	_, err = file.Write(text.Bytes())
	if err = errors.Join(err, file.Sync()); err == nil {
		err = os.Rename(next, s.path)
	}
	if err != nil {
		file.Close()
		os.Remove(next) // the disk may be full
		return fmt.Errorf("write the store: %w", err)
	}
	if s.file != nil {
		s.file.Close()
	}
	s.file, s.lines, s.size = file, bytes.Count(text.Bytes(), []byte("\n")), int64(text.Len())
	s.due = s.lines + rewriteLines
	if err := syncFolder(filepath.Dir(s.path)); err != nil {
		s.broken = true
		return fmt.Errorf("write the store: %w", err)
	}
	s.broken = false
	return nil
}

// syncFolder makes a rename survive a loss of power.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

func (s *FileStore) write(c change, sync bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return fs.ErrClosed
	}
	line, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("write the store: %w", err)
	}
	if s.broken {
		if err := s.rewrite(); err != nil {
			return err
		}
	}
	line = append(line, '\n')
	if err := s.append(line, sync); err != nil {
		return fmt.Errorf("write the store: %w", err)
	}
	s.apply(c)
	s.lines++
	s.size += int64(len(line))
	if s.lines >= s.due {
		// The change is kept, whether the file gets smaller or not: else it is tried again later.
		s.due = s.lines + rewriteLines
		_ = s.rewrite()
	}
	return nil
}

// append writes a line, or leaves the file as it was: another line behind a part of one would
// make it unreadable.
func (s *FileStore) append(line []byte, sync bool) error {
	_, err := s.file.Write(line)
	if err == nil && sync {
		if err = s.file.Sync(); err != nil {
			s.broken = true // lines before it may not be on the disk either
		}
	}
	if err == nil {
		return nil
	}
	cut := s.file.Truncate(s.size)
	if cut != nil {
		s.broken = true
	}
	return errors.Join(err, cut)
}

// Load implements Store.
func (s *FileStore) Load(ctx context.Context) (State, error) { return s.memory.Load(ctx) }

// SavePosition implements Store.
func (s *FileStore) SavePosition(_ context.Context, thread string, seq uint64) error {
	return s.write(change{Thread: thread, Seq: seq}, false)
}

// PutOutgoing implements Store.
func (s *FileStore) PutOutgoing(_ context.Context, item Outgoing) error {
	return s.write(change{Put: &item}, true)
}

// DropOutgoing implements Store. After a loss of power the message may be there again; its key
// has the server recognise it.
func (s *FileStore) DropOutgoing(_ context.Context, n uint64) error {
	return s.write(change{Drop: n}, false)
}

// Reset implements Store.
func (s *FileStore) Reset(_ context.Context, storeID string) error {
	return s.write(change{Reset: &storeID}, true)
}

// Close ends it. What it has kept is in the file.
func (s *FileStore) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	err := errors.Join(s.file.Sync(), s.file.Close())
	s.file = nil
	return err
}

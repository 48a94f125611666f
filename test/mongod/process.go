package mongod

import (
	"errors"
	"os"

	"github.com/parleyhq/parley/test/program"
)

// process is a server process on a directory and a port of its own, which stay
// the same when it is killed and started again.
type process struct {
	*program.Process

	dir string
}

func startProcess() (*process, error) {
	binary, err := build()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "parley-mongod-")
	if err != nil {
		return nil, err
	}
	p, err := program.Start(binary, "-dir", dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &process{p, dir}, nil
}

func (p *process) remove() error {
	return errors.Join(p.Kill(), os.RemoveAll(p.dir))
}

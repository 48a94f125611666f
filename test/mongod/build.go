package mongod

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/parleyhq/parley/test/program"
)

// Build builds the server and gives the path of its binary. The binary goes to a place
// that stays, where go build finds it up to date the next time. Processes that build at
// once, as the tests of several packages do, take turns: all but the first find it built.
//
// FerretDB is built with changes: as it is, every query reads its whole collection,
// and nothing of some length can be tested.
func Build() (binary string, err error) {
	source, err := program.Beside("server")
	if err != nil {
		return "", err
	}
	cache, unlock, err := program.Cache("parley-mongod")
	if err != nil {
		return "", err
	}
	defer unlock()
	changed, err := changeFerretDB(source, cache)
	if err != nil {
		return "", fmt.Errorf("change FerretDB: %w", err)
	}
	binary = filepath.Join(changed, "server")
	_, err = goTool(source, "build", "-modfile", filepath.Join(changed, modfile), "-o", binary, ".")
	return binary, err
}

// build is [Build], once for each test process.
var build = sync.OnceValues(Build)

const ferretDB = "github.com/FerretDB/FerretDB"

// changes are what is different in our FerretDB: its SQLite backend indexes values and
// not their JSON, and looks documents up by narrow instead of reading them all. It does
// not note where each object was made, nor print each query for a log that is off.
var changes = []struct{ file, from, to string }{
	{
		"internal/backends/sqlite/metadata/metadata.go",
		`IDColumn = DefaultColumn + "->'$._id'"`,
		`IDColumn = DefaultColumn + "->>\"_id\""`,
	},
	{
		"internal/backends/sqlite/metadata/registry.go",
		`fmt.Sprintf("%s->%s", DefaultColumn,`,
		`fmt.Sprintf("%s->>%s", DefaultColumn,`,
	},
	{
		"internal/backends/sqlite/collection.go",
		"`UPDATE %q SET %s = ? WHERE %s = ?`",
		"`UPDATE %q SET %s = ? WHERE %s = ?->>'$'`",
	},
	{
		"internal/backends/sqlite/collection.go",
		"placeholders[i] = \"?\"\n\t\t\targs[i] = string(",
		"placeholders[i] = \"?->>'$'\"\n\t\t\targs[i] = string(",
	},
	{
		"internal/backends/sqlite/collection.go",
		`	if params.Filter.Len() == 1 {
		v, _ := params.Filter.Get("_id")
		switch v.(type) {
		case string, types.ObjectID:
			whereClause = fmt.Sprintf(` + "` WHERE %s = ?`" + `, metadata.IDColumn)
			args = []any{string(must.NotFail(sjson.MarshalSingleValue(v)))}
		}
	}

	q += whereClause
`,
		`	whereClause, args = narrow(params)
	q += whereClause
`,
	},
	{
		"internal/backends/collection.go",
		"type QueryParams struct {\n",
		`type QueryParams struct {
	// Of the documents that Filter matches, only the First in that Order are wanted.
	Order *types.Document
	First int64

`,
	},
	{
		"internal/util/resource/resource.go",
		"func Track(obj any, token *Token) {\n",
		"func Track(obj any, token *Token) {\n\tif true {\n\t\treturn\n\t}\n",
	},
	{
		"internal/util/resource/resource.go",
		"func Untrack(obj any, token *Token) {\n",
		"func Untrack(obj any, token *Token) {\n\tif true {\n\t\treturn\n\t}\n",
	},
	{
		"internal/handler/msg_find.go",
		`	h.L.DebugContext(ctx, fmt.Sprintf("Converted %+v for %+v to %+v.", params, cInfo, qp))

`,
		"",
	},
	{
		"internal/handler/msg_find.go",
		"\treturn qp, nil\n",
		`	if qp.Limit == 0 && params.Skip == 0 && params.Filter.Len() == qp.Filter.Len() {
		qp.Order, qp.First = params.Sort, params.Limit
	}
	return qp, nil
`,
	},
}

// modfile is the server's go.mod in the copy; it has that used.
const modfile = "server.mod"

// changeFerretDB puts a changed copy of FerretDB into a directory that is named after
// all that it and the server are made of, unless it is there already.
func changeFerretDB(source, into string) (place string, err error) {
	narrow, err := os.ReadFile(filepath.Join(source, "testdata", "sqlite", "narrow.go"))
	if err != nil {
		return "", err
	}
	original, err := download(source)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s%q", original, changes)
	if err := errors.Join(hashDir(sum, source), hashDir(sum, filepath.Join(source, "testdata", "sqlite"))); err != nil {
		return "", err
	}
	place = filepath.Join(into, fmt.Sprintf("ferretdb-%.8x", sum.Sum(nil)))
	if _, err := os.Stat(filepath.Join(place, modfile)); err == nil {
		return place, nil
	}
	draft, err := os.MkdirTemp(into, "draft-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(draft)
	err = os.CopyFS(draft, os.DirFS(original))
	if err == nil {
		err = os.WriteFile(filepath.Join(draft, "internal", "backends", "sqlite", "narrow.go"), narrow, 0o600)
	}
	if err == nil {
		err = applyChanges(draft)
	}
	if err == nil {
		err = useCopy(source, draft, place)
	}
	if err != nil {
		return "", err
	}
	return place, os.Rename(draft, place)
}

// hashDir adds the names and contents of a directory's files.
func hashDir(sum io.Writer, dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.IsDir() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%q%q", f.Name(), content)
	}
	return nil
}

// download gives the directory of FerretDB in the module cache.
func download(source string) (string, error) {
	answer, err := goTool(source, "mod", "download", "-json", ferretDB)
	if err != nil {
		return "", err
	}
	var module struct{ Dir string }
	err = json.Unmarshal([]byte(answer), &module)
	return module.Dir, err
}

// applyChanges makes the changes in a copy of FerretDB.
func applyChanges(dir string) error {
	for _, c := range changes {
		name := filepath.Join(dir, filepath.FromSlash(c.file))
		before, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		after := strings.Replace(string(before), c.from, c.to, 1)
		if after == string(before) {
			return fmt.Errorf("%s has no %q", c.file, c.from)
		}
		if err := os.WriteFile(name, []byte(after), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// useCopy writes the server's go.mod and go.sum into the copy, which will be at place,
// with a replacement by that.
func useCopy(source, draft, place string) error {
	for from, to := range map[string]string{"go.mod": modfile, "go.sum": "server.sum"} {
		content, err := os.ReadFile(filepath.Join(source, from))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(draft, to), content, 0o600); err != nil {
			return err
		}
	}
	_, err := goTool(draft, "mod", "edit", "-replace", ferretDB+"="+place, modfile)
	return err
}

// goTool runs the go command in a directory.
func goTool(dir string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("go %s: %w\n%s", args[0], err, problems.String())
	}
	return string(out), err
}

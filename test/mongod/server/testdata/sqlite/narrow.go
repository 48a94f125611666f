package sqlite

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/FerretDB/FerretDB/internal/backends"
	"github.com/FerretDB/FerretDB/internal/backends/sqlite/metadata"
	"github.com/FerretDB/FerretDB/internal/types"
)

// narrow makes the end of a SELECT that leaves out documents which a query does not
// ask for, so that SQLite finds the others by an index. FerretDB itself reads every
// document of a collection; it filters, sorts and cuts what it has read here as there,
// so whatever is not understood here is left to that.
//
// It goes by what the store asks for: fields at the top that hold no arrays and are
// always of one type.
func narrow(params *backends.QueryParams) (clause string, args []any) {
	var n narrowing
	all := n.filter(params.Filter)
	if len(n.terms) > 0 {
		clause = " WHERE " + strings.Join(n.terms, " AND ")
	}
	if params.First > 0 && all && !slices.ContainsFunc(params.Order.Keys(), func(key string) bool { return !isPlain(key) || n.unordered[field(key)] }) {
		clause += orderBy(params.Order) + " LIMIT ?"
		n.args = append(n.args, params.First)
	}
	return clause, n.args
}

// field is the expression of a field in queries and indexes.
func field(key string) string { return fmt.Sprintf("%s->>%q", metadata.DefaultColumn, key) }

// isPlain tells operators, and paths into fields, from fields.
func isPlain(key string) bool { return key != "" && !strings.ContainsAny(key, `$."`) }

// orderBy makes the clause of that name.
func orderBy(order *types.Document) string {
	var terms []string
	for _, key := range order.Keys() {
		direction, _ := order.Get(key)
		term := field(key)
		if slices.Contains([]any{int32(-1), int64(-1), float64(-1)}, direction) {
			term += " DESC"
		}
		terms = append(terms, term)
	}
	if len(terms) == 0 {
		return ""
	}
	return " ORDER BY " + strings.Join(terms, ", ")
}

// narrowing is what a WHERE clause is made of.
type narrowing struct {
	terms     []string
	args      []any
	unordered map[string]bool // fields of binaries, which are text here, and do not sort as that
}

// filter adds the terms of a filter; it reports whether they are all of it.
func (n *narrowing) filter(filter *types.Document) (all bool) {
	all = true
	for _, key := range filter.Keys() {
		v, _ := filter.Get(key)
		operators, ok := v.(*types.Document)
		switch {
		case !isPlain(key):
			all = false
		case !ok:
			all = n.compare(field(key), "$eq", v) && all
		default:
			for _, operator := range operators.Keys() {
				v, _ := operators.Get(operator)
				all = n.compare(field(key), operator, v) && all
			}
		}
	}
	return all
}

var comparisons = map[string]string{"$eq": "=", "$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}

// compare adds a term, if it knows the operator and the type.
func (n *narrowing) compare(field, operator string, v any) bool {
	if operator == "$in" {
		return n.in(field, v)
	}
	comparison, known := comparisons[operator]
	arg, ok := stored(v)
	if _, binary := v.(types.Binary); binary && operator != "$eq" { // which is text here, and sorts as that
		return false
	}
	if !known || !ok {
		return false
	}
	n.terms = append(n.terms, field+" "+comparison+" ?")
	n.args = append(n.args, arg)
	return true
}

func (n *narrowing) in(field string, v any) bool {
	choice, ok := v.(*types.Array)
	if !ok {
		return false
	}
	var args []any
	for i := range choice.Len() {
		v, err := choice.Get(i)
		arg, ok := stored(v)
		if err != nil || !ok {
			return false
		}
		if _, binary := v.(types.Binary); binary {
			if n.unordered == nil {
				n.unordered = make(map[string]bool)
			}
			n.unordered[field] = true
		}
		args = append(args, arg)
	}
	n.terms = append(n.terms, field+" IN ("+strings.TrimSuffix(strings.Repeat("?,", len(args)), ",")+")")
	n.args = append(n.args, args...)
	return true
}

// stored is a value as SQLite takes it out of a document.
func stored(v any) (any, bool) {
	switch v := v.(type) {
	case string, int32, int64:
		return v, true
	case time.Time:
		return v.UnixMilli(), true
	case types.Binary:
		return base64.StdEncoding.EncodeToString(v.B), true
	}
	return nil, false
}

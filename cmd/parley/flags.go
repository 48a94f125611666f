package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/peterbourgon/ff/v3"
	"go.yaml.in/yaml/v3"
)

// envPrefix is what the names of environment variables begin with.
const envPrefix = "PARLEY"

func newFlagSet(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // the error says it all in one line
	return fs
}

// parse reads flags, then the environment, then the file of --config. Its error names the
// flag, and shows the value with what is wrong with it.
func parse(fs *flag.FlagSet, args []string, output io.Writer, options ...ff.Option) error {
	return parseArgs(fs, args, output, "", options...)
}

// parseArgs is parse for a command with one argument behind its flags, of that name; "" is
// none.
func parseArgs(fs *flag.FlagSet, args []string, output io.Writer, argument string, options ...ff.Option) error {
	most := 0
	if argument != "" {
		most = 1
	}
	fs.String("config", "", "YAML `file` of settings, whose keys are the names of flags")
	var bad *valueError
	plain := make(map[string]flag.Value)
	fs.VisitAll(func(f *flag.Flag) {
		plain[f.Name] = f.Value
		f.Value = &watchedValue{f.Value, f.Name, &bad}
	})
	err := ff.Parse(fs, args, append(options, ff.WithEnvVarPrefix(envPrefix),
		ff.WithConfigFileFlag("config"), ff.WithConfigFileParser(yamlParser(plain)))...)
	fs.VisitAll(func(f *flag.Flag) { f.Value = plain[f.Name] }) // whose types the usage shows
	if errors.Is(err, flag.ErrHelp) {
		fs.SetOutput(output)
		fs.Usage()
		return err
	}
	switch {
	case bad != nil:
		err = bad.from(err)
	case err == nil && fs.NArg() > most:
		err = fmt.Errorf("unexpected argument %q", fs.Arg(most))
	case err == nil && (fs.NArg() < most || most > 0 && fs.Arg(0) == ""):
		err = fmt.Errorf("%s is missing", argument)
	}
	if err != nil {
		return fmt.Errorf("%w (see %s --help)", err, fs.Name())
	}
	return nil
}

// watchedValue is the value of a flag that notes why it could not be set: package flag tells
// no more than "parse error", and not always the value.
type watchedValue struct {
	flag.Value
	name string
	bad  **valueError
}

// Set implements flag.Value.
func (w *watchedValue) Set(s string) error {
	err := w.Value.Set(s)
	if err != nil && *w.bad == nil {
		*w.bad = &valueError{name: w.name, value: s, wrong: whatIsWrong(w.Value, err)}
	}
	return err
}

// IsBoolFlag says, to package flag, whether the flag may come without a value.
func (w *watchedValue) IsBoolFlag() bool {
	b, ok := w.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// valueError is the error of a setting that could not be read.
type valueError struct {
	name, value, wrong string
	where              string
}

// from says where the value came from, which only the text of err tells.
func (b *valueError) from(err error) *valueError {
	switch text := err.Error(); {
	case strings.Contains(text, "environment variable"):
		b.where = " (in the environment: " + envName(b.name) + ")"
	case strings.Contains(text, "config file"):
		b.where = " (in the file of --config)"
	}
	return b
}

// Error implements error.
func (b *valueError) Error() string {
	return fmt.Sprintf("--%s: %q %s%s", b.name, b.value, b.wrong, b.where)
}

func whatIsWrong(v flag.Value, err error) string {
	if getter, ok := v.(flag.Getter); ok {
		switch getter.Get().(type) {
		case time.Duration:
			return "is no duration, such as 500ms, 30s or 24h"
		case int:
			return "is no whole number"
		case float64:
			return "is no number"
		case bool:
			return "is neither true nor false"
		}
	}
	return err.Error()
}

// envName is the environment variable of a flag.
func envName(flagName string) string {
	return envPrefix + "_" + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

// unknownVariables lists the environment variables that look like settings and are none.
func unknownVariables(fs *flag.FlagSet) []string {
	known := make(map[string]bool)
	fs.VisitAll(func(f *flag.Flag) { known[envName(f.Name)] = true })
	var unknown []string
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, envPrefix+"_") && !known[name] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// list is the value of a flag that takes many: separated by commas, as a list in YAML, or by
// repeating the flag.
type list []string

// String implements flag.Value.
func (l *list) String() string { return strings.Join(*l, ",") }

// Set implements flag.Value.
func (l *list) Set(s string) error {
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			*l = append(*l, item)
		}
	}
	return nil
}

// choice is the value of a flag that is one of a few words.
type choice struct {
	word  *string
	words []string
}

// String implements flag.Value.
func (c choice) String() string {
	if c.word == nil {
		return ""
	}
	return *c.word
}

// Set implements flag.Value.
func (c choice) Set(s string) error {
	if !slices.Contains(c.words, s) {
		return fmt.Errorf("is none of %s", strings.Join(c.words, ", "))
	}
	*c.word = s
	return nil
}

// yamlParser reads a YAML file whose keys are names of flags. A list is for the flags that
// take many; elsewhere it is an error, and its last item is not taken for all of it.
func yamlParser(flags map[string]flag.Value) ff.ConfigFileParser {
	return func(r io.Reader, set func(name, value string) error) error {
		var document yaml.Node
		decoder := yaml.NewDecoder(r)
		if err := decoder.Decode(&document); err != nil {
			if errors.Is(err, io.EOF) { // an empty file
				return nil
			}
			return fmt.Errorf("the file of --config is no YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		}
		if len(document.Content) == 0 || document.Content[0].Tag == "!!null" {
			return nil
		}
		root := document.Content[0]
		if root.Kind != yaml.MappingNode {
			return errors.New("the file of --config is no map of settings")
		}
		lines := make(map[string]int)
		for i := 0; i+1 < len(root.Content); i += 2 {
			key, value := root.Content[i], root.Content[i+1]
			if before := lines[key.Value]; before != 0 {
				return fmt.Errorf("the file of --config has %q twice, in lines %d and %d", key.Value, before, key.Line)
			}
			lines[key.Value] = key.Line
			if err := setFromYAML(flags, key.Value, value, set); err != nil {
				return err
			}
		}
		return nil
	}
}

func setFromYAML(flags map[string]flag.Value, name string, value *yaml.Node, set func(name, value string) error) error {
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	switch _, many := flags[name].(*list); {
	case value.Tag == "!!null": // as if the key were not there
		return nil
	case value.Kind == yaml.ScalarNode:
		return set(name, value.Value)
	case flags[name] == nil:
		return set(name, "") // which says that there is no such flag, or ignores it
	case value.Kind != yaml.SequenceNode:
		return fmt.Errorf("--%s takes no map, which line %d of the file of --config has", name, value.Line)
	case !many:
		return fmt.Errorf("--%s takes one value, line %d of the file of --config has a list (lists are for %s)",
			name, value.Line, strings.Join(listFlags(flags), ", "))
	}
	for _, item := range value.Content {
		if item.Kind != yaml.ScalarNode {
			return fmt.Errorf("--%s takes a list of words, line %d of the file of --config has something else in it", name, item.Line)
		}
		if err := set(name, item.Value); err != nil {
			return err
		}
	}
	return nil
}

// listFlags names the flags that take many values.
func listFlags(flags map[string]flag.Value) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if _, many := flags[name].(*list); many {
			names = append(names, "--"+name)
		}
	}
	return names
}

package cli

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"muniment.dev/api/field"
	"muniment.dev/fault"
)

// general are the flags that every command has.
var general = []string{"url", "output", "all", "help"}

// line is a command line, read.
type line struct {
	msg     *dynamicpb.Message
	url     string
	json    bool
	picks   []pick // what to print; all if empty
	all     bool
	help    bool
	command string // id of the command, if it changes something
}

// parse reads the flags and arguments of a command. Its errors are *Usage.
func (c *command) parse(env Env, args []string) (*line, error) {
	l := &line{msg: dynamicpb.NewMessage(c.method.Input())}
	given := map[string][]string{}
	var places []string
	var last *flag // before the present word, if several values may be meant for it
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			places = append(places, args...)
			args = nil
		case arg == "-h":
			given["help"] = []string{"true"}
		case arg == "-" || !strings.HasPrefix(arg, "-"):
			if last != nil && len(places) >= len(c.args) {
				return nil, last.once([]string{given[last.name][len(given[last.name])-1], arg})
			}
			places = append(places, arg)
		case !strings.HasPrefix(arg, "--"):
			return nil, &Usage{fmt.Sprintf("%s: flags are written with two dashes", clean(arg))}
		default:
			name, value, hasValue := strings.Cut(arg[2:], "=")
			name = c.meant(name)
			if !hasValue && c.isSwitch(name) {
				value, hasValue = "true", true
			}
			if err := c.known(name); err != nil {
				return nil, err
			}
			if !hasValue {
				if len(args) == 0 {
					return nil, &Usage{fmt.Sprintf("--%s needs a value", name)}
				}
				value, args = args[0], args[1:]
			}
			given[name] = append(given[name], value)
			if last = c.flag(name); last != nil && !last.path.Leaf().IsList() {
				last = nil
			}
		}
	}
	if err := c.general(l, env, given); err != nil || l.help {
		return l, err
	}
	return l, c.fill(env, l, given, places)
}

// meant is the flag that a word stands for: --since and --until are other words
// for --from and --to, and one of a list may be named as one: --type.
func (c *command) meant(name string) string {
	if f := c.flag(name + "s"); c.flag(name) == nil && f != nil && f.path.Leaf().IsList() {
		return f.name
	}
	if other := map[string]string{"since": "from", "until": "to"}[name]; c.flag(name) == nil && other != "" && c.flag(other) != nil {
		return other
	}
	return name
}

func (c *command) isSwitch(name string) bool {
	if name == "all" || name == "help" {
		return true
	}
	f := c.flag(name)
	return f != nil && f.path.Leaf().Kind() == protoreflect.BoolKind
}

func (c *command) known(name string) error {
	var names []string
	for _, f := range c.flags {
		if f.name == name {
			return nil
		}
		names = append(names, "--"+f.name)
	}
	for _, g := range general {
		if g == name {
			return nil
		}
		names = append(names, "--"+g)
	}
	return &Usage{fmt.Sprintf("%s %s knows no flag --%s%s", c.noun, c.verb, clean(name), Suggest("--"+name, names))}
}

// general reads the flags that every command has.
func (c *command) general(l *line, env Env, given map[string][]string) error {
	for _, name := range general {
		vs := given[name]
		delete(given, name)
		if len(vs) > 1 {
			return &Usage{fmt.Sprintf("--%s is there %d times; once is enough", name, len(vs))}
		}
		if len(vs) == 0 {
			continue
		}
		switch v := vs[0]; {
		case name == "url":
			l.url = v
		case name == "output" && (v == "json" || v == "table"):
			l.json = v == "json"
		case name == "output":
			var err error
			if l.picks, err = picks(c.method, v); err != nil {
				return err
			}
		case name == "all" && v == "true":
			l.all = true
		case name == "help":
			l.help = true
		default:
			return &Usage{fmt.Sprintf("--%s does not know %q", name, clean(v))}
		}
	}
	if l.url == "" {
		l.url = env.Getenv("MUNIMENT_URL")
	}
	return nil
}

// fill makes the request.
func (c *command) fill(env Env, l *line, given map[string][]string, places []string) error {
	for _, name := range c.args {
		if _, ok := given[name]; ok || len(places) == 0 && slices.ContainsFunc(c.instead, func(f string) bool { return given[f] != nil }) {
			continue
		}
		if len(places) == 0 {
			return &Usage{fmt.Sprintf("%s is missing; see muniment %s %s --help", strings.ToUpper(name), c.noun, c.verb)}
		}
		given[name], places = []string{places[0]}, places[1:]
	}
	if len(places) > 0 {
		return &Usage{fmt.Sprintf("%q is one word too many; values belong to flags", clean(places[0]))}
	}
	if l.all && c.flag("page-token") == nil {
		return &Usage{"--all is for lists"}
	}
	if c.changes() && given["command-id"] == nil {
		given["command-id"] = []string{newCommandID()}
	}
	if c.changes() {
		l.command = given["command-id"][0]
	}
	for i := range c.flags {
		f := &c.flags[i]
		values, ok := given[f.name]
		if !ok {
			continue
		}
		for _, v := range values {
			if words := f.joined(v); words != nil {
				return f.once(words)
			}
		}
		if f.set != nil {
			if err := f.set(l.msg, values); err != nil {
				return err
			}
			continue
		}
		values, err := f.read(env, values)
		if err != nil {
			return err
		}
		path := f.path
		if f.time != nil && len(values) == 1 && strings.ContainsAny(values[0], "-:") {
			path, values[0] = f.time, clock(values[0])
		}
		if err := field.Set(l.msg, path, values); err != nil {
			return &Usage{fmt.Sprintf("--%s: %s%s", f.name, fault.Public(err), choices(f.path.Leaf()))}
		}
	}
	return nil
}

// clock reads a time as people write it: a date alone is its first moment, and
// what names no zone is in UTC. What is no time stays as it is.
func clock(v string) string {
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05", time.DateTime} {
		if t, err := time.Parse(layout, v); err == nil {
			return t.Format(time.RFC3339)
		}
	}
	return v
}

func newCommandID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails (crypto/rand)
	return hex.EncodeToString(id[:])
}

// read turns what was typed into what the API takes: short names of choices,
// dates without time, passwords from elsewhere.
func (f *flag) read(env Env, values []string) ([]string, error) {
	out := make([]string, len(values))
	for i, v := range values {
		switch leaf := f.path.Leaf(); {
		case f.secret():
			s, err := secret(env, f.name, v)
			if err != nil {
				return nil, err
			}
			v = s
		case leaf.Enum() != nil:
			long := prefix(leaf.Enum()) + strings.ToUpper(strings.ReplaceAll(v, "-", "_"))
			if leaf.Enum().Values().ByName(protoreflect.Name(long)) != nil {
				v = long
			}
		case field.IsTime(leaf):
			v = clock(v)
		}
		out[i] = v
	}
	return out, nil
}

// secret reads a password: "-" is a line of the standard input, "@FILE" the
// first line of a file.
func secret(env Env, name, v string) (string, error) {
	var in io.Reader
	switch {
	case v == "-":
		in = oneByte{env.Stdin}
	case strings.HasPrefix(v, "@"):
		file, err := os.Open(v[1:])
		if err != nil {
			return "", &Usage{fmt.Sprintf("--%s: %v", name, err)}
		}
		defer file.Close()
		in = file
	default:
		return "", &Usage{fmt.Sprintf("--%s: a password or token does not belong on the command line, where others can read it; use --%s - to type or pipe it, or --%s @FILE", name, name, name)}
	}
	s, err := bufio.NewReaderSize(in, 16).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", &Usage{fmt.Sprintf("--%s: %v", name, err)}
	}
	s = strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r")
	if s == "" {
		return "", &Usage{fmt.Sprintf("--%s: there is nothing to read", name)}
	}
	return s, nil
}

// oneByte reads single bytes, so that a line is read and no more: the next
// password may stand in the next one.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) {
	if o.r == nil || len(p) == 0 {
		return 0, io.EOF
	}
	return o.r.Read(p[:1])
}

// prefix is what all names of an enum begin with: USER_STATE_.
func prefix(e protoreflect.EnumDescriptor) string {
	return strings.TrimSuffix(string(e.Values().Get(0).Name()), "UNSPECIFIED")
}

// choices lists the short names of an enum.
func choices(f protoreflect.FieldDescriptor) string {
	if f.Enum() == nil {
		return ""
	}
	var names []string
	for i := 1; i < f.Enum().Values().Len(); i++ {
		n := strings.TrimPrefix(string(f.Enum().Values().Get(i).Name()), prefix(f.Enum()))
		names = append(names, strings.ToLower(strings.ReplaceAll(n, "_", "-")))
	}
	return "; one of " + strings.Join(names, ", ")
}

package cli

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	_ "google.golang.org/genproto/googleapis/api/annotations" // so that the annotations are understood
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"muniment.dev/api/field"
	"muniment.dev/api/gen"
	"muniment.dev/api/route"
)

// command is one method of the API.
type command struct {
	noun, verb string
	about      string // what the noun is about
	doc        string
	method     protoreflect.MethodDescriptor
	flags      []flag
	args       []string // names of the flags that may be given by place
	instead    []string // names of flags each of which takes the place of args
}

// flag is a field of the request.
type flag struct {
	name string // "--name" without the dashes
	path field.Path
	doc  string
	time field.Path // where a time goes instead, if the flag takes either; else nil

	// set sets the field, if it is none that text gives by itself; else nil.
	set func(*dynamicpb.Message, []string) error
}

// secret reports whether the value of the flag must not stand on a command
// line, where other users of the machine and the shell's history see it.
func (f *flag) secret() bool {
	return strings.HasSuffix(f.name, "password") || f.name == "bearer-token"
}

// commands reads the commands out of the sources of the API.
func commands() ([]*command, error) {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(gen.Descriptors(), &set); err != nil {
		return nil, err
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, err
	}
	var out []*command
	files.RangeFilesByPackage("muniment.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			var cs []*command
			if cs, err = ofService(f.Services().Get(i)); err != nil {
				return false
			}
			out = append(out, cs...)
		}
		return true
	})
	slices.SortStableFunc(out, func(a, b *command) int { return strings.Compare(a.noun, b.noun) })
	return out, err
}

func ofService(sd protoreflect.ServiceDescriptor) ([]*command, error) {
	routes, err := route.Of(sd)
	if err != nil {
		return nil, err
	}
	noun := strings.TrimSuffix(string(sd.Name()), "Service")
	var out []*command
	for i := range sd.Methods().Len() {
		m := sd.Methods().Get(i)
		c := &command{
			noun: kebab(noun), verb: verb(noun, string(m.Name())), about: spoken(sd), doc: spoken(m), method: m,
		}
		for _, r := range routes {
			if r.Method != m {
				continue
			}
			for _, v := range r.Vars() {
				if v = strings.ReplaceAll(v, "_", "-"); r.Main {
					c.args = append(c.args, v)
				} else if !slices.Contains(c.args, v) {
					c.instead = append(c.instead, v)
				}
			}
		}
		if replaced(c) {
			continue
		}
		if err := c.addFlags(); err != nil {
			return nil, err
		}
		c.addFilters()
		out = append(out, c)
	}
	return out, nil
}

// addFlags makes a flag of each field. Fields of messages within the request
// go by their own names: --state, not --filter.state; where two have the same,
// the second has its message's before it: --filter-log-id.
func (c *command) addFlags() error {
	for _, path := range field.All(c.method.Input()) {
		name := strings.ReplaceAll(string(path.Leaf().Name()), "_", "-")
		if positionBeside(path) {
			continue
		}
		if timeBeside(path) != nil {
			name = strings.TrimSuffix(name, "-position") // --at takes either
		}
		taken := func(f flag) bool { return f.name == name }
		if slices.ContainsFunc(c.flags, taken) && len(path) > 1 {
			name = strings.ReplaceAll(string(path[len(path)-2].Name()), "_", "-") + "-" + name
		}
		if slices.ContainsFunc(c.flags, taken) || slices.Contains(general, name) {
			return fmt.Errorf("%s: two fields would be --%s", c.method.FullName(), name)
		}
		doc := said(path.Leaf())
		switch name { // what the sources say for programs, said for people
		case "command-id":
			doc = "Id of the command, 32 hexadecimal digits or a UUID: repeated with the same id, it happens once. Made up if left out."
		case "reason":
			doc = "Why, in your own words. It is recorded."
		case "page-token":
			doc = "Which page, as the one before told."
		}
		if timeBeside(path) != nil {
			doc = "A position of the log, or a time: " + strings.ToLower(doc[:1]) + doc[1:]
		}
		c.flags = append(c.flags, flag{name: name, path: path, doc: doc, time: timeBeside(path)})
	}
	return nil
}

// timeBeside is the field that takes a time where another takes a position: of
// at_position, at_time; nil if there is none.
func timeBeside(path field.Path) field.Path {
	base, ok := strings.CutSuffix(string(path.Leaf().Name()), "_position")
	if !ok {
		return nil
	}
	beside := path.Leaf().ContainingMessage().Fields().ByName(protoreflect.Name(base + "_time"))
	if beside == nil {
		return nil
	}
	return append(slices.Clone(path[:len(path)-1]), beside)
}

// positionBeside reports whether a field takes a time where another takes a
// position.
func positionBeside(path field.Path) bool {
	base, ok := strings.CutSuffix(string(path.Leaf().Name()), "_time")
	return ok && field.IsTime(path.Leaf()) && path.Leaf().ContainingMessage().Fields().ByName(protoreflect.Name(base+"_position")) != nil
}

func (c *command) flag(name string) *flag {
	for i := range c.flags {
		if c.flags[i].name == name {
			return &c.flags[i]
		}
	}
	return nil
}

// changes reports whether the command changes something.
func (c *command) changes() bool { return c.flag("command-id") != nil }

// verb is a method's name without the noun: CreateUser is create, ListUsers is
// list, CreateSetupLink is create-setup-link.
func verb(noun, method string) string {
	first, rest, _ := strings.Cut(kebab(method), "-")
	n, rest := kebab(noun), "-"+rest+"-"
	own := []string{n + "s", n}
	if n == "entity" {
		own = append(own, "entities")
	}
	if n == "me" {
		own = append(own, "my")
	}
	for _, w := range own {
		rest = strings.ReplaceAll(rest, "-"+w+"-", "-")
	}
	return strings.TrimRight(first+rest, "-")
}

// kebab turns CreateSetupLink into create-setup-link.
func kebab(s string) string {
	var b strings.Builder
	for i, r := range s {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// spoken is said without the name that Go's comments begin with: "Registers a
// person." instead of "CreateUser registers a person."
func spoken(d protoreflect.Descriptor) string {
	s := strings.TrimPrefix(said(d), string(d.Name())+" ")
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// said is the comment of something in the sources, paragraphs on one line.
func said(d protoreflect.Descriptor) string {
	c := d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments
	var paragraphs []string
	for p := range strings.SplitSeq(c, "\n\n") {
		paragraphs = append(paragraphs, strings.Join(strings.Fields(p), " "))
	}
	return strings.Join(paragraphs, "\n\n")
}

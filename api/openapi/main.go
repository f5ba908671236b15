// Command openapi writes the OpenAPI document and the reference page of the
// API from its compiled Protobuf sources.
//
// Usage: openapi DESCRIPTORS OPENAPI_JSON REFERENCE_HTML
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	_ "google.golang.org/genproto/googleapis/api/annotations" // so that the annotations are understood
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: openapi DESCRIPTORS OPENAPI_JSON REFERENCE_HTML")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

func run(descriptors, document, reference string) error {
	b, err := os.ReadFile(descriptors)
	if err != nil {
		return err
	}
	src, err := readSource(b)
	if err != nil {
		return err
	}
	doc, err := src.document()
	if err != nil {
		return err
	}
	if err := os.WriteFile(document, doc, 0o644); err != nil {
		return err
	}
	page, err := src.reference()
	if err != nil {
		return err
	}
	return os.WriteFile(reference, page, 0o644)
}

// source is the compiled sources with their comments.
type source struct {
	services []protoreflect.ServiceDescriptor
	preamble string // the conventions of the whole API
}

// order is how the services are told, from what most people want to what few do.
var order = []string{"User", "Organization", "Project", "Application", "Grant", "Member", "Permission", "Policy", "Session", "Schema", "Entity", "Event", "Subscription", "Sync", "Adapter", "History", "Me", "Instance", "HostedInstance"}

func readSource(b []byte) (*source, error) {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(b, &set); err != nil {
		return nil, err
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, err
	}
	s := &source{}
	for _, name := range order {
		d, err := files.FindDescriptorByName(protoreflect.FullName("muniment.v1." + name + "Service"))
		if err != nil {
			return nil, err
		}
		service, ok := d.(protoreflect.ServiceDescriptor)
		if !ok {
			return nil, fmt.Errorf("%s is no service", d.FullName())
		}
		s.services = append(s.services, service)
	}
	if err := s.whole(files); err != nil {
		return nil, err
	}
	d, err := files.FindDescriptorByName("muniment.v1.Change")
	if err != nil {
		return nil, err
	}
	for _, c := range d.ParentFile().SourceLocations().ByDescriptor(d).LeadingDetachedComments {
		s.preamble += tidy(c) + "\n"
	}
	return s, nil
}

// whole says which service of the sources is not told.
func (s *source) whole(files *protoregistry.Files) (err error) {
	files.RangeFilesByPackage("muniment.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			if d := f.Services().Get(i); !slices.ContainsFunc(s.services, func(told protoreflect.ServiceDescriptor) bool { return told.FullName() == d.FullName() }) {
				err = fmt.Errorf("%s has no place in the order of services", d.FullName())
			}
		}
		return err == nil
	})
	return err
}

// comment is what the sources say of something.
func comment(d protoreflect.Descriptor) string {
	return tidy(d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments)
}

// tidy removes the space after each comment sign.
func tidy(c string) string {
	lines := strings.Split(strings.TrimRight(c, "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimPrefix(l, " ")
	}
	return strings.Join(lines, "\n")
}

// sentence is the first sentence of a comment, on one line.
func sentence(c string) string {
	c = strings.Join(strings.Fields(c), " ")
	if i := strings.Index(c, ". "); i >= 0 {
		c = c[:i+1]
	}
	return c
}

// text is a comment with its paragraphs as single lines; lists keep theirs.
func text(c string) string {
	var b strings.Builder
	for i, l := range strings.Split(c, "\n") {
		switch {
		case i == 0:
		case l == "" || strings.HasPrefix(strings.TrimSpace(l), "- "):
			b.WriteString("\n")
		case strings.HasSuffix(b.String(), "\n"):
		default:
			b.WriteString(" ")
		}
		if l == "" {
			b.WriteString("\n")
		}
		b.WriteString(strings.TrimSpace(l))
	}
	return b.String()
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}

package cli

import (
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// pick is a field of an answer by its path, or of each entry of a list.
type pick []protoreflect.FieldDescriptor

// picks reads field names, separated by commas, of an answer: "user_id,
// setup_link.url". Of a list, they are fields of its entries.
func picks(method protoreflect.MethodDescriptor, names string) ([]pick, error) {
	md := method.Output()
	if list := rows(md); list != nil {
		md = list.Message()
	} else if method.IsStreamingServer() {
		md = watched(method).Message()
	}
	var out []pick
	for path := range strings.SplitSeq(names, ",") {
		p, err := pickOf(md, strings.TrimSpace(path))
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func pickOf(md protoreflect.MessageDescriptor, path string) (p pick, err error) {
	for name := range strings.SplitSeq(strings.ReplaceAll(path, "-", "_"), ".") {
		if md == nil {
			return nil, &Usage{fmt.Sprintf("--output %s: %s has no fields", clean(path), p[len(p)-1].Name())}
		}
		f := md.Fields().ByName(protoreflect.Name(name))
		if f == nil {
			known := []string{"json", "table"}
			for i := range md.Fields().Len() {
				known = append(known, string(md.Fields().Get(i).Name()))
			}
			return nil, &Usage{fmt.Sprintf("--output knows neither a form nor a field %q%s", clean(name), Suggest(name, known))}
		}
		if p, md = append(p, f), nil; f.Message() != nil && !f.IsList() && !f.IsMap() && !plain(f) {
			md = f.Message()
		}
	}
	return p, nil
}

// holder is the message that holds the field itself.
func (p pick) holder(m protoreflect.Message) (protoreflect.Message, protoreflect.FieldDescriptor) {
	for _, f := range p[:len(p)-1] {
		m = m.Get(f).Message()
	}
	return m, p[len(p)-1]
}

// of is the value in a message, on one line; empty if it is not set.
func (p pick) of(m protoreflect.Message) string {
	m, f := p.holder(m)
	if m.Has(f) || f.Message() == nil && !f.HasPresence() && !f.IsList() {
		return cell(f, m.Get(f))
	}
	return ""
}

// lines is the value in a message with its line breaks, such as a signed note
// has: a field alone need not fit on one line.
func (p pick) lines(whole protoreflect.Message) string {
	m, f := p.holder(whole)
	if f.Kind() != protoreflect.StringKind || f.IsList() {
		return p.of(whole)
	}
	var out []string
	for line := range strings.SplitSeq(strings.TrimSuffix(m.Get(f).String(), "\n"), "\n") {
		out = append(out, clean(line))
	}
	return strings.Join(out, "\n")
}

// values writes the picked values, a line for each entry, tabs between them.
func (p *printer) values(m protoreflect.Message) error {
	entries := []protoreflect.Message{m}
	if list := rows(m.Descriptor()); list != nil {
		entries = nil
		for i := range m.Get(list).List().Len() {
			entries = append(entries, m.Get(list).List().Get(i).Message())
		}
	}
	for _, e := range entries {
		var cells []string
		for _, one := range p.picks {
			cells = append(cells, one.of(e))
		}
		if len(p.picks) == 1 {
			cells[0] = p.picks[0].lines(e)
		}
		if _, err := io.WriteString(p.w, strings.Join(cells, "\t")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

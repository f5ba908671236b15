package cli

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"muniment.dev/api/field"
)

// columns are the fields that a table of messages shows; all of them if the
// message is not here.
func columns(md protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
	names := map[protoreflect.Name]string{
		"User":         "id state email display_name created",
		"Organization": "id name state created",
		"Project":      "id name organization_id created",
		"Application":  "id name kind client_id project_id",
		"Grant":        "user_id project_id role_keys changed",
		"Session":      "id state started expires ip user_agent",
		"Event":        "position time type actor stream sentence",
		"EventType":    "name revision description",
		"Delivery":     "event attempt repeat",
		"DeadLetter":   "position stream attempts failure status since event",
		"Subscription": "id name state delivery progress",
		"Adapter":      "id name state direction entity_types progress",
		"Entity":       "entity_id version changed deleted data_json",
		"EntityChange": "position time type actor changes reason",
	}[md.Name()]
	var out []protoreflect.FieldDescriptor
	for i := range md.Fields().Len() {
		if names == "" {
			out = append(out, md.Fields().Get(i))
		}
	}
	for name := range strings.FieldsSeq(names) {
		out = append(out, md.Fields().ByName(protoreflect.Name(name)))
	}
	return out
}

// rows is the list that a response consists of; nil if it is no list.
func rows(md protoreflect.MessageDescriptor) protoreflect.FieldDescriptor {
	for i := range md.Fields().Len() {
		f := md.Fields().Get(i)
		if f.IsList() && f.Message() != nil && (md.Fields().ByName("next_page_token") != nil || md.Fields().Len() == 1) {
			return f
		}
	}
	return nil
}

// printer writes responses, a list's header once.
type printer struct {
	w      io.Writer
	json   bool
	picks  []pick
	header bool
}

func (p *printer) print(m protoreflect.Message) error {
	if p.json {
		return printJSON(p.w, m.Interface(), "  ")
	}
	if len(p.picks) > 0 {
		return p.values(m)
	}
	if list := rows(m.Descriptor()); list != nil {
		return p.table(list.Message(), m.Get(list).List())
	}
	tw := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	printFields(tw, "", m)
	return tw.Flush()
}

// printJSON writes JSON, always in the same way: indented, or on one line if
// the indent is empty.
func printJSON(w io.Writer, m proto.Message, indent string) error {
	b, err := protojson.Marshal(m)
	if err != nil {
		return err
	}
	var out bytes.Buffer // protojson varies its spaces on purpose
	if indent == "" {
		err = json.Compact(&out, b)
	} else {
		err = json.Indent(&out, b, "", indent)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, out.String())
	return err
}

func (p *printer) table(md protoreflect.MessageDescriptor, list protoreflect.List) error {
	tw := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	cols := columns(md)
	if !p.header {
		p.header = true
		var heads []string
		for _, f := range cols {
			heads = append(heads, strings.ToUpper(strings.ReplaceAll(string(f.Name()), "_", " ")))
		}
		fmt.Fprintln(tw, strings.Join(heads, "\t"))
	}
	for i := range list.Len() {
		var cells []string
		for _, f := range cols {
			c := "-"
			if list.Get(i).Message().Has(f) {
				c = cell(f, list.Get(i).Message().Get(f))
			}
			cells = append(cells, c)
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	return tw.Flush()
}

// printSteps writes the steps of a plan as people read them.
func printSteps(w io.Writer, steps protoreflect.List) {
	for i := range steps.Len() {
		m := steps.Get(i).Message()
		fmt.Fprintln(w, clean(m.Get(m.Descriptor().Fields().ByName("text")).String()))
	}
}

// printFields writes each field that is set on a line, by its path.
func printFields(w io.Writer, prefix string, m protoreflect.Message) {
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		if !m.Has(f) {
			continue
		}
		name := prefix + string(f.Name())
		if f.IsList() && f.Message() != nil && f.Message().Name() == "SchemaStep" {
			printSteps(w, m.Get(f).List())
			continue
		}
		if m.Descriptor().Fields().ByName(f.Name()+"_json") != nil {
			continue // it is there as JSON as well, exactly
		}
		switch v := m.Get(f); {
		case strings.HasSuffix(name, "_json"):
			printProperties(w, strings.TrimSuffix(name, "_json"), v.String())
		case f.IsList() && f.Message() != nil:
			for j := range v.List().Len() {
				printFields(w, fmt.Sprintf("%s[%d].", name, j), v.List().Get(j).Message())
			}
		case f.Message() != nil && !f.IsList() && !plain(f):
			printFields(w, name+".", v.Message())
		default:
			fmt.Fprintf(w, "%s\t%s\n", name, cell(f, v))
		}
	}
}

// printProperties writes each property of a JSON object on a line.
func printProperties(w io.Writer, name, text string) {
	var properties map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &properties) != nil {
		fmt.Fprintf(w, "%s\t%s\n", name, clean(text))
		return
	}
	for _, p := range slices.Sorted(maps.Keys(properties)) {
		fmt.Fprintf(w, "%s.%s\t%s\n", name, clean(p), clean(string(properties[p])))
	}
}

// plain reports whether a message is shown as one value.
func plain(f protoreflect.FieldDescriptor) bool {
	switch f.Message().Name() {
	case "Text", "Actor", "Scope", "Value", "FieldValue", "Struct", "ValueChange":
		return true
	}
	return field.IsTime(f)
}

// cell is a value on one line.
func cell(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	if f.IsList() {
		var out []string
		for i := range v.List().Len() {
			out = append(out, single(f, v.List().Get(i)))
		}
		return strings.Join(out, ", ")
	}
	return single(f, v)
}

func single(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch f.Kind() {
	case protoreflect.EnumKind:
		if e := f.Enum().Values().ByNumber(v.Enum()); e != nil {
			return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(string(e.Name()), prefix(f.Enum())), "_", " "))
		}
		return fmt.Sprint(v.Enum())
	case protoreflect.BytesKind:
		return hex.EncodeToString(v.Bytes())
	case protoreflect.MessageKind:
		return message(f, v.Message())
	}
	return clean(v.String())
}

// message is a message as one value: what is erased says so, in brackets.
func message(f protoreflect.FieldDescriptor, m protoreflect.Message) string {
	get := func(name protoreflect.Name) protoreflect.Value {
		return m.Get(m.Descriptor().Fields().ByName(name))
	}
	switch f.Message().Name() {
	case "Text":
		if get("erased").Bool() {
			return "(erased)"
		}
		return clean(get("value").String())
	case "FieldValue":
		switch {
		case get("erased").Bool():
			return "(erased)"
		case get("withheld").Bool():
			return "(withheld)"
		}
		if exact := get("value_json").String(); exact != "" {
			return clean(exact)
		}
		value := m.Descriptor().Fields().ByName("value")
		return message(value, m.Get(value).Message())
	case "Actor":
		if name := m.Descriptor().Fields().ByName("name"); m.Has(name) {
			return message(name, m.Get(name).Message())
		}
		return clean(get("kind").String() + ":" + get("id").String())
	case "ValueChange":
		return changed(get("field").String(), get("before").String(), get("after").String(), get("locked").Bool(), get("erased").Bool())
	case "Entity":
		return clean(get("type").String() + ":" + get("entity_id").String())
	case "Event":
		return clean(get("position").String() + " " + get("type").String() + " " + get("stream").String())
	case "SubscriptionProgress":
		return clean(get("behind").String() + " behind, " + get("dead_letters").String() + " dead letters")
	case "AdapterProgress":
		return clean(get("failed_runs").String() + " failed runs, " + get("behind").String() + " behind, " + get("dead_letters").String() + " dead letters, " + get("refused").String() + " refused")
	case "Scope":
		if get("instance").Bool() {
			return "instance"
		}
		return "organization:" + clean(get("organization_id").String())
	}
	b, err := protojson.Marshal(m.Interface())
	if err != nil {
		return "?"
	}
	var compact bytes.Buffer
	if json.Compact(&compact, b) != nil {
		return "?"
	}
	return clean(strings.Trim(compact.String(), `"`))
}

// changed is what became of a field.
func changed(field, before, after string, locked, erased bool) string {
	switch {
	case erased:
		return clean(field) + " (erased)"
	case locked:
		return clean(field) + " (withheld)"
	case before == "":
		return clean(field + " = " + after)
	case after == "":
		return clean(field + " gone, was " + before)
	}
	return clean(field + " " + before + " → " + after)
}

// clean replaces what could control a terminal or break a table: names and
// user agents are what strangers made them.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return '\uFFFD'
		}
		return r
	}, s)
}

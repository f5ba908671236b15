package event

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"muniment.dev/fault"
)

// Kind is the kind of value that a field holds.
type Kind string

// The kinds of fields. In CBOR: text, int, bool and bytes as such; time as
// integer microseconds since 1970 UTC; id as 16 bytes; texts and ids as arrays;
// JSON, in json.go, as the values it is made of.
const (
	Text  Kind = "text"
	Int   Kind = "int"
	Bool  Kind = "bool"
	Bytes Kind = "bytes"
	Time  Kind = "time"
	IDRef Kind = "id"
	Texts Kind = "texts"
	IDs   Kind = "ids"
)

// Instant is a point in time as events hold it: microseconds since 1970 UTC.
type Instant int64

// Time returns the instant as a time in UTC.
func (i Instant) Time() time.Time { return time.UnixMicro(int64(i)).UTC() }

// Field is what is known of one field of an event type.
type Field struct {
	Name   string // JSON name; its path is "/" + Name
	Key    uint64 // integer map key in the public payload instead of Name; 0: none (only the frozen types have one)
	Kind   Kind
	Public bool   // stands in the leaf in clear; otherwise sealed
	Of     string // for sealed fields: the public id field whose value is the subject
	Tag    string // for public fields: name of the tag that its value becomes; "" for none
	Blind  string // for sealed text: name of the blind tag that its value becomes; "" for none
	Fold   bool   // blind tag of the case-folded value
	Only   bool   // the value is not stored at all, only its blind tag
	Secret bool   // a credential: sealed, and never shown to anybody
	Always bool   // for public fields: stands in the payload even if it is empty

	index int // in the Go struct
}

// Path is the field's RFC 6901 pointer.
func (f *Field) Path() string {
	if strings.ContainsAny(f.Name, "~/") {
		return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(f.Name)
	}
	return "/" + f.Name
}

// Descriptor is what is known of one revision of an event type. Sealing, tags,
// erasure, audit and views know descriptors only, never Go types: those of
// built-in events are made from struct tags, those of customers' events from
// their schemas.
type Descriptor struct {
	Type     string // dotted, past tense: "user.email.changed"
	Revision uint32 // from 1
	Fields   []Field
	// Sentence is what a person would say happened, with {field} and {actor}
	// where values stand: "{actor} locked {user}".
	Sentence string
	// Retention is for how many days the sealed fields are kept; 0: until erased.
	Retention int

	goType reflect.Type
}

// Field returns the field of that name, or nil.
func (d *Descriptor) Field(name string) *Field {
	for i := range d.Fields {
		if d.Fields[i].Name == name {
			return &d.Fields[i]
		}
	}
	return nil
}

// IsCustom reports whether the type is a log's own, not one that is compiled in.
func (d *Descriptor) IsCustom() bool { return d.goType == nil }

// Check reports what is wrong with a descriptor, or nil.
func (d *Descriptor) Check() error {
	if !IsTypeName(d.Type) {
		return fault.Field("type", "%q is not the name of an event type: letters, digits, dots, dashes and underscores, a letter first, at most 64", d.Type)
	}
	if d.Revision == 0 {
		return fault.Field("revision", "revisions start at 1")
	}
	seen := map[string]bool{}
	for i := range d.Fields {
		f := &d.Fields[i]
		if f.Name == "" || seen[f.Name] {
			return fault.Field("fields", "%s has two fields named %q, or one without a name", d.Type, f.Name)
		}
		seen[f.Name] = true
		if err := d.checkField(f); err != nil {
			return err
		}
	}
	return nil
}

func (d *Descriptor) checkField(f *Field) error {
	switch {
	case f.Public && (f.Blind != "" || f.Only):
		return fault.Field(f.Name, "a public field of %s cannot have a blind tag", d.Type)
	case !f.Public && f.Tag != "":
		return fault.Field(f.Name, "a sealed field of %s cannot become a public tag", d.Type)
	case f.Blind != "" && f.Kind != Text && f.Kind != JSON:
		return fault.Field(f.Name, "only text can become a blind tag")
	case f.Public && f.Secret:
		return fault.Field(f.Name, "a secret of %s cannot be public", d.Type)
	case f.Only && f.Blind == "":
		return fault.Field(f.Name, "a field that is not stored must have a blind tag")
	case f.Public:
		return nil
	}
	of := d.Field(f.Of)
	if of == nil || !of.Public || of.Kind != IDRef {
		return fault.Field(f.Name, "the sealed field's subject must be a public id field of %s, not %q", d.Type, f.Of)
	}
	return nil
}

// Describe makes the descriptor of a Go struct from its `event` tags:
//
//	User  ID             `event:"user,public,subject,tag=user"`
//	Email Sealed[string] `event:"email,blind=email,fold"`
//	IP    Sealed[string] `event:"ip,of=visitor"`
//
// The first item is the name. A field without "public" must have a Sealed
// type; its subject is the field named by "of", or the one marked "subject".
// "tag" alone makes a tag named like the field. Mistakes panic: they are the
// programmer's, found at start-up.
func Describe[T any](typ string, revision uint32, sentence string) Descriptor {
	t := reflect.TypeFor[T]()
	d := Descriptor{Type: typ, Revision: revision, Sentence: sentence, goType: t}
	subject := ""
	for i := range t.NumField() {
		f, isSubject := describeField(t, i)
		if isSubject {
			subject = f.Name
		}
		d.Fields = append(d.Fields, f)
	}
	for i := range d.Fields {
		if f := &d.Fields[i]; !f.Public && f.Of == "" {
			f.Of = subject
		}
	}
	if err := d.Check(); err != nil {
		panic(fmt.Sprintf("event: %s: %v", t, err))
	}
	return d
}

func describeField(t reflect.Type, i int) (f Field, isSubject bool) {
	sf := t.Field(i)
	items := strings.Split(sf.Tag.Get("event"), ",")
	f = Field{Name: items[0], index: i}
	for _, item := range items[1:] {
		key, value, _ := strings.Cut(item, "=")
		switch key {
		case "public":
			f.Public = true
		case "subject":
			isSubject = true
		case "tag":
			f.Tag = value
			if value == "" {
				f.Tag = f.Name
			}
		case "blind":
			f.Blind = value
		case "fold":
			f.Fold = true
		case "only":
			f.Only = true
		case "secret":
			f.Secret = true
		case "always":
			f.Always = true
		case "of":
			f.Of = value
		case "key":
			f.Key, _ = strconv.ParseUint(value, 10, 64)
		default:
			panic(fmt.Sprintf("event: %s.%s: unknown tag item %q", t, sf.Name, item))
		}
	}
	typ := sf.Type
	sealed, isSealed := reflect.New(typ).Interface().(sealedField)
	if isSealed {
		typ = reflect.TypeOf(sealed.sealedValue())
	}
	if isSealed == f.Public {
		panic(fmt.Sprintf("event: %s.%s: a field is either public or a Sealed type", t, sf.Name))
	}
	f.Kind = kindOf(typ)
	if f.Kind == "" {
		panic(fmt.Sprintf("event: %s.%s: no field kind for %s", t, sf.Name, typ))
	}
	return f, isSubject
}

func kindOf(t reflect.Type) Kind {
	switch t {
	case reflect.TypeFor[Instant]():
		return Time
	case reflect.TypeFor[ID](), reflect.TypeFor[SubjectID](), reflect.TypeFor[LogID](), reflect.TypeFor[KeyID]():
		return IDRef
	case reflect.TypeFor[[]ID](), reflect.TypeFor[[]KeyID]():
		return IDs
	case reflect.TypeFor[[]byte]():
		return Bytes
	}
	switch t.Kind() {
	case reflect.String:
		return Text
	case reflect.Bool:
		return Bool
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Uint64:
		return Int
	case reflect.Slice:
		if t.Elem().Kind() == reflect.String {
			return Texts
		}
	}
	return ""
}

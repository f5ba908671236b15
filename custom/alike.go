package custom

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"muniment.dev/custom/schema"
	"muniment.dev/event"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// Alike is the table by which entities that may be the same are found: a row for
// each combination of fields that x-duplicates of their type names. Two are alike
// if their rows of a combination hold the same.
const Alike = "entity_alike"

func alikeTable() view.Table {
	return view.Table{
		Name: Alike,
		Key:  []string{"id", "type", "rule"},
		Columns: []view.Column{
			{Name: "id", Kind: event.IDRef}, {Name: "type", Kind: event.Text}, {Name: "rule", Kind: event.Text}, {Name: entity.Order, Kind: event.Int},
			{Name: "subject", Kind: event.IDRef}, {Name: "value", Kind: event.Text}, {Name: "sealed", Kind: event.Text, Personal: "subject"},
		},
		Indexes: [][]string{{"type", "rule", "value"}, {"type", "rule", "sealed"}},
	}
}

// AlikeColumn is the column of Alike that holds what a rule compares.
func AlikeColumn(r *schema.Rule) string {
	if r.Public {
		return "value"
	}
	return "sealed"
}

// alikeRows are the changes of an entity's rows of Alike. As with sealed values
// (sealedRows), there is a row whether it holds anything or not, and again with
// each event that may change it, so that what rows there are tells nothing.
func (d *Definitions) alikeRows(t *schema.Entity, before, after *Entity, f event.Fact) (out []view.Change) {
	began := before == nil || before.Deleted && !after.Deleted
	ended := before != nil && !before.Deleted && after.Deleted
	if after.Deleted && !ended {
		return nil
	}
	for i := range t.Duplicates {
		r := &t.Duplicates[i]
		key := view.Values{"id": after.ID, "type": after.Type, "rule": r.Name()}
		if ended {
			out = append(out, view.Remove(Alike, key))
			continue
		}
		writes := slices.ContainsFunc(r.Fields, func(name string) bool { return d.writesTo(f, name) })
		if began || writes || ruleSubject(t, before, r) != ruleSubject(t, after, r) {
			out = append(out, view.Put(Alike, key, alikeRow(t, after, r)))
		}
	}
	return out
}

// ruleSubject is whose the sealed fields of a rule are; zero if none is.
func ruleSubject(t *schema.Entity, e *Entity, r *schema.Rule) event.ID {
	i := slices.IndexFunc(r.Fields, func(name string) bool { return !t.Field(name).Public })
	if i < 0 {
		return event.ID{}
	}
	return Subject(t, e, r.Fields[i])
}

func alikeRow(t *schema.Entity, e *Entity, r *schema.Rule) view.Values {
	key := alikeKey(e, r)
	if r.Public {
		var value any
		if key != "" {
			value = key
		}
		return view.Values{entity.Order: e.Added, "value": value}
	}
	subject := ruleSubject(t, e, r)
	value := event.Seal(key)
	if slices.Contains(e.Gone, subject) {
		value = event.Sealed[string]{State: event.Erased}
	}
	return view.Values{entity.Order: e.Added, "subject": subject, "sealed": value}
}

// alikeKey is what an entity has to have in common with another to be alike by a
// rule: the same for the same organization and values that people take for the
// same. Empty if one of the values is missing.
func alikeKey(e *Entity, r *schema.Rule) string {
	h := sha256.New()
	h.Write(e.Organization[:])
	for _, name := range r.Fields {
		text := AlikeForm(e.Fields[name])
		if text == "" {
			return ""
		}
		h.Write(binary.AppendUvarint(nil, uint64(len(text))))
		h.Write([]byte(text))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// AlikeForm is the form in which a single value is compared with those of others:
// of a text only letters and digits count, without regard to case and to accents.
// Empty if it holds nothing that could be compared.
func AlikeForm(v any) string {
	switch v := v.(type) {
	case string:
		return alikeText(v)
	case bool, int64, json.Number:
		return string(event.FormatJSON(v))
	}
	return ""
}

// strokes are letters with a stroke or the like, which have no accent that could
// be taken away, and how people write them who do not have them.
var strokes = strings.NewReplacer("ø", "o", "ł", "l", "đ", "d", "ħ", "h", "ı", "i", "ŧ", "t", "æ", "ae", "œ", "oe", "ð", "d", "þ", "th")

func alikeText(s string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(strokes.Replace(event.Normalize(s, true))) {
		switch {
		case r >= 0x300 && r <= 0x36F: // combining diacritical marks; those of other scripts are letters of their words
		case unicode.IsLetter(r), unicode.IsNumber(r), unicode.IsMark(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Comparable reports whether an event of that type may make an entity like
// another: it may write a field that x-duplicates names.
func (d *Definitions) Comparable(eventType string) bool {
	e := d.Set.Events[eventType]
	if e == nil || d.Set.Entities[e.Entity] == nil {
		return false
	}
	w := d.writes[eventType]
	return slices.ContainsFunc(d.Set.Entities[e.Entity].Duplicates, func(r schema.Rule) bool {
		return w["*"] || slices.ContainsFunc(r.Fields, func(name string) bool { return w[name] })
	})
}

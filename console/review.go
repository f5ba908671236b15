package console

import (
	"strings"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/custom"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// reviewNav is the place in the navigation of what waits for a person.
const reviewNav = "review"

const (
	reviewAt = "/console/review"
	keptAt   = "/console/review/kept"
	reviewed = 25 // on a page: of each, two entities are asked for
)

// known is an entity as a page names it; Entity is nil if it may not be read.
type known struct {
	*munimentv1.Entity
	Title, At string
}

// know finds an entity for a page that is about something else.
func (v *visit) know(t *munimentv1.EntityType, id string) (known, error) {
	k := known{Title: or(typeTitle(t), "Entity") + " " + id[:min(8, len(id))]}
	got, err := v.c.API.Entity.GetEntity(v.ctx, &munimentv1.GetEntityRequest{Type: t.GetName(), EntityId: strings.ReplaceAll(id, "-", "")})
	if err != nil {
		return k, v.unlessDenied(err)
	}
	return known{got.GetEntity(), entityTitle(t, got.GetEntity()), entityPath(got.GetEntity())}, nil
}

// pairRow is a pair of possible duplicates with what its entities are called.
type pairRow struct {
	*munimentv1.Duplicate
	Type     string // its title
	A, B     known
	At       string
	Same     bool
	Kept     string // title of the one that is kept
	Settable bool
}

// reviewPage is the data of review.html and of kepts.html.
type reviewPage struct {
	State string
	Pairs []pairRow
	Kept  []keptRow
	Next  string
	Paged bool
	Curl  same
}

// pairStates are the badges of pairs.
var pairStates = map[string]badge{"open": {"Open", page.Warn}, "same": {"The same", page.Good}, "different": {"Two", page.Calm}, "closed": {"One is gone", page.Calm}}

func pairState(d *munimentv1.Duplicate) badge { return pairStates[d.GetState()] }

// duplicates lists the pairs that may be the same.
func (v *visit) duplicates() error {
	q := v.r.URL.Query()
	p := reviewPage{State: q.Get("state"), Paged: q.Get("token") != ""}
	if !q.Has("state") {
		p.State = "open"
	}
	got, err := v.c.API.Sync.ListDuplicates(v.ctx, &munimentv1.ListDuplicatesRequest{State: p.State, PageSize: reviewed, PageToken: q.Get("token")})
	if err != nil {
		return v.c.AsFault(err)
	}
	types := map[string]*munimentv1.EntityType{}
	for _, d := range got.GetDuplicates() {
		row, err := v.pairRow(d, types)
		if err != nil {
			return err
		}
		p.Pairs = append(p.Pairs, row)
	}
	p.Next = got.GetNextPageToken()
	p.Curl = v.same("sync list-duplicates", "/v1/sync/duplicates", "state", p.State)
	return v.show("review", reviewNav, "Review", p)
}

// typeFrom is a type by its name, asked for once.
func (v *visit) typeFrom(types map[string]*munimentv1.EntityType, name string) (*munimentv1.EntityType, error) {
	if types[name] == nil {
		t, err := v.typeOf(name)
		if err != nil {
			return nil, err
		}
		types[name] = t
	}
	return types[name], nil
}

func (v *visit) pairRow(d *munimentv1.Duplicate, types map[string]*munimentv1.EntityType) (row pairRow, err error) {
	t, err := v.typeFrom(types, d.GetEntityType())
	if err != nil {
		return row, err
	}
	row = pairRow{Duplicate: d, Type: typeTitle(t), Same: d.GetState() == "same", Settable: d.GetState() != "closed" && !v.me.past,
		At: path("console", "review", "pairs", d.GetEntityType(), plain(d.GetOtherId()), plain(d.GetEntityId()))}
	if row.A, err = v.know(t, d.GetOtherId()); err != nil {
		return row, err
	}
	row.B, err = v.know(t, d.GetEntityId())
	switch d.GetKeptId() {
	case "":
	case d.GetOtherId():
		row.Kept = row.A.Title
	default:
		row.Kept = row.B.Title
	}
	return row, err
}

// plain is an id without dashes, as addresses have it.
func plain(id string) string { return strings.ReplaceAll(id, "-", "") }

// pairOf finds the pair in the address, with its type.
func (v *visit) pairOf() (*munimentv1.EntityType, pairRow, error) {
	id, err := v.id()
	if err != nil {
		return nil, pairRow{}, err
	}
	t, err := v.typeOf(v.r.PathValue("type"))
	if err != nil {
		return nil, pairRow{}, err
	}
	req := &munimentv1.ListDuplicatesRequest{EntityId: id, PageSize: 500}
	for {
		got, err := v.c.API.Sync.ListDuplicates(v.ctx, req)
		if err != nil {
			return nil, pairRow{}, v.c.AsFault(err)
		}
		for _, d := range got.GetDuplicates() {
			if other := v.r.PathValue("other"); d.GetEntityType() == t.GetName() && (plain(d.GetEntityId()) == other || plain(d.GetOtherId()) == other) {
				row, err := v.pairRow(d, map[string]*munimentv1.EntityType{t.GetName(): t})
				return t, row, err
			}
		}
		if req.PageToken = got.GetNextPageToken(); req.PageToken == "" {
			return nil, pairRow{}, fault.New(fault.NotFound, "there is no such pair, or it is none that you may see")
		}
	}
}

// comparedField is a field of two entities, side by side.
type comparedField struct {
	Field *munimentv1.TypeField
	Name  string
	A, B  cell
	Mark  badge // how the two compare; no word: neither holds anything
}

// pairPage is the data of pair.html.
type pairPage struct {
	pairRow
	Title  string
	Fields []comparedField
	Curl   same
}

func (v *visit) pair() error {
	t, row, err := v.pairOf()
	if err != nil {
		return err
	}
	p := pairPage{pairRow: row, Title: "The same " + strings.ToLower(row.Type) + "?", Fields: v.besides(t, row)}
	p.Curl = v.same("sync list-duplicates --entity-id "+row.GetEntityId(), "/v1/sync/duplicates", "entity_id", row.GetEntityId())
	return v.show("pair", reviewNav, p.Title, p)
}

// besides are the fields of two entities, side by side.
func (v *visit) besides(t *munimentv1.EntityType, row pairRow) (out []comparedField) {
	of := func(k known) []cell {
		if k.Entity == nil { // as if all of it were locked
			k.Entity = &munimentv1.Entity{}
			for _, f := range t.GetFields() {
				k.Locked = append(k.Locked, f.GetName())
			}
		}
		return v.cells(k.Entity, t.GetFields())
	}
	a, b := of(row.A), of(row.B)
	for i, f := range t.GetFields() {
		out = append(out, comparedField{f, f.GetName(), a[i], b[i], compareCells(a[i], b[i])})
	}
	return out
}

// compareCells says how two values compare: as possible duplicates are compared,
// too.
func compareCells(a, b cell) badge {
	text := func(c cell) string { return string(event.FormatJSON(c.Value)) }
	switch {
	case a.State == "absent" && b.State == "absent":
		return badge{}
	case a.State == "" && b.State == "" && text(a) == text(b):
		return badge{"Equal", page.Good}
	case a.State == "" && b.State == "" && custom.AlikeForm(a.Value) != "" && custom.AlikeForm(a.Value) == custom.AlikeForm(b.Value):
		return badge{"Alike", page.Good}
	case a.State == "absent" || b.State == "absent":
		return badge{"Only one", page.Calm}
	case a.State != "" || b.State != "":
		return badge{"Unknown", page.Calm}
	}
	return badge{"Differs", page.Warn}
}

// settlePair says whether two are the same.
func (v *visit) settlePair() error {
	_, row, err := v.pairOf()
	if err != nil {
		return err
	}
	req := &munimentv1.ResolveDuplicateRequest{EntityId: row.GetEntityId(), OtherId: row.GetOtherId(), CommandId: v.command(), Reason: v.form("reason")}
	said := "They are two. They will not be flagged again."
	if keep := v.form("keep"); v.form("do") == "same" {
		req.Same, req.DeleteOther = true, v.form("delete") != ""
		for _, id := range []string{row.GetEntityId(), row.GetOtherId()} {
			if plain(id) == keep {
				req.KeepId = id
			}
		}
		said = "They are the same."
	}
	_, err = v.c.API.Sync.ResolveDuplicate(v.ctx, req)
	return v.said(row.At, said, err)
}

// pairsOf are the pairs in which an entity is, for its own page: the open ones,
// and those that are the same.
func (v *visit) pairsOf(t *munimentv1.EntityType, e *munimentv1.Entity) (out []pairRow, err error) {
	for _, state := range []string{"open", "same"} {
		got, err := v.c.API.Sync.ListDuplicates(v.ctx, &munimentv1.ListDuplicatesRequest{EntityId: plainID(e), State: state, PageSize: reviewed})
		if err = v.unlessDenied(err); err != nil {
			return nil, err
		}
		for _, d := range got.GetDuplicates() {
			if d.GetEntityType() != t.GetName() {
				continue
			}
			row, err := v.pairRow(d, map[string]*munimentv1.EntityType{t.GetName(): t})
			if err != nil {
				return nil, err
			}
			if row.A.Entity != nil && row.A.GetEntityId() == e.GetEntityId() {
				row.A, row.B = row.B, row.A
			}
			out = append(out, row)
		}
	}
	return out, nil
}

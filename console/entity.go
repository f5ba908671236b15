package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// entityTypes shows the types of entity, each as a way to its list.
func (v *visit) entityTypes() error {
	got, err := v.getSchema()
	if err != nil {
		return err
	}
	if err := v.travels(); err != nil {
		return err
	}
	return v.show("entitytypes", entitiesNav, "Entities", definitionsPage{got, v.me.Writes(""), v.same("schema show", "/v1/schema")})
}

// typeOf is the definition of the type in the address, as it is now: entities
// of before are shown by it, too.
func (v *visit) typeOf(name string) (*munimentv1.EntityType, error) {
	got, err := v.c.API.Schema.GetSchema(v.ctx, &munimentv1.GetSchemaRequest{})
	if err != nil {
		return nil, v.c.AsFault(err)
	}
	for _, t := range got.GetTypes() {
		if t.GetName() == name {
			return t, nil
		}
	}
	return nil, fault.New(fault.NotFound, "there is no such type of entity")
}

// entitiesPage is the data of entities.html.
type entitiesPage struct {
	Type     *munimentv1.EntityType
	Search   []*munimentv1.TypeField // what can be searched for
	Columns  []*munimentv1.TypeField
	Field    string
	Query    string
	Prefix   bool
	State    string // deleted: those as well; failed: only those
	Org      string
	Orgs     []option
	Rows     []entityRow
	Next     string
	Paged    bool
	Filtered bool
	Problem  string
	Curl     same
}

// entityRow is an entity of a list.
type entityRow struct {
	*munimentv1.Entity
	Title string
	Cells []cell
}

// cell is a field as it is shown.
type cell struct {
	Field  *munimentv1.TypeField
	Name   string
	Value  any
	State  string // "", absent, locked or erased
	Linked []link
}

// link leads to another entity.
type link struct{ Href, Text string }

// entities lists a type by what may stand in an address.
func (v *visit) entities() error { return v.listEntities(v.r.URL.Query()) }

// searchEntities lists what holds a value. That may be personal, so it is
// posted; without it the address says it all.
func (v *visit) searchEntities() error {
	if v.form("q") != "" {
		return v.listEntities(v.r.PostForm)
	}
	q := url.Values{}
	for _, k := range []string{"state", "org"} {
		if s := v.form(k); s != "" {
			q.Set(k, s)
		}
	}
	to := path("console", "entities", v.r.PathValue("type"))
	if len(q) > 0 {
		to += "?" + q.Encode()
	}
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

func (v *visit) listEntities(q url.Values) error {
	t, err := v.typeOf(v.r.PathValue("type"))
	if err != nil {
		return err
	}
	p := entitiesPage{Type: t, Field: q.Get("field"), Query: strings.TrimSpace(q.Get("q")), State: q.Get("state"), Org: q.Get("org"), Paged: q.Get("token") != "", Columns: columnsOf(t)}
	for _, f := range t.GetFields() {
		if f.GetSearch() != "" || f.GetUnique() != "" {
			p.Search = append(p.Search, f)
		}
	}
	req := &munimentv1.ListEntitiesRequest{Type: t.GetName(), OrganizationId: p.Org, WithDeleted: p.State == "deleted", Failed: p.State == "failed", PageSize: pageSize, PageToken: q.Get("token"), Read: v.read}
	if p.Query != "" {
		req.Filters = []*munimentv1.FieldFilter{filterOf(p.Search, p.Field, p.Query)}
	}
	p.Filtered = p.Query != "" || p.State != "" || p.Org != ""
	got, err := v.c.API.Entity.ListEntities(v.ctx, req)
	err = v.c.AsFault(err)
	if status, ok := formStatus(err); err != nil && ok && p.Query != "" {
		p.Problem = sentence(err)
		return v.showEntities(status, p)
	}
	if err != nil {
		return err
	}
	for _, e := range got.GetEntities() {
		p.Rows = append(p.Rows, entityRow{e, entityTitle(t, e), v.cells(e, p.Columns)})
	}
	p.Next = got.GetNextPageToken()
	return v.showEntities(http.StatusOK, p)
}

func (v *visit) showEntities(status int, p entitiesPage) error {
	var err error
	if p.Orgs, err = v.orgOptions(); err != nil {
		return err
	}
	if err := v.travels(); err != nil {
		return err
	}
	p.Curl = v.same("entity list "+p.Type.GetName(), "/v1/entities/"+p.Type.GetName(), "organization_id", p.Org, "with_deleted", enumParam(p.State == "deleted", "true"), "failed", enumParam(p.State == "failed", "true"))
	return v.showAs(status, "entities", v.view(entitiesNav, typeTitle(p.Type), p))
}

// filterOf is a search for a value in a field: by how it begins where that can be.
func filterOf(fields []*munimentv1.TypeField, name, value string) *munimentv1.FieldFilter {
	i := slices.IndexFunc(fields, func(f *munimentv1.TypeField) bool { return f.GetName() == name })
	if i >= 0 && fields[i].GetSearch() == "prefix" {
		return &munimentv1.FieldFilter{Field: name, Prefix: value}
	}
	return &munimentv1.FieldFilter{Field: name, Equals: value}
}

// columnsOf are the fields that a list shows: the first few that are values on
// one line.
func columnsOf(t *munimentv1.EntityType) (out []*munimentv1.TypeField) {
	const most = 3
	for _, f := range t.GetFields() {
		if k := f.GetKind(); len(out) < most && k != "value" && k != "uuids" && f != titleField(t) {
			out = append(out, f)
		}
	}
	return out
}

// titleField is the field by which people know an entity: the first text that
// is searched by how it begins. nil if there is none.
func titleField(t *munimentv1.EntityType) *munimentv1.TypeField {
	for _, f := range t.GetFields() {
		if f.GetKind() == "text" && f.GetSearch() == "prefix" {
			return f
		}
	}
	return nil
}

// typeTitle is what a type is called.
func typeTitle(t *munimentv1.EntityType) string { return or(t.GetTitle(), t.GetName()) }

// entityTitle is what an entity is called.
func entityTitle(t *munimentv1.EntityType, e *munimentv1.Entity) string {
	if f := titleField(t); f != nil {
		if name := e.GetData().GetFields()[f.GetName()].GetStringValue(); name != "" {
			return name
		}
	}
	return typeTitle(t) + " " + e.GetEntityId()[:min(8, len(e.GetEntityId()))]
}

// cells are the fields of an entity as they are shown.
func (v *visit) cells(e *munimentv1.Entity, fields []*munimentv1.TypeField) []cell {
	values, _ := event.ParseJSON([]byte(e.GetDataJson()))
	data, _ := values.(map[string]any)
	var out []cell
	for _, f := range fields {
		c := cell{Field: f, Name: f.GetName(), State: "absent"}
		value, there := data[f.GetName()]
		switch {
		case slices.Contains(e.GetErased(), f.GetName()):
			c.State = "erased"
		case slices.Contains(e.GetLocked(), f.GetName()):
			c.State = "locked"
		case there:
			c.State, c.Value, c.Linked = "", value, v.links(f.GetRef(), value)
		}
		out = append(out, c)
	}
	return out
}

// links lead to the entities, or things of Muniment's own, that a field points
// to; people by name, for those who may see them.
func (v *visit) links(ref string, value any) (out []link) {
	ids, _ := value.([]any)
	if s, ok := value.(string); ok {
		ids = []any{s}
	}
	for _, item := range ids {
		s, _ := item.(string)
		id, err := event.ParseID(s)
		if ref == "" || err != nil {
			return nil
		}
		if to := streamPath(ref + ":" + id.String()); to != "" {
			out = append(out, link{to, v.called(ref, id.String())})
		}
	}
	return out
}

// called is what something that a field points to is called.
func (v *visit) called(kind, id string) string {
	if kind == "user" {
		if u := v.userOf(id); u != nil {
			return userName(u)
		}
	}
	return kind + " " + id[:8]
}

// entityPage is the data of entity.html.
type entityPage struct {
	*munimentv1.Entity
	Type       *munimentv1.EntityType
	Title, Org string
	Fields     []cell
	Changes    []*munimentv1.EntityChange
	Older      string // address of older changes
	Related    []relatedRow
	MoreTo     string
	Erasure    *munimentv1.GetEntityErasureResponse
	Pairs      []pairRow // of possible duplicates, of which it is B
	CanErase   bool
	At, Stream string
	Curl       same
}

// relatedRow is an entity that points to the one that is shown.
type relatedRow struct{ Field, Href, Title, Type, ID string }

// getEntity finds the entity in the address, with its type.
func (v *visit) getEntity() (*munimentv1.EntityType, *munimentv1.Entity, error) {
	id, err := v.id()
	if err != nil {
		return nil, nil, err
	}
	t, err := v.typeOf(v.r.PathValue("type"))
	if err != nil {
		return nil, nil, err
	}
	got, err := v.c.API.Entity.GetEntity(v.ctx, &munimentv1.GetEntityRequest{Type: t.GetName(), EntityId: id, Read: v.read})
	if err != nil {
		return nil, nil, v.c.AsFault(err)
	}
	return t, got.GetEntity(), nil
}

// plainID is an entity's id as streams write it.
func plainID(e *munimentv1.Entity) string { return strings.ReplaceAll(e.GetEntityId(), "-", "") }

func entityPath(e *munimentv1.Entity) string {
	return path("console", "entities", e.GetType(), plainID(e))
}

func (v *visit) entity() error {
	t, e, err := v.getEntity()
	if err != nil {
		return err
	}
	p := entityPage{Entity: e, Type: t, Title: entityTitle(t, e), Org: v.orgName(e.GetOrganizationId()), Fields: v.cells(e, t.GetFields()), At: entityPath(e),
		Stream: e.GetType() + ":" + plainID(e), CanErase: v.me.Owns(e.GetOrganizationId()),
		Curl: v.same("entity get "+e.GetType()+" "+e.GetEntityId(), "/v1/entities/"+e.GetType()+"/"+e.GetEntityId())}
	if p.Erasure, err = v.c.API.Entity.GetEntityErasure(v.ctx, &munimentv1.GetEntityErasureRequest{Type: e.GetType(), EntityId: e.GetEntityId()}); err != nil {
		return v.c.AsFault(err)
	}
	p.CanErase = p.CanErase && p.Erasure.GetPosition() == 0
	if err := v.entityChanges(&p); err != nil {
		return err
	}
	if err := v.related(&p); err != nil {
		return err
	}
	if v.read == nil {
		if p.Pairs, err = v.pairsOf(t, e); err != nil {
			return err
		}
	}
	if err := v.travels(); err != nil {
		return err
	}
	v.trip.Compare = p.At + "/compare?from=" + strconv.FormatUint(v.trip.At, 10)
	return v.show("entity", entitiesNav, p.Title, p)
}

// entityChanges are the newest changes, as far as the person may read them.
func (v *visit) entityChanges(p *entityPage) error {
	got, err := v.c.API.Entity.ListEntityChanges(v.ctx, &munimentv1.ListEntityChangesRequest{Type: p.GetType(), EntityId: p.GetEntityId(), Descending: true, PageSize: 20, PageToken: v.r.URL.Query().Get("token"), Read: v.read})
	if err = v.unlessDenied(err); err != nil {
		return err
	}
	if p.Changes = got.GetChanges(); got.GetNextPageToken() != "" {
		q := v.r.URL.Query()
		q.Set("token", got.GetNextPageToken())
		p.Older = p.At + "?" + q.Encode()
	}
	return nil
}

// related are the entities that point to this one.
func (v *visit) related(p *entityPage) error {
	got, err := v.c.API.Entity.ListRelatedEntities(v.ctx, &munimentv1.ListRelatedEntitiesRequest{Type: p.GetType(), EntityId: p.GetEntityId(), PageSize: pageSize, PageToken: v.r.URL.Query().Get("related"), Read: v.read})
	if err = v.unlessDenied(err); err != nil {
		return err
	}
	types := map[string]*munimentv1.EntityType{p.GetType(): p.Type}
	for _, r := range got.GetEntities() {
		e := r.GetEntity()
		if types[e.GetType()] == nil {
			if types[e.GetType()], err = v.typeOf(e.GetType()); err != nil {
				return err
			}
		}
		t := types[e.GetType()]
		p.Related = append(p.Related, relatedRow{r.GetField(), entityPath(e), entityTitle(t, e), typeTitle(t), e.GetEntityId()})
	}
	if token := got.GetNextPageToken(); token != "" {
		q := v.r.URL.Query()
		q.Set("related", token)
		p.MoreTo = p.At + "?" + q.Encode()
	}
	return nil
}

// comparePair is the data of entitycompare.html.
type comparePair struct {
	Title, At, TypeAt, Type string
	From, To                string // as typed
	Got                     *munimentv1.CompareEntityResponse
	Problem                 string
	Curl                    same
}

// askEntity shows what differs between two points, or asks before an erasure.
func (v *visit) askEntity() error {
	t, e, err := v.getEntity()
	if err != nil {
		return err
	}
	switch v.r.PathValue("a") {
	case "compare":
		return v.compareEntity(t, e)
	case "erase":
		return v.ask(eraseQuestion(t, e))
	}
	return v.nothing()
}

func (v *visit) compareEntity(t *munimentv1.EntityType, e *munimentv1.Entity) error {
	q := v.r.URL.Query()
	p := comparePair{Title: entityTitle(t, e), At: entityPath(e), TypeAt: path("console", "entities", t.GetName()), Type: typeTitle(t), From: q.Get("from"), To: q.Get("to")}
	from, err := readPoint("from", or(p.From, "1"))
	to := (*munimentv1.Read)(nil)
	if err == nil {
		to, err = readPoint("to", p.To)
	}
	if err == nil {
		p.Got, err = v.c.API.Entity.CompareEntity(v.ctx, &munimentv1.CompareEntityRequest{Type: e.GetType(), EntityId: e.GetEntityId(), FromPosition: from.GetAtPosition(), FromTime: from.GetAtTime(), ToPosition: to.GetAtPosition(), ToTime: to.GetAtTime()})
		err = v.c.AsFault(err)
	}
	status := http.StatusOK
	switch {
	case fault.Is(err, fault.Invalid):
		status, p.Problem = http.StatusUnprocessableEntity, sentence(err)
	case err != nil:
		return err
	}
	pairs := append(pointPairs("from", from.GetAtPosition(), from.GetAtTime()), pointPairs("to", to.GetAtPosition(), to.GetAtTime())...)
	p.Curl = v.same("entity compare "+e.GetType()+" "+e.GetEntityId(), "/v1/entities/"+e.GetType()+"/"+e.GetEntityId()+"/compare", pairs...)
	return v.showAs(status, "entitycompare", v.view(entitiesNav, "What changed", p))
}

// eraseQuestion is what is asked before an erasure.
func eraseQuestion(t *munimentv1.EntityType, e *munimentv1.Entity) question {
	return question{Heading: "Erase " + entityTitle(t, e) + "?", Danger: true, Button: "Erase for good", Back: entityPath(e), Nav: entitiesNav, Reason: true,
		Points: []string{"The key is destroyed under which its fields are sealed. Nobody can read them again, here or in a backup.", "What is public of it stays, and so does every proof.", "What is sealed under other subjects, such as a person, is not touched."},
		Type:   e.GetEntityId()[:min(8, len(e.GetEntityId()))], Typed: "the beginning of its id"}
}

func (v *visit) actEntity() error {
	t, e, err := v.getEntity()
	if err != nil {
		return err
	}
	if v.r.PathValue("a") != "erase" {
		return v.nothing()
	}
	if ok, err := v.confirmed(eraseQuestion(t, e)); !ok {
		return err
	}
	_, err = v.c.API.Entity.EraseEntity(v.ctx, &munimentv1.EraseEntityRequest{Type: e.GetType(), EntityId: e.GetEntityId(), CommandId: v.command(), Reason: v.form("reason")})
	return v.said(entityPath(e), "Erased. What was sealed under it cannot be read any more.", err)
}

// entityStates are the badges of an entity.
func entityStates(e *munimentv1.Entity) (out []badge) {
	if e.GetDeleted() {
		out = append(out, badge{"Deleted", page.Calm})
	}
	if e.GetFailedPosition() > 0 {
		out = append(out, badge{"Not up to date", page.Bad})
	}
	if len(e.GetErased()) > 0 {
		out = append(out, badge{"Erased", page.Bad})
	}
	return out
}

package console

import (
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// keptRow is an event of a device that was not applied, with what its entity is
// called.
type keptRow struct {
	*munimentv1.KeptEvent
	Type string // of the entity: its title
	Of   known
	At   string
	Why  string
}

// keptStates are the badges of kept events.
var keptStates = map[string]badge{"pending": {"Waits", page.Warn}, "kept": {"Kept", page.Calm}, "applied": {"Applied", page.Good}, "dismissed": {"Left", page.Calm}}

func keptState(k *munimentv1.KeptEvent) badge { return keptStates[k.GetState()] }

// keptWhy is why an event was kept, for people.
var keptWhy = map[string]string{
	"ask":    "Others changed the same meanwhile: a person decides",
	"refuse": "Others changed the same meanwhile",
	"gone":   "Its entity was deleted",
}

// keptEvents lists what devices sent and was not applied.
func (v *visit) keptEvents() error {
	q := v.r.URL.Query()
	p := reviewPage{State: q.Get("state"), Paged: q.Get("token") != ""}
	if !q.Has("state") {
		p.State = "pending"
	}
	got, err := v.c.API.Sync.ListKeptEvents(v.ctx, &munimentv1.ListKeptEventsRequest{State: p.State, PageSize: reviewed, PageToken: q.Get("token")})
	if err != nil {
		return v.c.AsFault(err)
	}
	types := map[string]*munimentv1.EntityType{}
	for _, k := range got.GetEvents() {
		t, err := v.typeFrom(types, k.GetEntityType())
		if err != nil {
			return err
		}
		row, err := v.keptRow(k, t)
		if err != nil {
			return err
		}
		p.Kept = append(p.Kept, row)
	}
	p.Next = got.GetNextPageToken()
	p.Curl = v.same("sync list-kept-events", "/v1/sync/kept", "state", p.State)
	return v.show("kepts", reviewNav, "Review", p)
}

func (v *visit) keptRow(k *munimentv1.KeptEvent, t *munimentv1.EntityType) (keptRow, error) {
	of, err := v.know(t, k.GetEntityId())
	return keptRow{k, typeTitle(t), of, keptAt + path(plain(k.GetEntityId()), plain(k.GetEventId())), keptWhy[k.GetReason()]}, err
}

// keptOf finds the kept event in the address, with the type of its entity.
func (v *visit) keptOf() (*munimentv1.EntityType, keptRow, error) {
	id, err := v.id()
	if err != nil {
		return nil, keptRow{}, err
	}
	req := &munimentv1.ListKeptEventsRequest{EntityId: id, PageSize: 500}
	for {
		got, err := v.c.API.Sync.ListKeptEvents(v.ctx, req)
		if err != nil {
			return nil, keptRow{}, v.c.AsFault(err)
		}
		for _, k := range got.GetEvents() {
			if plain(k.GetEventId()) != v.r.PathValue("event") {
				continue
			}
			t, err := v.typeOf(k.GetEntityType())
			if err != nil {
				return nil, keptRow{}, err
			}
			row, err := v.keptRow(k, t)
			return t, row, err
		}
		if req.PageToken = got.GetNextPageToken(); req.PageToken == "" {
			return nil, keptRow{}, fault.New(fault.NotFound, "there is no such event, or it is none that you may see")
		}
	}
}

// keptPage is the data of kept.html: what the device said beside what stands.
type keptPage struct {
	keptRow
	Title    string
	Fields   []comparedField
	Settable bool
	Curl     same
}

func (v *visit) kept() error {
	t, row, err := v.keptOf()
	if err != nil {
		return err
	}
	p := keptPage{keptRow: row, Title: "What a device said of " + row.Of.Title, Settable: row.GetState() == "pending" && !v.me.past}
	p.Curl = v.same("sync list-kept-events --entity-id "+row.GetEntityId(), "/v1/sync/kept", "entity_id", row.GetEntityId())
	p.Fields = v.choices(t, row)
	return v.show("kept", reviewNav, p.Title, p)
}

// choices are the fields of a kept event: as its device said, and as the entity
// has them.
func (v *visit) choices(t *munimentv1.EntityType, row keptRow) (out []comparedField) {
	if row.GetLocked() {
		return nil
	}
	said, _ := event.ParseJSON([]byte(row.GetDataJson()))
	data, _ := said.(map[string]any)
	fields := fieldsOf(t, row.GetType())
	device := v.cells(&munimentv1.Entity{DataJson: row.GetDataJson()}, fields)
	now := device
	if row.Of.Entity != nil {
		now = v.cells(row.Of.Entity, fields)
	}
	for i, f := range fields {
		if _, says := data[f.GetName()]; !says {
			continue
		}
		c := comparedField{Field: f, Name: f.GetName(), A: device[i], B: now[i]}
		if row.Of.Entity == nil {
			c.B = cell{State: "locked"}
		}
		if c.Mark = compareCells(c.A, c.B); c.B.State == "absent" {
			c.Mark = badge{"New", page.Calm}
		}
		out = append(out, c)
	}
	return out
}

// fieldsOf are the fields of the newest revision of an event type.
func fieldsOf(t *munimentv1.EntityType, name string) (out []*munimentv1.TypeField) {
	for _, r := range t.GetEvents() {
		if r.GetType() == name {
			out = r.GetFields()
		}
	}
	return out
}

// settleKept decides about a kept event.
func (v *visit) settleKept() error {
	_, row, err := v.keptOf()
	if err != nil {
		return err
	}
	req := &munimentv1.SettleConflictRequest{EventId: row.GetEventId(), Apply: v.form("do") == "apply", CommandId: v.command(), Reason: v.form("reason")}
	said := "Left as it was. What the device said stays here."
	if req.Apply {
		said = "Applied."
	}
	_, err = v.c.API.Sync.SettleConflict(v.ctx, req)
	return v.said(row.At, said, err)
}

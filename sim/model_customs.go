package sim

import (
	"muniment.dev/custom"
	"muniment.dev/event"
)

// vehicle is an entity of customers.
type vehicle struct {
	version timeline[uint64]
	gone    timeline[bool]
	erased  timeline[bool]
	plate   timeline[string]
}

// evolveCustoms takes in a record of customers' events or definitions; ok is
// false for any other.
func (m *model) evolveCustoms(f event.Fact) (err error, ok bool) {
	switch p := f.Payload.(type) {
	case custom.SchemaApplied:
		if p.Rebuild {
			m.epoch = f.Position
		}
		return nil, true
	case custom.EntityErased:
		b := m.buses[p.Entity]
		if b == nil || b.erased.now() {
			return wrong("there is no such entity, or it was erased before"), true
		}
		b.erased.set(f.Position, true)
		m.replate(f, p.Entity, b, "")
		return b.follow(f), true
	case event.Custom:
		return m.drive(f, p), true
	}
	return nil, false
}

// follow is one more event of an entity.
func (b *vehicle) follow(f event.Fact) error {
	if f.Version != b.version.now()+1 {
		return wrong("version %d follows %d", f.Version, b.version.now())
	}
	b.version.set(f.Position, f.Version)
	return nil
}

func (m *model) drive(f event.Fact, p event.Custom) error {
	b := m.buses[f.Stream.ID]
	makes := p.Type == "bus-bought"
	switch {
	case f.Actor.ID != m.publisher && f.Actor != event.System:
		return wrong("the actor may not publish")
	case b == nil && !makes:
		return wrong("there is no such entity")
	case b == nil:
		b = &vehicle{}
		m.buses[f.Stream.ID] = b
	case b.erased.now():
		return wrong("the entity was erased")
	case b.gone.now() && !makes:
		return wrong("the entity was scrapped")
	}
	if p.Type == "bus-scrapped" {
		b.gone.set(f.Position, true)
		m.replate(f, f.Stream.ID, b, "")
		return b.follow(f)
	}
	b.gone.set(f.Position, false)
	if plate, has := p.Fields["plate"].(string); has {
		if who := line(m.plates, plate).now(); !who.IsZero() && who != f.Stream.ID {
			return wrong("%s has this plate already", short(who))
		}
		m.replate(f, f.Stream.ID, b, plate)
	}
	return b.follow(f)
}

// replate takes an entity its unique value, and gives it another.
func (m *model) replate(f event.Fact, id event.ID, b *vehicle, plate string) {
	if old := b.plate.now(); old != "" {
		m.plates[old].set(f.Position, event.ID{})
	}
	if plate != "" {
		line(m.plates, plate).set(f.Position, id)
	}
	b.plate.set(f.Position, plate)
}

// Package entity holds what the tables of things have in common: when a thing
// came to be, when it last changed, how many records its stream has and where
// the last of them stands. Slices declare their views with it, and adapters
// read it back.
package entity

import (
	"maps"
	"time"

	"muniment.dev/event"
	"muniment.dev/view"
)

// Order is the column by which lists are ordered, oldest first: the position
// of the record by which the thing came to be. Unlike times, no two are equal.
const Order = "added"

// Columns are a table's own columns and the common ones.
func Columns(own ...view.Column) []view.Column {
	return append(own,
		view.Column{Name: Order, Kind: event.Int},
		view.Column{Name: "created", Kind: event.Time},
		view.Column{Name: "changed", Kind: event.Time},
		view.Column{Name: "version", Kind: event.Int},
		view.Column{Name: "position", Kind: event.Int},
	)
}

// Created is set and the common columns of a thing that f brought about.
func Created(f event.Fact, set view.Values) view.Values {
	out := Changed(f, set)
	out[Order], out["created"] = f.Position, f.Time
	return out
}

// Changed is set and the common columns of a thing that f, a record of its
// stream, changed.
func Changed(f event.Fact, set view.Values) view.Values {
	out := maps.Clone(set)
	if out == nil {
		out = view.Values{}
	}
	out["changed"], out["version"], out["position"] = f.Time, f.Version, f.Position
	return out
}

// Types names the event types of a slice's table.
func Types(events []event.Descriptor) []string {
	var out []string
	for _, d := range events {
		out = append(out, d.Type)
	}
	return out
}

// Entity is the common columns of a row.
type Entity struct {
	Created, Changed time.Time
	Version          uint64
	Position         event.Position
}

// Of reads the common columns of a row.
func Of(r view.Row) Entity {
	return Entity{Created: r.Time("created"), Changed: r.Time("changed"),
		Version: uint64(r.Int("version")), Position: event.Position(r.Int("position"))}
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"muniment.dev/examples/client"
)

// tablet is a device with a copy of the data. What it does offline waits in its
// outbox. A real one keeps all of this on its disk.
type tablet struct {
	name    string
	client  *client.Client
	wrong   time.Duration // by how much its clock is
	replica string        // which copy of the data this is: made once

	cursor string // of the newest finished pull
	log    []pulled
	outbox []made
	last   map[string]string // of each household the last event made here that no pull has brought back
}

// made is an event that was made here, with what was known when it was.
type made struct {
	Event    client.Event `json:"event"`
	Base     string       `json:"base,omitempty"`
	Previous string       `json:"previous,omitempty"`
}

// pulled is an event that the server has.
type pulled struct {
	ID         string   `json:"eventId"`
	Entity     string   `json:"entityId"`
	Type       string   `json:"type"`
	Data       string   `json:"dataJson"`
	Superseded []string `json:"superseded"` // fields that do not count
}

// result is what became of an event that was pushed.
type result struct {
	ID         string   `json:"eventId"`
	Status     string   `json:"status"`
	Repeated   bool     `json:"repeated"`
	Superseded []string `json:"superseded"`
	Problem    string   `json:"problem"`
}

func newTablet(name string, c *client.Client, wrong time.Duration) *tablet {
	return &tablet{name: name, client: c, wrong: wrong, replica: client.NewID(), last: map[string]string{}}
}

// record makes an event. It needs no network.
func (d *tablet) record(typ, household string, data map[string]any) {
	now := time.Now().Add(d.wrong).UTC()
	e := client.Event{ID: client.NewID(), Type: typ, Entity: household, Organization: os.Getenv("ORGANIZATION"), Data: data, Occurred: &now,
		Context: &client.Context{Device: d.name, Network: "offline"}}
	d.outbox = append(d.outbox, made{e, d.cursor, d.last[household]})
	d.last[household] = e.ID
}

// sync pushes what is in the outbox and pulls what others did.
func (d *tablet) sync(ctx context.Context) error {
	if len(d.outbox) > 0 {
		results, err := d.push(ctx)
		if err != nil {
			return err
		}
		d.answered(results)
	}
	return d.pull(ctx)
}

// push sends the outbox, which stays as it is until the answer has come.
func (d *tablet) push(ctx context.Context) ([]result, error) {
	var out struct {
		Results []result `json:"results"`
	}
	err := d.client.Post(ctx, "/v1/sync:push", map[string]any{"replica": d.replica, "events": d.outbox}, &out)
	if err != nil {
		return nil, err
	}
	for _, r := range out.Results {
		if r.Status == "PUSH_STATUS_INVALID" || r.Status == "PUSH_STATUS_WAITING" {
			return nil, fmt.Errorf("%s: event %s is %s: %s", d.name, r.ID, r.Status, r.Problem)
		}
	}
	return out.Results, nil
}

// answered forgets what the server has.
func (d *tablet) answered(results []result) {
	d.outbox = slices.DeleteFunc(d.outbox, func(m made) bool {
		return slices.ContainsFunc(results, func(r result) bool { return client.UUID(r.ID) == m.Event.ID })
	})
}

// pull fetches what stands behind the cursor. There is no time in it, so it
// does not matter whose clock is wrong.
func (d *tablet) pull(ctx context.Context) error {
	for {
		var page struct {
			Events   []pulled `json:"events"`
			Next     string   `json:"nextCursor"`
			Complete bool     `json:"complete"`
		}
		if err := d.client.Post(ctx, "/v1/sync:pull", map[string]any{"cursor": d.cursor, "entityTypes": []string{"household"}}, &page); err != nil {
			return err
		}
		d.log, d.cursor = append(d.log, page.Events...), page.Next
		if page.Complete {
			clear(d.last)
			return nil
		}
	}
}

// households are what follows from the events, in the order in which the server
// has them, and from those in the outbox after them.
func (d *tablet) households() map[string]map[string]any {
	all := map[string]map[string]any{}
	for _, e := range d.log {
		var data map[string]any
		_ = json.Unmarshal([]byte(e.Data), &data) // the server has checked it
		for _, name := range e.Superseded {
			delete(data, name)
		}
		apply(all, client.UUID(e.Entity), e.Type, data)
	}
	for _, m := range d.outbox {
		apply(all, m.Event.Entity, m.Event.Type, m.Event.Data.(map[string]any))
	}
	return all
}

// apply is what an event means to a household, as its definition says it.
func apply(all map[string]map[string]any, id, typ string, data map[string]any) {
	h := all[id]
	if h == nil {
		h = map[string]any{}
		all[id] = h
	}
	switch typ {
	case "member-joined":
		members, _ := h["members"].([]any)
		if m, ok := data["member"]; ok && !slices.Contains(members, m) {
			h["members"] = append(members, m)
		}
	case "ration-delivered":
		if m, ok := data["month"]; ok {
			h["ration"] = m
		}
	default:
		for name, v := range data {
			h[name] = v
		}
	}
}

// text is a household as JSON.
func (d *tablet) text(id string) string {
	b, _ := json.Marshal(d.households()[id]) // it came from JSON
	return string(b)
}

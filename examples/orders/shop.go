package main

import (
	"context"
	"fmt"
	"io"

	"muniment.dev/examples/client"
)

// shop is the order service.
type shop struct {
	orders       *client.Client
	organization string
	out          io.Writer

	customers []string // their ids
	sold      []string // the orders' ids
}

// line is what was ordered of one article.
type line struct {
	Article string `json:"article"`
	Count   int    `json:"count"`
	Cents   int    `json:"cents"` // for one
}

// sale is an order and how far it came.
type sale struct {
	customer int
	line     line
	by       string // how it was paid; empty: not yet
	carrier  string
	returned string // why
}

// sell records some orders. What happened to one goes in one request, which is
// recorded as a whole or not at all.
func (s *shop) sell(ctx context.Context) error {
	s.customers = []string{client.NewID(), client.NewID()}
	recorded, last := 0, []client.Event{}
	for _, x := range []sale{
		{0, line{"teapot", 2, 2490}, "card", "pigeon", "changed-mind"},
		{1, line{"chair", 1, 12900}, "invoice", "coach", ""},
		{0, line{"lamp", 1, 8900}, "card", "coach", "changed-mind"},
		{1, line{"shelf", 1, 7500}, "", "", ""},
		{0, line{"cup", 1, 990}, "transfer", "pigeon", ""},
	} {
		id := client.NewID()
		last = s.events(id, x)
		done, err := s.orders.Publish(ctx, last...)
		if err != nil {
			return err
		}
		s.sold, recorded = append(s.sold, id), recorded+len(done)
	}
	fmt.Fprintf(s.out, "The order service recorded %d events of %d orders.\n", recorded, len(s.sold))

	// The ids of the events make it safe to send them again when in doubt.
	again, err := s.orders.Publish(ctx, last...)
	if err != nil {
		return err
	}
	for _, e := range again {
		if !e.Repeated {
			return fmt.Errorf("an event that was sent twice stands at position %d a second time", e.Position)
		}
	}
	fmt.Fprintf(s.out, "It sends the last %d again, as if the answer was lost: they stand in the log once.\n", len(again))
	return nil
}

// events are what happened to an order.
func (s *shop) events(id string, x sale) []client.Event {
	cents := x.line.Count * x.line.Cents
	event := func(typ string, data map[string]any) client.Event {
		return client.Event{ID: client.NewID(), Type: typ, Entity: id, Organization: s.organization, Data: data}
	}
	list := []client.Event{event("order-created", map[string]any{"customer": s.customers[x.customer], "lines": []line{x.line}, "cents": cents, "address": "12 St James's Square, London"})}
	if x.by != "" {
		list = append(list, event("order-paid", map[string]any{"cents": cents, "by": x.by}))
	}
	if x.carrier != "" {
		list = append(list, event("order-shipped", map[string]any{"carrier": x.carrier}))
	}
	if x.returned != "" {
		list = append(list, event("order-returned", map[string]any{"why": x.returned, "cents": cents}))
	}
	return list
}

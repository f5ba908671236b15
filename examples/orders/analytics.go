package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"muniment.dev/examples/client"
)

// analytics reads what happened to orders and makes up its own mind.
type analytics struct {
	client *client.Client
	shop   *shop
	out    io.Writer
}

// order is what follows from the events of an order.
type order struct {
	Customer string `json:"customer"`
	State    string `json:"state"`
	Cents    int    `json:"cents"`
	Paid     int    `json:"paid"`
}

// apply is what an event means to an order.
func (o *order) apply(e client.Recorded) error {
	var cents int
	if v := e.Field("cents").Value; v != nil {
		if err := json.Unmarshal(v, &cents); err != nil {
			return err
		}
	}
	switch e.Type {
	case "order-created":
		o.Customer, o.Cents = client.UUID(e.Text("customer")), cents
	case "order-paid":
		o.Paid += cents
	}
	o.State = strings.TrimPrefix(e.Type, "order-")
	return nil
}

// look replays all orders, compares the outcome with what Muniment serves, and
// draws its conclusions.
func (a *analytics) look(ctx context.Context) error {
	events, err := a.client.Events(ctx, map[string][]string{"types": {"order-*"}, "organizationIds": {a.shop.organization}})
	if err != nil {
		return err
	}
	orders, read := map[string]*order{}, 0
	for _, e := range events {
		id := e.Entity()
		if !slices.Contains(a.shop.sold, id) {
			continue // of an earlier run
		}
		if e.Type == "order-created" && !e.Field("address").Withheld {
			return fmt.Errorf("analytics sees the address in the event at position %d", e.Position)
		}
		if orders[id] == nil {
			orders[id] = &order{}
		}
		if err := orders[id].apply(e); err != nil {
			return err
		}
		read++
	}
	fmt.Fprintf(a.out, "Analytics reads %d events of %d orders. The addresses are withheld from it.\n", read, len(orders))
	if err := a.compare(ctx, orders); err != nil {
		return err
	}
	a.conclude(orders)
	return nil
}

func (a *analytics) compare(ctx context.Context, orders map[string]*order) error {
	for id, replayed := range orders {
		var served order
		e, err := a.client.Entity(ctx, "order", id, 0, &served)
		if err != nil {
			return err
		}
		if served != *replayed || !slices.Contains(e.Locked, "address") {
			return fmt.Errorf("order %s is served as %+v, without %v; replayed it is %+v", id, served, e.Locked, *replayed)
		}
	}
	fmt.Fprintln(a.out, "Replayed from their events, all orders are as Muniment serves them.")
	return nil
}

// conclude looks for customers who send most of it back.
func (a *analytics) conclude(orders map[string]*order) {
	turnover, back := 0, 0
	bought, returned := map[string]int{}, map[string]int{}
	for _, o := range orders {
		turnover += o.Paid
		if bought[o.Customer]++; o.State == "returned" {
			returned[o.Customer]++
			back += o.Paid
		}
	}
	fmt.Fprintf(a.out, "Turnover: %d cents, of which %d came back.\n", turnover, back)
	for i, c := range a.shop.customers {
		if returned[c]*2 > bought[c] {
			fmt.Fprintf(a.out, "Suspicious: customer %d returned %d of %d orders.\n", i+1, returned[c], bought[c])
		}
	}
}

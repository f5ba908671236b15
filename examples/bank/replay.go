package main

import (
	"context"
	"fmt"
	"math/big"
	"strings"
)

// replay sums up what happened to an account, and compares the sum after each
// event with what Muniment says the balance was just then.
func (t *teller) replay(ctx context.Context, id string) error {
	events, err := t.client.Events(ctx, map[string][]string{"types": {"account-*", "money-*"}, "streams": {"account:" + strings.ReplaceAll(id, "-", "")}})
	if err != nil {
		return err
	}
	sum, course := new(big.Rat), []string{}
	for _, e := range events {
		amount := new(big.Rat)
		if v := e.Field("amount").Value; v != nil {
			if amount, err = exact(string(v)); err != nil {
				return err
			}
		}
		switch e.Type {
		case "money-deposited":
			sum.Add(sum, amount)
		case "money-withdrawn":
			sum.Sub(sum, amount)
		}
		var then account
		if _, err := t.client.Entity(ctx, "account", id, e.Position, &then); err != nil {
			return err
		}
		served, err := exact(then.Balance.String())
		if err != nil {
			return err
		}
		if served.Cmp(sum) != 0 {
			return fmt.Errorf("at position %d the balance is served as %s, and sums up to %s", e.Position, then.Balance, sum.FloatString(2))
		}
		course = append(course, sum.FloatString(2))
	}
	fmt.Fprintf(t.out, "The balance after each of %d events, replayed and as it is served: %s.\n", len(events), strings.Join(course, ", "))
	return nil
}

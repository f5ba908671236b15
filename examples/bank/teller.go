package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"sync"

	"muniment.dev/examples/client"
)

// teller books what happens to accounts.
type teller struct {
	client       *client.Client
	organization string
	out          io.Writer
}

// account is what the bank asks an account for.
type account struct {
	Balance json.Number `json:"balance"`
}

var errShort = errors.New("there is not enough money in the account")

// open opens an account and puts money in it, and finds out that its number
// cannot be given away again.
func (t *teller) open(ctx context.Context) (id string, err error) {
	id = client.NewID()
	serial, err := rand.Int(rand.Reader, big.NewInt(100_000_000))
	if err != nil {
		return "", err
	}
	number := fmt.Sprintf("%08d", serial)
	opened := client.Event{Type: "account-opened", Entity: id, Organization: t.organization,
		Data: map[string]any{"number": number, "holder": "Ada Lovelace", "currency": "CHF"}}
	deposits := []client.Event{opened}
	// In binary fractions, 0.1 and 0.2 would not be 0.3.
	for _, amount := range []json.Number{"0.10", "0.20", "100.00"} {
		deposits = append(deposits, client.Event{Type: "money-deposited", Entity: id, Data: map[string]any{"amount": amount}})
	}
	if _, err := t.client.Publish(ctx, deposits...); err != nil {
		return "", err
	}
	var a account
	if _, err := t.client.Entity(ctx, "account", id, 0, &a); err != nil {
		return "", err
	}
	fmt.Fprintf(t.out, "An account was opened; 0.10, 0.20 and 100.00 make %s.\n", a.Balance)

	opened.Entity = client.NewID()
	if _, err = t.client.Publish(ctx, opened); !client.Is(err, "exists") {
		return "", fmt.Errorf("the same number again: %v", err)
	}
	fmt.Fprintln(t.out, "Another account of that number:", err)
	return id, nil
}

// race lets two withdrawals come at once, of which the account can bear one.
func (t *teller) race(ctx context.Context, id string) (client.Published, error) {
	var both, done sync.WaitGroup
	both.Add(2)
	var booked [2]client.Published
	var failed [2]error
	for i := range 2 {
		done.Go(func() {
			// Each has seen the balance before either books.
			booked[i], failed[i] = t.withdraw(ctx, id, "80.10", sync.OnceFunc(func() { both.Done(); both.Wait() }))
		})
	}
	done.Wait()
	switch {
	case failed[0] == nil && errors.Is(failed[1], errShort):
	case failed[1] == nil && errors.Is(failed[0], errShort):
		booked[0] = booked[1]
	default:
		return client.Published{}, fmt.Errorf("two withdrawals at once: %v and %v", failed[0], failed[1])
	}
	fmt.Fprintf(t.out, "Two withdrawals of 80.10 at once: one is booked as number %d of the account, the other learns that %v.\n", booked[0].Version, errShort)
	return booked[0], nil
}

// withdraw books a withdrawal if the balance allows it. The check is the bank's
// own: it reads the balance, decides, and books on the condition that nothing
// happened to the account since. If something did, it begins again.
func (t *teller) withdraw(ctx context.Context, id, amount string, looked func()) (client.Published, error) {
	e := client.Event{ID: client.NewID(), Type: "money-withdrawn", Entity: id, Data: map[string]any{"amount": json.Number(amount), "purpose": "cash"}}
	for {
		var a account
		now, err := t.client.Entity(ctx, "account", id, 0, &a)
		if err != nil {
			return client.Published{}, err
		}
		looked()
		has, err := exact(a.Balance.String())
		if err != nil {
			return client.Published{}, err
		}
		wants, err := exact(amount)
		if err != nil {
			return client.Published{}, err
		}
		if has.Cmp(wants) < 0 {
			return client.Published{}, errShort
		}
		e.Expected = &now.Version
		booked, err := t.client.PublishProven(ctx, e)
		if client.Is(err, "conflict") {
			continue
		}
		if err != nil {
			return client.Published{}, err
		}
		return booked[0], nil
	}
}

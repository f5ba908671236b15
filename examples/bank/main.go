// Command bank is an example: an account whose balance is nothing but the sum
// of what happened to it, exact, at any time, and provable to the other side.
// README.md says how to run it.
package main

import (
	"context"
	"fmt"
	"io"
	"math/big"
	"os"

	"muniment.dev/examples/client"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bank:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	c, err := client.Of(ctx, "TELLER")
	if err != nil {
		return err
	}
	key := os.Getenv("KEY")
	if key == "" {
		return fmt.Errorf("KEY is not set: the verifier key of the log, which the server prints when it starts")
	}
	t := &teller{client: c, organization: os.Getenv("ORGANIZATION"), out: out}
	account, err := t.open(ctx)
	if err != nil {
		return err
	}
	booked, err := t.race(ctx, account)
	if err != nil {
		return err
	}
	if err := t.replay(ctx, account); err != nil {
		return err
	}
	return dispute(out, booked.Receipt, key)
}

// exact reads a decimal number. Money is not counted in binary fractions.
func exact(number string) (*big.Rat, error) {
	r, ok := new(big.Rat).SetString(number)
	if !ok {
		return nil, fmt.Errorf("%q is not a number", number)
	}
	return r, nil
}

// Command orders is an example: a shop whose order service alone may record
// what happens to orders, while analytics may read all of it, and anybody else
// nothing. README.md says how to run it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"muniment.dev/examples/client"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "orders:", err)
		os.Exit(1)
	}
}

// run lets each service do its part, with an account of its own.
func run(ctx context.Context, out io.Writer) error {
	services := map[string]*client.Client{}
	for _, name := range []string{"ORDERS", "ANALYTICS", "STOREFRONT"} {
		c, err := client.Of(ctx, name)
		if err != nil {
			return err
		}
		services[name] = c
	}
	s := &shop{orders: services["ORDERS"], organization: os.Getenv("ORGANIZATION"), out: out}
	if err := s.sell(ctx); err != nil {
		return err
	}
	if err := refused(ctx, out, s.sold[0], services["STOREFRONT"], services["ANALYTICS"]); err != nil {
		return err
	}
	return (&analytics{client: services["ANALYTICS"], shop: s, out: out}).look(ctx)
}

// refused tries what nobody but the order service may. An error is that it
// works.
func refused(ctx context.Context, out io.Writer, order string, storefront, analytics *client.Client) error {
	paid := client.Event{Type: "order-paid", Entity: order, Data: map[string]any{"cents": 1, "by": "card"}}
	_, err := storefront.Publish(ctx, paid)
	if !client.Is(err, "denied") {
		return fmt.Errorf("the storefront recorded a payment: %v", err)
	}
	fmt.Fprintln(out, "The storefront records a payment:", err)
	if _, err = analytics.Publish(ctx, paid); !client.Is(err, "denied") {
		return fmt.Errorf("analytics recorded a payment: %v", err)
	}
	fmt.Fprintln(out, "Analytics records a payment:", err)
	if _, err = storefront.Events(ctx, map[string][]string{"types": {"order-paid"}}); !client.Is(err, "denied") {
		return fmt.Errorf("the storefront reads payments: %v", err)
	}
	fmt.Fprintln(out, "The storefront reads payments:", err)
	return nil
}

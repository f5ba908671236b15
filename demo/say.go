package demo

import (
	"fmt"
	"io"
	"time"

	"muniment.dev/event"
)

// say prints what there is to see.
func say(out io.Writer, a Addresses, size event.Position, took time.Duration, kept bool) {
	fmt.Fprintf(out, `
Muniment runs with a month of history (%d records, replayed in %d ms).

  Console      %s
  Sample       %s   a travel desk that signs people in
  Sign in as   %s   the owner
               %s     may approve trips
  Password     %s   (all of them)

Three things to try

  1  Sign in to the sample as Ada, approve the trip. In the console, under
     Events, find what you did; every event shows its proof.

  2  Tamper with a copy, and verify:
       go run ./cmd/muniment tamper %[8]s copy 42
       go run ./cmd/muniment verify copy --key '%[9]s'

  3  Erase Ada (console, People, Ada, Erase), and verify again: what is
     missing is lawful, and every proof still holds.
       go run ./cmd/muniment verify %[8]s --key '%[9]s'

`, size, took.Milliseconds(), a.Console, a.Sample, a.Owner, a.Ada, Password, a.Data, a.VerifierKey)
	if kept {
		fmt.Fprintf(out, "The data stays in %s. Stop with Ctrl-C.\n", a.Data)
		return
	}
	fmt.Fprintln(out, "Nothing is kept when you stop with Ctrl-C; --keep DIR keeps it.")
}

// Command health is an example: health records in which reading is an event,
// diagnoses are sealed under the patient, opening them is a right, and a patient
// can be forgotten without a proof less. README.md says how to run it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"muniment.dev/examples/client"
	"muniment.dev/ledger/verify"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "health:", err)
		os.Exit(1)
	}
}

// hospital is all who have to do with a record.
type hospital struct {
	ward, billing, research, office *client.Client

	organization, patient, record string
	out                           io.Writer
}

func run(ctx context.Context, out io.Writer) error {
	h := &hospital{organization: os.Getenv("ORGANIZATION"), patient: client.NewID(), record: client.NewID(), out: out}
	for name, c := range map[string]**client.Client{"WARD": &h.ward, "BILLING": &h.billing, "RESEARCH": &h.research, "OFFICE": &h.office} {
		var err error
		if *c, err = client.Of(ctx, name); err != nil {
			return err
		}
	}
	key := os.Getenv("KEY")
	if key == "" {
		return fmt.Errorf("KEY is not set: the verifier key of the log, which the server prints when it starts")
	}
	if err := h.admit(ctx); err != nil {
		return err
	}
	if err := h.everybodyReads(ctx); err != nil {
		return err
	}
	if err := h.whoRead(ctx); err != nil {
		return err
	}
	receipts, err := h.receipts(ctx)
	if err != nil {
		return err
	}
	if err := h.forget(ctx); err != nil {
		return err
	}
	return h.proofs(ctx, key, receipts)
}

// receipts are the proofs of all that happened to the record.
func (h *hospital) receipts(ctx context.Context) ([][]byte, error) {
	events, err := h.trail(ctx)
	if err != nil {
		return nil, err
	}
	var all [][]byte
	for _, e := range events {
		r, err := h.ward.Receipt(ctx, e.Position)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// proofs checks the receipts from before the erasure, and those of now, with the
// key that the hospital has kept.
func (h *hospital) proofs(ctx context.Context, key string, before [][]byte) error {
	after, err := h.receipts(ctx)
	if err != nil {
		return err
	}
	for _, receipt := range append(before, after...) {
		r, err := verify.Receipt(receipt, key)
		if err != nil || r.Verdict != verify.Verified {
			return fmt.Errorf("a receipt does not hold: %v", err)
		}
	}
	fmt.Fprintf(h.out, "Checked offline, %d receipts from before the erasure and %d from after it are all verified.\n", len(before), len(after))
	return nil
}

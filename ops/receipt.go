package ops

import (
	"context"
	"slices"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
	"muniment.dev/ledger"
	"muniment.dev/ledger/verify"
	"muniment.dev/seal"
)

// Receipt makes the receipt of a record against the first stored checkpoint
// that covers it, and opens the given paths in it (keys may be nil without
// any). fault.NotFound if there is no such record; fault.Unavailable if it is
// under no checkpoint yet.
func Receipt(ctx context.Context, store eventlog.Store, log event.LogID, at event.Position, keys *seal.Keys, disclose ...string) ([]byte, error) {
	log, head, bad, err := end(ctx, store, log)
	switch {
	case err != nil:
		return nil, err
	case bad != nil:
		return nil, fault.New(fault.Corrupt, "%s; run verify", bad.Msg)
	case at == 0 || at > head.Size:
		return nil, fault.New(fault.NotFound, "there is no record %d; the log has %d", at, head.Size)
	}
	c, err := covering(ctx, store, log, at)
	if err != nil {
		return nil, err
	}
	var opened []ledger.Disclosure
	if len(disclose) > 0 {
		if opened, err = open(ctx, store, log, at, keys, disclose); err != nil {
			return nil, err
		}
	}
	return ledger.NewProver(store, log).Receipt(ctx, at, c, opened...)
}

// covering returns the first stored checkpoint that covers a position.
func covering(ctx context.Context, store eventlog.Store, log event.LogID, at event.Position) (ledger.Checkpoint, error) {
	for c, err := range store.Checkpoints(ctx, log, at) {
		if err != nil {
			return ledger.Checkpoint{}, fault.Wrap("read the checkpoints", err)
		}
		cp, err := ledger.ParseCheckpoint(c.Note)
		if err == nil {
			var g []eventlog.Generation
			if g, err = eventlog.GenerationsOf(ctx, store, log); err != nil {
				return cp, err
			}
			if !slices.ContainsFunc(g, func(g eventlog.Generation) bool { return g.ID == cp.Log && g.First <= cp.Size }) {
				err = fault.New(fault.Corrupt, "the checkpoint is of log %s", cp.Log)
			}
		}
		if err != nil || cp.Size != c.Size {
			return ledger.Checkpoint{}, fault.New(fault.Corrupt, "the checkpoint of size %d is damaged; run verify", c.Size)
		}
		return cp, nil
	}
	return ledger.Checkpoint{}, fault.New(fault.Unavailable, "record %d is under no signed checkpoint yet; start the server, or wait a second", at)
}

func open(ctx context.Context, store eventlog.Store, log event.LogID, at event.Position, keys *seal.Keys, paths []string) ([]ledger.Disclosure, error) {
	if keys == nil {
		return nil, fault.New(fault.Invalid, "to disclose a field, the keys are needed")
	}
	var out []ledger.Disclosure
	for r, err := range store.Records(ctx, log, at, at) {
		if err != nil {
			return nil, fault.Wrap("read the record", err)
		}
		list, err := seal.Disclose(ctx, keys, log, r, paths...)
		if err != nil {
			return nil, err
		}
		for _, d := range list {
			out = append(out, ledger.Disclosure{Subject: d.Subject, Path: d.Path, Value: d.Value, Salt: d.Salt[:]})
		}
	}
	return out, nil
}

// VerifyReceipt checks a receipt file. With the log's public key the verdict is
// verify.Verified, else verify.Consistent. A receipt that does not hold gives
// fault.Invalid; a key that is not one as well, with Field "key".
func VerifyReceipt(receipt []byte, key string) (*verify.ReceiptReport, error) {
	r, err := verify.Receipt(receipt, key)
	if err == nil {
		return r, nil
	}
	f := &fault.Error{Kind: fault.Invalid, Msg: err.Error()}
	if e, ok := err.(*verify.Error); ok && e.Code == verify.KeyMalformed {
		f.Field = "key"
	}
	return nil, f
}

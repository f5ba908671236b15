package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"muniment.dev/event"
	"muniment.dev/fault"
)

type receiptCommand struct {
	Position uint64   `arg:"" help:"Position of the record."`
	Data     string   `help:"The data directory." type:"path" default:"." env:"MUNIMENT_DATA" placeholder:"DIR"`
	Out      string   `help:"Write to this file instead of standard output." type:"path" placeholder:"FILE"`
	Disclose []string `help:"Open this sealed field in the receipt (a path such as /email). May be repeated." placeholder:"PATH"`
	where
}

func (c *receiptCommand) run(ctx context.Context, s streams) (int, error) {
	l, err := c.layout(c.Data)
	if err != nil {
		return ExitUnchecked, err
	}
	receipt, err := ReceiptDir(ctx, l, event.Position(c.Position), c.Disclose...)
	if fault.Is(err, fault.Corrupt) {
		return ExitFound, err
	}
	if err != nil {
		return ExitUnchecked, err
	}
	if c.Out == "" {
		_, err = s.out.Write(receipt)
		return codeOf(err), err
	}
	f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return ExitUnchecked, &fault.Error{Kind: fault.Exists, Field: "out", Msg: "the file cannot be made; it must not exist yet", Err: err}
	}
	if _, err = f.Write(receipt); err == nil {
		err = f.Sync()
	}
	f.Close()
	return codeOf(err), err
}

func codeOf(err error) int {
	if err != nil {
		return ExitUnchecked
	}
	return ExitOK
}

// ReceiptDir is Receipt for a data directory, offline or beside a running
// server.
func ReceiptDir(ctx context.Context, l Layout, at event.Position, disclose ...string) ([]byte, error) {
	store, err := openLog(ctx, l)
	if err != nil {
		return nil, err
	}
	defer store.close()
	if len(disclose) == 0 {
		return Receipt(ctx, store, event.LogID{}, at, nil)
	}
	keys, err := openKeys(ctx, l)
	if err != nil {
		return nil, err
	}
	defer keys.Close()
	return Receipt(ctx, store, event.LogID{}, at, keys, disclose...)
}

type verifyReceiptCommand struct {
	File string `arg:"" help:"The receipt." type:"path"`
	Key  string `help:"The log's public key, or a file that holds it. Get it from elsewhere than from whoever gave you the receipt." placeholder:"KEY|FILE"`
	JSON bool   `name:"json" help:"Write the result as JSON."`
}

func (c *verifyReceiptCommand) run(_ context.Context, s streams) (int, error) {
	key, err := keyOf(c.Key)
	if err != nil {
		return ExitUnchecked, err
	}
	b, err := os.ReadFile(c.File)
	if err != nil {
		return ExitUnchecked, &fault.Error{Kind: fault.NotFound, Msg: "the receipt cannot be read", Err: err}
	}
	r, err := VerifyReceipt(b, key)
	var f *fault.Error
	switch {
	case errors.As(err, &f) && f.Field == "key":
		return ExitUnchecked, err
	case err != nil:
		fmt.Fprintf(s.out, "FAILED: the receipt does not hold.\n\n  %s\n", printable(f.Msg))
		return ExitFound, nil
	case c.JSON:
		e := json.NewEncoder(s.out)
		e.SetIndent("", "  ")
		return ExitOK, e.Encode(r)
	}
	writeReceipt(s.out, r)
	return ExitOK, nil
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"muniment.dev/ledger/verify"
)

// dispute settles what a customer denies, without asking the server: by the
// receipt that came with the booking, and by the key of the log, which both
// sides have known before. Whoever trusts neither the bank nor Muniment can do
// the same with a verifier of their own, from docs/record-format.md.
func dispute(out io.Writer, receipt []byte, key string) error {
	r, err := verify.Receipt(receipt, key)
	if err != nil {
		return err
	}
	amount, err := amountOf(r.Leaf)
	if err != nil {
		return err
	}
	if r.Verdict != verify.Verified || amount.FloatString(2) != "80.10" {
		return fmt.Errorf("the receipt is %s, and of %s", r.Verdict, amount.FloatString(2))
	}
	entity, _, _ := strings.Cut(r.Leaf.Stream, ":")
	fmt.Fprintf(out, "The withdrawal is disputed. Its receipt, checked offline: %s, %s of %s, number %d of the %s.\n", r.Verdict, r.Leaf.Type, amount.FloatString(2), r.Leaf.StreamVersion, entity)

	forged, err := forge(receipt)
	if err != nil {
		return err
	}
	if _, err = verify.Receipt(forged, key); err == nil {
		return errors.New("a receipt that was tampered with is taken for good")
	}
	fmt.Fprintln(out, "The same receipt, as if it had been 800.10:", err)
	return nil
}

// amountOf is what the record itself says, in CBOR. A decimal fraction is a
// power of ten and a whole number (RFC 8949 §3.4.4).
func amountOf(leaf *verify.Leaf) (*big.Rat, error) {
	var said struct {
		Amount cbor.RawMessage `cbor:"amount"`
	}
	if err := cbor.Unmarshal(leaf.Public, &said); err != nil {
		return nil, err
	}
	var whole int64
	if cbor.Unmarshal(said.Amount, &whole) == nil {
		return big.NewRat(whole, 1), nil
	}
	var tag cbor.RawTag
	if err := cbor.Unmarshal(said.Amount, &tag); err != nil {
		return nil, err
	}
	var parts [2]int64
	if err := cbor.Unmarshal(tag.Content, &parts); err != nil {
		return nil, err
	}
	return exact(fmt.Sprintf("%de%d", parts[1], parts[0]))
}

// forge makes 80.10 into 800.10 in the record that a receipt is of.
func forge(receipt []byte) ([]byte, error) {
	var file map[string]any
	if err := json.Unmarshal(receipt, &file); err != nil {
		return nil, err
	}
	var leaf struct {
		Leaf []byte `json:"leaf"`
	}
	if err := json.Unmarshal(receipt, &leaf); err != nil {
		return nil, err
	}
	file["leaf"] = bytes.Replace(leaf.Leaf, []byte{0x19, 0x03, 0x21}, []byte{0x19, 0x1f, 0x41}, 1) // 801 and 8001, of tenths
	return json.Marshal(file)
}

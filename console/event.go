package console

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
)

// eventPage is the data of event.html.
type eventPage struct {
	*munimentv1.GetEventResponse
	Org        string
	HasBefore  bool // a field has a value from before
	JSON       string
	Hex        string
	Diagnostic string
	Root       string
	LeafHash   string
	Path       []string // inclusion proof, leaf's sibling first
	Curl       same
	Previous   uint64
	Next       uint64
}

func (v *visit) position() (uint64, error) {
	n, err := strconv.ParseUint(v.r.PathValue("position"), 10, 64)
	if err != nil || n == 0 {
		return 0, fault.New(fault.NotFound, "a position is a number from 1")
	}
	return n, nil
}

func (v *visit) event() error {
	pos, err := v.position()
	if err != nil {
		return err
	}
	got, err := v.c.API.Event.GetEvent(v.ctx, &munimentv1.GetEventRequest{Position: pos})
	if err != nil {
		return v.c.AsFault(err)
	}
	p := eventPage{GetEventResponse: got, Org: v.orgName(got.GetEvent().GetOrganizationId()), Previous: pos - 1, Next: pos + 1,
		Root: hex.EncodeToString(got.GetProof().GetRootHash()), LeafHash: hex.EncodeToString(got.GetRaw().GetLeafHash()),
		JSON: indent(got.GetRaw().GetLeafJson()), Hex: hexLines(got.GetRaw().GetLeaf()), Diagnostic: diagnose(got.GetRaw().GetLeaf()),
		Curl: v.same(fmt.Sprintf("event get %d", pos), fmt.Sprintf("/v1/events/%d", pos))}
	for _, h := range got.GetProof().GetInclusion() {
		p.Path = append(p.Path, hex.EncodeToString(h))
	}
	for _, f := range got.GetFields() {
		p.HasBefore = p.HasBefore || f.GetBefore() != nil
	}
	return v.show("event", "events", fmt.Sprintf("Event %d", pos), p)
}

// receipt hands out the file by which anybody can check the event.
func (v *visit) receipt() error {
	pos, err := v.position()
	if err != nil {
		return err
	}
	got, err := v.c.API.Event.GetReceipt(v.ctx, &munimentv1.GetReceiptRequest{Position: pos})
	if err != nil {
		return v.c.AsFault(err)
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", `attachment; filename="`+safeName(got.GetFileName(), pos)+`"`)
	h.Set("Content-Length", strconv.Itoa(len(got.GetReceipt())))
	v.w.WriteHeader(http.StatusOK)
	_, _ = v.w.Write(got.GetReceipt()) // the browser went away: nobody to tell
	return nil
}

// safeName is a file name of plain characters.
func safeName(s string, pos uint64) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return -1
	}, s)
	if strings.Trim(s, ".") == "" {
		return fmt.Sprintf("receipt-%d", pos)
	}
	return s
}

// indent lays JSON out; what is no JSON stays as it is.
func indent(s string) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(s), "", "  ") != nil {
		return s
	}
	return b.String()
}

// diagnose writes CBOR in diagnostic notation (RFC 8949 §8), one entry of the
// outermost map per line.
func diagnose(leaf []byte) string {
	var m map[uint64]cbor.RawMessage
	if cbor.Unmarshal(leaf, &m) != nil {
		s, err := cbor.Diagnose(leaf)
		if err != nil {
			return "not CBOR: " + err.Error()
		}
		return s
	}
	var b strings.Builder
	b.WriteString("{\n")
	for k := uint64(0); k < 64; k++ {
		raw, ok := m[k]
		if !ok {
			continue
		}
		s, err := cbor.Diagnose(raw)
		if err != nil {
			s = "not CBOR: " + err.Error()
		}
		fmt.Fprintf(&b, "  %d: %s,\n", k, s)
	}
	b.WriteString("}")
	return b.String()
}

// hexLines writes bytes in lines of 16, each with its offset and its plain
// characters.
func hexLines(b []byte) string { return strings.TrimRight(hex.Dump(b), "\n") }

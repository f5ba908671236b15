package cli

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
)

// inspection is one event with all that proves it, wherever it was read.
type inspection struct {
	happening
	ID         string         `json:"id"`
	Context    map[string]any `json:"context,omitempty"`
	LeafHash   string         `json:"leafHash"`
	Result     string         `json:"result"` // of checking the proof
	TreeSize   uint64         `json:"treeSize,omitempty"`
	RootHash   string         `json:"rootHash,omitempty"`
	Proof      []string       `json:"proof,omitempty"` // leaf's sibling first
	Checkpoint string         `json:"checkpoint,omitempty"`
	context    []string
}

func (i *inspection) about(name string, value any, state string) {
	if i.Context == nil {
		i.Context = map[string]any{}
	}
	if state != "" {
		value = state
	}
	i.Context[name] = value
	i.context = append(i.context, name+"="+fmt.Sprint(value))
}

func (i *inspection) write(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(i)
	}
	fmt.Fprintf(w, "%s\n\n", clean(i.Sentence))
	for _, l := range [][2]string{{"event", i.ID}, {"position", strconv.FormatUint(i.N, 10)}, {"time", i.Time.UTC().Format("2006-01-02 15:04:05.000000 UTC")},
		{"type", i.Type}, {"stream", i.Stream}, {"actor", i.Actor}} {
		fmt.Fprintf(w, "  %-10s %s\n", l[0], clean(l[1]))
	}
	part(w, "\nfields", i.fields)
	part(w, "\ncontext", i.context)
	fmt.Fprintf(w, "\nproof: %s\n\n  %-10s %s\n", clean(i.Result), "leaf hash", i.LeafHash)
	if i.TreeSize > 0 {
		fmt.Fprintf(w, "  %-10s %s\n  %-10s %d records\n", "root hash", i.RootHash, "tree size", i.TreeSize)
		for n, h := range i.Proof {
			fmt.Fprintf(w, "  sibling %-2d %s\n", n, h)
		}
	}
	return nil
}

func part(w io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "%s\n\n", title)
	for _, l := range lines {
		fmt.Fprintf(w, "  %s\n", clean(l))
	}
}

func inspect(ctx context.Context, env Env, args []string) error {
	a := ask("inspect", "POSITION|EVENT-ID [flags]", "One event: what happened, its fields and context, the hash of its leaf, its proof, and whether that holds. From a server, whose log then records that it was read; or with --data from a data directory or a database, which is not changed.")
	var dir, key string
	var unseal bool
	a.StringVar(&dir, "data", "", "data directory, or postgres:// of a log, to read instead of asking a server")
	a.StringVar(&key, "key", "", "with --data: the log's public key, to check the checkpoint's signature with")
	a.BoolVar(&unseal, "unseal", false, "with --data: open sealed fields with the keys in it; the server must be stopped")
	rest, help, err := a.parse(env, args)
	if err != nil || help {
		return err
	}
	if len(rest) != 1 {
		return &Usage{"give the position of an event, or its id"}
	}
	position, id, err := reference(rest[0])
	if err != nil {
		return err
	}
	var i *inspection
	if dir != "" {
		i, err = inspectDirectory(ctx, dir, key, unseal, position, id)
	} else {
		i, err = inspectServer(ctx, env, a, position, id)
	}
	if err != nil {
		return err
	}
	if err := i.write(env.Stdout, a.json); err != nil {
		return err
	}
	if !strings.HasPrefix(i.Result, "valid") && i.Result != "pending" {
		return &failure{msg: "the proof does not hold"}
	}
	return nil
}

// reference reads a position or an event's id.
func reference(s string) (uint64, event.ID, error) {
	if n, err := strconv.ParseUint(s, 10, 63); err == nil && n > 0 && len(s) < 20 {
		return n, event.ID{}, nil
	}
	id, err := event.ParseID(strings.ToLower(s))
	if err != nil {
		return 0, id, &Usage{"give the position of an event, or its id of 32 hexadecimal digits"}
	}
	return 0, id, nil
}

func inspectServer(ctx context.Context, env Env, a *asked, position uint64, id event.ID) (*inspection, error) {
	c, err := a.clients(ctx, env)
	if err != nil {
		return nil, err
	}
	req := &munimentv1.GetEventRequest{Position: position}
	if position == 0 {
		req.EventId = id.String()
	}
	got, err := c.Event.GetEvent(ctx, req)
	if err != nil {
		return nil, answered(err)
	}
	i := &inspection{happening: *told(got.GetEvent()), ID: got.GetEvent().GetEventId(), LeafHash: hex.EncodeToString(got.GetRaw().GetLeafHash()),
		TreeSize: got.GetProof().GetTreeSize(), RootHash: hex.EncodeToString(got.GetProof().GetRootHash()), Checkpoint: got.GetProof().GetCheckpoint()}
	for _, f := range got.GetFields() {
		i.add(f.GetPath(), plainly(f.GetAfter()), state(f.GetAfter()))
	}
	for _, f := range got.GetContext() {
		i.about(strings.TrimPrefix(f.GetPath(), "/"), plainly(f.GetValue()), state(f.GetValue()))
	}
	for _, h := range got.GetProof().GetInclusion() {
		i.Proof = append(i.Proof, hex.EncodeToString(h))
	}
	switch got.GetProof().GetResult() {
	case munimentv1.ProofResult_PROOF_RESULT_VALID:
		i.Result = "valid, as the server says; get a receipt to rely on nobody"
	case munimentv1.ProofResult_PROOF_RESULT_PENDING:
		i.Result = "pending"
	default:
		i.Result = "INVALID: " + got.GetProof().GetEvidence()
	}
	return i, nil
}

func inspectDirectory(ctx context.Context, dir, key string, unseal bool, position uint64, id event.ID) (*inspection, error) {
	r, err := openDirectory(ctx, dir, unseal)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	p := event.Position(position)
	if p == 0 {
		if p, err = r.At(ctx, id); err != nil {
			return nil, &failure{msg: clean(fault.Public(err))}
		}
	}
	got, err := r.Inspect(ctx, p, key)
	if err != nil {
		return nil, &failure{msg: clean(fault.Public(err))}
	}
	i := &inspection{happening: *stored(got.Entry, true), ID: got.Record.ID.String(), LeafHash: got.Hash.String(), Result: got.Result, Checkpoint: got.Note}
	for _, c := range got.Context {
		i.about(c.Name, c.Value, shownAs(c.Shown))
	}
	if got.Tree.Size > 0 {
		i.TreeSize, i.RootHash = uint64(got.Tree.Size), got.Tree.Root.String()
	}
	for _, h := range got.Proof {
		i.Proof = append(i.Proof, h.String())
	}
	return i, nil
}

package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

// publishFlags are what publish was asked for.
type publishFlags struct {
	*asked
	one       munimentv1.NewEvent // from flags
	expected  int64
	occurred  string
	data      string
	reason    string
	batch     int
	checkOnly bool
	receipts  string
}

// maxBatch is how many events a server takes at a time.
const maxBatch = 500

func askPublish() *publishFlags {
	f := &publishFlags{asked: ask("entity publish", "[FILE] [flags]", `Publish events: from a file, or from the standard input, as JSON objects one behind the other (a line for each, say) or as one array of them, each as the API takes it: {"type": "household-registered", "entityId": "UUID", "data": {…}}. Or one event from flags. Each has an id, made up if it is left out; an event that is sent again with its id is recorded once. They are recorded in their order, in batches: all of a batch or nothing of it.`)}
	f.StringVar(&f.one.Type, "type", "", "one event, of this type")
	f.StringVar(&f.one.EntityId, "entity-id", "", "with --type: the entity, a UUID")
	f.StringVar(&f.one.Id, "id", "", "with --type: the id of the event, a UUID")
	f.StringVar(&f.one.OrganizationId, "organization-id", "", "with --type: the organization to which a new entity belongs")
	f.StringVar(&f.data, "data-json", "", "with --type: what it says, as JSON; - reads it from the standard input, @FILE from a file")
	f.Int64Var(&f.expected, "expected-version", -1, "with --type: how many events the entity must have; 0: it must not exist")
	f.StringVar(&f.occurred, "occurred", "", "with --type: when it happened")
	f.StringVar(&f.reason, "reason", "", "with --type: why")
	f.IntVar(&f.batch, "batch", 100, "how many are recorded together, 1 to 500")
	f.BoolVar(&f.checkOnly, "check", false, "only say what would be refused, and record nothing")
	f.StringVar(&f.receipts, "receipts", "", "folder to write a receipt of each event into, by its id")
	return f
}

func entityPublish(ctx context.Context, env Env, args []string) error {
	f := askPublish()
	rest, help, err := f.parse(env, args)
	if err != nil || help {
		return err
	}
	if len(rest) > 1 {
		return &Usage{clean(rest[1]) + " is not expected here"}
	}
	if f.batch < 1 || f.batch > maxBatch {
		return &Usage{"--batch must be 1 to 500"}
	}
	next, done, err := f.source(env, rest)
	if err != nil {
		return err
	}
	defer done()
	c, err := f.clients(ctx, env)
	if err != nil {
		return err
	}
	sent := 0
	for more := true; more; {
		var events []*munimentv1.NewEvent
		for more && len(events) < f.batch {
			e, err := next()
			if errors.Is(err, io.EOF) {
				more = false
				break
			}
			if err != nil {
				return f.after(sent, &Usage{fmt.Sprintf("event %d: %s", sent+len(events)+1, clean(err.Error()))})
			}
			events = append(events, e)
		}
		if len(events) == 0 {
			break
		}
		if err := f.publish(ctx, env, c, events, sent); err != nil {
			return f.after(sent, err)
		}
		sent += len(events)
	}
	if sent == 0 {
		return &Usage{"there is no event to publish"}
	}
	return nil
}

// after says how many events were recorded before an error.
func (f *publishFlags) after(sent int, err error) error {
	if sent == 0 || f.checkOnly {
		return err
	}
	said := fmt.Sprintf("%v\n%d %s recorded before it.", err, sent, plural(sent, "event was", "events were"))
	return &failure{said, ExitCode(err) == ExitUnknown}
}

// source answers where events come from, one after the other up to io.EOF.
func (f *publishFlags) source(env Env, rest []string) (next func() (*munimentv1.NewEvent, error), done func(), err error) {
	if f.one.Type != "" {
		if len(rest) > 0 {
			return nil, nil, &Usage{"give a file or --type, not both"}
		}
		e, err := f.fromFlags(env)
		next := func() (*munimentv1.NewEvent, error) {
			one := e
			if e = nil; one == nil {
				return nil, io.EOF
			}
			return one, nil
		}
		return next, func() {}, err
	}
	in, err := input(env, strings.Join(rest, ""))
	if err != nil {
		return nil, nil, err
	}
	return reader(in), func() { in.Close() }, nil
}

func (f *publishFlags) fromFlags(env Env) (*munimentv1.NewEvent, error) {
	e := proto.CloneOf(&f.one)
	e.DataJson = f.data
	if f.data == "-" || strings.HasPrefix(f.data, "@") {
		in, err := input(env, strings.TrimPrefix(f.data, "@"))
		if err != nil {
			return nil, err
		}
		defer in.Close()
		b, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		e.DataJson = string(b)
	}
	if f.expected >= 0 {
		v := uint64(f.expected)
		e.ExpectedVersion = &v
	}
	if f.reason != "" {
		e.Context = &munimentv1.EventContext{Reason: f.reason}
	}
	var err error
	e.Occurred, err = moment("occurred", f.occurred, time.Now())
	named(e)
	return e, err
}

// named gives an event an id, if it has none: what is sent again is recorded once.
func named(e *munimentv1.NewEvent) {
	if e.Id == "" {
		e.Id = newCommandID()
	}
}

// reader reads events as JSON, one behind the other or in an array.
func reader(r io.Reader) func() (*munimentv1.NewEvent, error) {
	buf := bufio.NewReader(r)
	d := json.NewDecoder(buf)
	array, begun := false, false
	return func() (*munimentv1.NewEvent, error) {
		if !begun {
			begun = true
			first, err := firstByte(buf)
			if err != nil {
				return nil, err
			}
			if array = first == '['; array {
				d.Token() //nolint:errcheck // it is there
			}
		}
		if array && !d.More() {
			return nil, io.EOF
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			if errors.Is(err, io.EOF) {
				return nil, io.EOF
			}
			return nil, errors.New("is not JSON")
		}
		return readEvent(raw)
	}
}

// firstByte is the first one that is no space; it stays to be read.
func firstByte(r *bufio.Reader) (byte, error) {
	for {
		b, err := r.Peek(1)
		if err != nil {
			return 0, io.EOF
		}
		if !bytes.Contains([]byte(" \t\r\n\ufeff"), b) {
			return b[0], nil
		}
		r.Discard(1) //nolint:errcheck // it was there
	}
}

// readEvent reads an event as the API has it. What it says is sent as it was
// written, so that no number loses digits.
func readEvent(raw json.RawMessage) (*munimentv1.NewEvent, error) {
	var parts map[string]json.RawMessage
	if json.Unmarshal(raw, &parts) != nil {
		return nil, errors.New("is not a JSON object")
	}
	data := parts["data"]
	delete(parts, "data")
	rest, err := json.Marshal(parts)
	if err != nil {
		return nil, err
	}
	e := &munimentv1.NewEvent{}
	if err := protojson.Unmarshal(rest, e); err != nil {
		return nil, errors.New("is not an event: it has type, entityId and data, and perhaps id, revision, organizationId, expectedVersion, occurred and context")
	}
	if data != nil && e.DataJson != "" {
		return nil, errors.New("has data and dataJson; one of them is enough")
	}
	if data != nil {
		e.DataJson = string(data)
	}
	named(e)
	return e, nil
}

// publish records a batch. What may have happened is sent again: events have
// ids, so they are recorded once.
func (f *publishFlags) publish(ctx context.Context, env Env, c *api.Clients, events []*munimentv1.NewEvent, before int) error {
	const tries = 5
	req := &munimentv1.PublishEventsRequest{Events: events, CheckOnly: f.checkOnly, WithReceipts: f.receipts != ""}
	var res *munimentv1.PublishEventsResponse
	for n := 1; ; n++ {
		var err error
		if res, err = c.Entity.PublishEvents(ctx, req); err == nil {
			break
		}
		kind := api.Explain(err).GetKind()
		again := kind == munimentv1.FaultKind_FAULT_KIND_UNKNOWN || kind == munimentv1.FaultKind_FAULT_KIND_UNAVAILABLE && !refused(err) || kind == munimentv1.FaultKind_FAULT_KIND_EXHAUSTED
		if !again || n == tries || ctx.Err() != nil {
			return f.refusal(err, before)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(n) * 300 * time.Millisecond):
		}
	}
	for i, p := range res.GetEvents() {
		if err := f.tell(env, events[i], p); err != nil {
			return err
		}
	}
	return nil
}

var inBatch = regexp.MustCompile(`^events\[(\d+)\]\.?`)

// refusal says which event of the file is meant, by its number from 1.
func (f *publishFlags) refusal(err error, before int) error {
	e := api.Explain(err)
	if m := inBatch.FindStringSubmatch(e.GetField()); m != nil {
		i, _ := strconv.Atoi(m[1])
		where := strings.TrimSuffix(fmt.Sprintf("event %d: %s", before+i+1, strings.TrimPrefix(e.GetField(), m[0])), ": ")
		return &failure{msg: fmt.Sprintf("%s: %s", clean(where), clean(e.GetMessage()))}
	}
	return f.fault(err, "Send them again with the same ids: they are recorded once.")
}

// tell prints what became of an event, and keeps its receipt.
func (f *publishFlags) tell(env Env, e *munimentv1.NewEvent, p *munimentv1.Published) error {
	if len(p.GetReceipt()) > 0 {
		if err := os.MkdirAll(f.receipts, 0o755); err != nil {
			return &failure{msg: "--receipts: " + clean(err.Error())}
		}
		if err := os.WriteFile(filepath.Join(f.receipts, filepath.Base(p.GetId())+".receipt"), p.GetReceipt(), 0o644); err != nil {
			return &failure{msg: "--receipts: " + clean(err.Error())}
		}
		p.Receipt = nil
	}
	if f.json {
		return printJSON(env.Stdout, proto.Message(p), "")
	}
	how := ""
	switch {
	case f.checkOnly:
		how = "  would be recorded"
	case p.GetRepeated():
		how = "  was recorded before"
	}
	_, err := fmt.Fprintf(env.Stdout, "%6d  %s  %s version %d%s\n", p.GetPosition(), p.GetId(), clean(e.GetType()), p.GetVersion(), how)
	return err
}

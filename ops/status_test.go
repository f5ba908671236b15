package ops

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/fault"
	"muniment.dev/seal"
	"muniment.dev/view"
)

// program declares a view of the people in a world.
func (w *world) program() Program {
	return Program{Registry: w.sealer.Registry, Version: "test", CheckpointSigner: w.secret, Views: []view.View{{Name: "people", Revision: 1, Types: []string{"user.registered"},
		Tables: []view.Table{{Name: "people", Key: []string{"id"}, Columns: []view.Column{{Name: "id", Kind: event.IDRef}, {Name: "email", Kind: event.Text, Personal: "id"}}}},
		Apply: func(f event.Fact) []view.Change {
			p := f.Payload.(registered)
			return []view.Change{view.Put("people", view.Values{"id": p.User}, view.Values{"email": p.Email})}
		}}}}
}

// secret reads the checkpoint key out of the first record.
func (w *world) secret(ctx context.Context, l *eventlog.Log, s *seal.Sealer) (string, error) {
	r, err := l.Record(ctx, 1)
	if err != nil {
		return "", err
	}
	f, err := s.Decode(ctx, r)
	if err != nil {
		return "", err
	}
	return f.Payload.(created).Secret.Value, nil
}

// run runs a command that knows what a world declares.
func (w *world) run(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e strings.Builder
	for _, c := range ProgramCommands(w.program()) {
		if c.Name == args[0] {
			return c.Run(t.Context(), args[1:], &o, &e), o.String(), e.String()
		}
	}
	t.Fatalf("no command %s", args[0])
	return 0, "", ""
}

// The status of a stopped directory says what is in it and what somebody must
// look at, and changes nothing.
func TestStatusStopped(t *testing.T) {
	w := onDisk(t, 40)
	size := w.log.Mark().Size
	w.close(t)
	before := tree(t, w.l.Dir)
	code, out, errs := w.run(t, "status", w.l.Dir)
	if code != ExitOK || !strings.Contains(out, "Not running") || !strings.Contains(out, "the log continues it") || !strings.Contains(out, "waits for the server to start") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	code, out, _ = w.run(t, "status", w.l.Dir, "--json")
	var st Status
	if err := json.Unmarshal([]byte(out), &st); err != nil || code != ExitOK || st.Size != size || st.Running || st.Log != w.signer.Log() || st.Checkpoint.Behind != 0 ||
		st.Checkpoint.Covers.IsZero() || len(st.Erasures) != 1 || st.Erasures[0].Subject != w.users[6] || st.Views.Behind != size || len(st.Disk) < 3 || st.Keys.Held == 0 || st.Keys.Destroyed != 1 {
		t.Errorf("%v\n%s", err, out)
	}
	after := tree(t, w.l.Dir)
	for path, b := range before {
		if after[path] != b {
			t.Errorf("%s was changed", path)
		}
	}
	state, err := w.reg.Load(t.Context())
	must(t, err)
	longer := state
	longer.Size += 3
	must(t, w.reg.CompareAndSwap(t.Context(), state, longer))
	if code, out, _ := w.run(t, "status", w.l.Dir); code != ExitFound || !strings.Contains(out, "LOOK: the register: the log is shorter") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if code, _, errs := w.run(t, "status", t.TempDir()); code != ExitUnchecked || !strings.Contains(errs, "there is no log") {
		t.Errorf("an empty folder: exit code %d, %s", code, errs)
	}
}

// Views of a stopped directory are made, checked, found to differ when somebody
// changed them, and mended.
func TestViewsStopped(t *testing.T) {
	w := onDisk(t, 40)
	w.close(t)
	expect := func(want int, say string, args ...string) {
		t.Helper()
		if code, out, errs := w.run(t, append(args, w.l.Dir)...); code != want || !strings.Contains(out+errs, say) {
			t.Fatalf("%v: exit code %d\n%s%s", args, code, out, errs)
		}
	}
	expect(ExitOK, "people is not built yet", "views", "status")
	expect(ExitOK, "The views were rebuilt", "views", "rebuild", "--quiet")
	expect(ExitOK, "at the end of the log", "views", "status")
	expect(ExitOK, "are what the log says", "views", "check")
	b, err := os.ReadFile(w.l.Views)
	must(t, err)
	forged := strings.ReplaceAll(string(b), email(3), strings.Replace(email(3), "Canary", "Kanari", 1))
	if forged == string(b) {
		t.Fatal("the address does not stand in the file")
	}
	must(t, os.WriteFile(w.l.Views, []byte(forged), 0o600))
	expect(ExitFound, "DIFFER", "views", "check")
	expect(ExitOK, "The views were rebuilt", "views", "rebuild")
	expect(ExitOK, "are what the log says", "views", "check")
	must(t, os.WriteFile(w.l.Views, []byte("something else"), 0o600))
	expect(ExitFound, "cannot be used", "views", "status")
	expect(ExitOK, "The views were rebuilt", "views", "rebuild")
}

// Requests on the admin socket: progress arrives while the work is done, errors
// keep their kind, and whoever leaves ends the work.
func TestTasks(t *testing.T) {
	w := onDisk(t, 10)
	admin, err := ListenAdmin(w.l, w.store.(*pebblelog.Store), nil)
	must(t, err)
	defer admin.Close()
	type step struct{ N int }
	admin.Handle("count/1", func(_ context.Context, tell func(any)) (any, error) {
		for i := range 3 {
			tell(step{i})
		}
		return step{3}, nil
	})
	admin.Handle("fail/1", func(context.Context, func(any)) (any, error) {
		return nil, fault.New(fault.Conflict, "somebody else is at it")
	})
	ended := make(chan error, 1)
	admin.Handle("wait/1", func(ctx context.Context, tell func(any)) (any, error) {
		tell(step{1})
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	})
	var told []string
	var got step
	must(t, Ask(t.Context(), w.l, "count/1", func(p json.RawMessage) { told = append(told, string(p)) }, &got))
	if got.N != 3 || strings.Join(told, " ") != `{"N":0} {"N":1} {"N":2}` {
		t.Errorf("told %v, then %v", told, got)
	}
	if err := Ask(t.Context(), w.l, "fail/1", nil, &got); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("%v", err)
	}
	if err := Ask(t.Context(), w.l, "other/1", nil, &got); err == nil || !strings.Contains(err.Error(), "does not know the request") {
		t.Errorf("%v", err)
	}
	ctx, leave := context.WithCancel(t.Context())
	if err := Ask(ctx, w.l, "wait/1", func(json.RawMessage) { leave() }, &got); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the work goes on although nobody wants it")
	}
	if err := Ask(t.Context(), DefaultLayout(t.TempDir()), "count/1", nil, &got); !fault.Is(err, fault.NotFound) {
		t.Errorf("without a server: %v", err)
	}
}

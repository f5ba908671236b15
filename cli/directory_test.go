package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"muniment.dev/cli"
	"muniment.dev/eventlog/pebblelog"
	"muniment.dev/ops"
	"muniment.dev/server"
	"muniment.dev/user"
)

// directory is the data directory of a server that is stopped: an instance with
// its owner. key is its public key.
func directory(t *testing.T) (dir, key string) {
	t.Helper()
	dir = t.TempDir()
	store, err := pebblelog.Open(ops.DefaultLayout(dir).Log, pebblelog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	core, err := server.Open(t.Context(), server.Options{Data: dir, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := core.SetUp(t.Context(), server.Owner{Email: "grace@example.org", Names: user.Names{Given: "Grace"}}); err != nil {
		t.Fatal(err)
	}
	if err := core.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, core.Instance.CheckpointKey
}

func command(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, errs bytes.Buffer
	err := cli.Run(context.Background(), cli.Env{Stdout: &out, Stderr: &errs, ConfigDir: t.TempDir()}, args)
	return out.String() + errs.String(), err
}

// O04: the events of a data directory are read without a server and without
// changing it, in their order; what is sealed stays so unless it is asked for.
func TestTimelineOfDirectory(t *testing.T) {
	dir, _ := directory(t)
	all, err := command(t, "timeline", "--data", dir)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(all, "user.registered") || strings.Contains(all, "grace@example.org") || !strings.Contains(all, "/email=(withheld)") {
		t.Errorf("%s", all)
	}
	open, err := command(t, "timeline", "--data", dir, "--unseal", "--type", "user.*", "--json")
	if err != nil || !strings.Contains(open, "grace@example.org") || strings.Contains(open, "organization.added") {
		t.Errorf("%v: %s", err, open)
	}
	var first struct {
		N    uint64
		Type string
		Data map[string]any
	}
	if err := json.NewDecoder(strings.NewReader(open)).Decode(&first); err != nil || first.Type != "user.registered" || first.Data["/email"] != "grace@example.org" {
		t.Errorf("%v: %+v", err, first)
	}
	few, err := command(t, "timeline", "--data", dir, "--limit", "1", "--plain")
	if err != nil || strings.Count(few, "\n") != 2 || !strings.Contains(few, "There is more") {
		t.Errorf("%v: %s", err, few)
	}
	for _, none := range [][]string{{"--until", "2001-01-01"}, {"--after", "100000"}, {"--user", strings.Repeat("1", 32)}, {"--stream", "user:" + strings.Repeat("1", 32)}} {
		if got, err := command(t, append([]string{"timeline", "--data", dir}, none...)...); err != nil || got != "" {
			t.Errorf("%v: %v, %s", none, err, got)
		}
	}
	for _, wrong := range [][]string{{"--since", "yesterday"}, {"--stream", "user"}, {"--user", "x"}, {"--data", "/nowhere"}, {"more"}, {"--nonsense"}} {
		if _, err := command(t, append([]string{"timeline", "--data", dir}, wrong...)...); cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("%v: %v", wrong, err)
		}
	}
}

// O04: one event with its sentence, context, leaf hash, proof and whether that
// holds, by its position or its id; a wrong key is found out.
func TestInspectDirectory(t *testing.T) {
	dir, key := directory(t)
	got, err := command(t, "inspect", "1", "--data", dir, "--key", key)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"instance.created", "proof: valid, and signed with the key that was given", "leaf hash", "source=setup"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing:\n%s", want, got)
		}
	}
	if got, err := command(t, "inspect", "2", "--data", dir); err != nil || !strings.Contains(got, "sibling") {
		t.Errorf("%v: %s", err, got)
	}
	var i struct{ ID, LeafHash, Result string }
	text, err := command(t, "inspect", "1", "--data", dir, "--json")
	if err != nil || json.Unmarshal([]byte(text), &i) != nil || len(i.LeafHash) != 64 || !strings.Contains(i.Result, "for want of a key") {
		t.Errorf("%v: %s", err, text)
	}
	if byID, err := command(t, "inspect", i.ID, "--data", dir, "--json"); err != nil || byID != text {
		t.Errorf("%v: by id %s, by position %s", err, byID, text)
	}
	_, other := directory(t)
	if got, err := command(t, "inspect", "1", "--data", dir, "--key", other); cli.ExitCode(err) != cli.ExitFailed || strings.Contains(got, "proof: valid") {
		t.Errorf("a foreign key: %v\n%s", err, got)
	}
	for _, none := range []string{"99999", strings.Repeat("f", 32)} {
		if _, err := command(t, "inspect", none, "--data", dir); cli.ExitCode(err) != cli.ExitFailed {
			t.Errorf("%s: %v", none, err)
		}
	}
	for _, wrong := range []string{"0", "x", "-1"} {
		if _, err := command(t, "inspect", wrong, "--data", dir); cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// O04: the sums of a data directory are counted without a server, and are those
// of its records.
func TestStatsOfDirectory(t *testing.T) {
	dir, _ := directory(t)
	text, err := command(t, "stats", "--data", dir, "--json")
	var got struct {
		TotalEvents, Counted, Streams string
		TreeDepth                     int
		Types                         []struct{ Type, Events string }
	}
	if err != nil || json.Unmarshal([]byte(text), &got) != nil || got.TotalEvents != got.Counted || got.TreeDepth == 0 {
		t.Fatalf("%v: %s", err, text)
	}
	all, err := command(t, "timeline", "--data", dir, "--plain")
	if n, _ := strconv.Atoi(got.TotalEvents); err != nil || n != strings.Count(all, "\n") {
		t.Errorf("%v: %s events, the timeline has %d", err, got.TotalEvents, strings.Count(all, "\n"))
	}
	for _, c := range got.Types {
		if n := strings.Count(all, "  "+c.Type+" "); strconv.Itoa(n) != c.Events {
			t.Errorf("%s: %s, the timeline has %d", c.Type, c.Events, n)
		}
	}
	if words, err := command(t, "stats", "--data", dir); err != nil || !strings.Contains(words, "tree depth") || !strings.Contains(words, "instance.created") {
		t.Errorf("%v: %s", err, words)
	}
	if _, err := command(t, "stats", "--data", "/nowhere"); cli.ExitCode(err) != cli.ExitUsage {
		t.Errorf("no directory: %v", err)
	}
}

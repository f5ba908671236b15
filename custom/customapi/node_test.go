package customapi_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/internal/browser"
	"muniment.dev/internal/instancetest"
)

// nodePublishes sends three events with the CloudEvents SDK of npm, in each of its
// modes, and the first of them again.
const nodePublishes = `
const { CloudEvent, HTTP, Mode, emitterFor, httpTransport } = require("cloudevents");
const [url, house] = process.argv.slice(2);
const event = (id, type, data) => new CloudEvent({ id, type, source: "https://villages.example/tablet-7", subject: "household/" + house, datacontenttype: "application/json", data });
(async () => {
  const registered = event("n-1", "household-registered", { name: "Lovelace", village: "Ockham" });
  const binary = emitterFor(httpTransport(url), { binding: HTTP, mode: Mode.BINARY });
  const structured = emitterFor(httpTransport(url), { binding: HTTP, mode: Mode.STRUCTURED });
  for (const [emit, e] of [[binary, registered], [structured, event("n-2", "household-moved", { village: "London" })], [structured, registered]]) {
    const answer = await emit(e);
    console.log(answer.body);
  }
  console.log((await binary(event("n-3", "household-moved", { village: 7 }))).body);
})().catch((e) => { console.error(e); process.exit(1); });
`

// Issue 5: the SDK of the CloudEvents project for Node publishes, unmodified, in
// binary and structured mode; what it sends again is recorded once, and a refusal
// is answered as one.
func TestBrowserCloudEventsNode(t *testing.T) {
	folder := browser.Package(t, "cloudevents")
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node")
	}
	s, house := newSite(t), uuid()
	script := filepath.Join(t.TempDir(), "publish.cjs")
	if err := os.WriteFile(script, []byte(nodePublishes), 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), node, script, s.serve(t, s.ctx), house)
	run.Env = append(os.Environ(), "NODE_PATH="+filepath.Dir(folder))
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 4 || strings.Contains(lines[0], "repeated\":true") || !strings.Contains(lines[2], `"repeated":true`) || !strings.Contains(lines[3], "events[0].data/village") {
		t.Errorf("answered: %s", out)
	}
	if e := instancetest.Must(s.API.Entity.GetEntity(s.ctx, &munimentv1.GetEntityRequest{Type: "household", EntityId: house})).GetEntity(); e.GetVersion() != 2 || e.GetData().GetFields()["village"].GetStringValue() != "London" {
		t.Errorf("%v", e)
	}
}

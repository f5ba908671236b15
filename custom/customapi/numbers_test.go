package customapi_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/cli"
	"muniment.dev/internal/instancetest"
)

// bare sends requests without a token: whoever is in the context is known.
type bare struct{}

func (bare) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Del("Authorization")
	return http.DefaultTransport.RoundTrip(r)
}

// run runs a command of the command line against the site.
func run(t *testing.T, url string, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	env := cli.Env{Getenv: func(name string) string {
		return map[string]string{"MUNIMENT_URL": url, "MUNIMENT_TOKEN": "x"}[name]
	}, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, ConfigDir: t.TempDir(), HTTP: &http.Client{Transport: bare{}}}
	if err := cli.Run(t.Context(), env, args); err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out.String())
	}
	return out.String()
}

// Numbers that a double cannot hold are answered as they were recorded, in lists
// of events, exports, CloudEvents and on the command line, with filters by a
// type whose name has capitals.
func TestExactNumbers(t *testing.T) {
	const dialect = `"$schema": "https://json-schema.org/draft/2020-12/schema"`
	s := newSite(t)
	instancetest.Must(s.API.Schema.ApplySchema(s.ctx, &munimentv1.ApplySchemaRequest{Documents: []*munimentv1.SchemaDocument{
		{File: "order.json", Text: `{` + dialect + `, "x-entity-type": "order", "title": "Order", "type": "object", "properties": {"cents": {"type": "integer", "x-public": true}, "parts": {"type": "object"}}}`},
		{File: "OrderCreated.json", Text: `{` + dialect + `, "x-event": "OrderCreated", "x-entity": "order", "title": "An order was created", "x-sentence": "{actor} created {entity} of {cents}", "type": "object", "x-creates": true, "additionalProperties": false,
			"properties": {"cents": {"type": "integer", "x-public": true}, "parts": {"type": "object"}}}`},
	}}))
	order := uuid()
	s.publish(t, anEvent("OrderCreated", order, `{"cents":9007199254740993,"parts":{"rate":0.1,"mass":1234567890123456.789,"many":[-9223372036854775807,3]}}`))
	url := strings.TrimSuffix(s.serve(t, s.ctx), "/v1/cloudevents")
	get := func(path string) string {
		t.Helper()
		res, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%s: %d %s %v", path, res.StatusCode, b, err)
		}
		return strings.ReplaceAll(string(b), " ", "")
	}
	for where, text := range map[string]string{
		"a list of events":         get("/v1/events?filter.types=OrderCreated&withFields=true"),
		"a list by a pattern":      get("/v1/events?filter.streams=order:*&withFields=true"),
		"an export":                get("/v1/events:export?filter.types=OrderCreated"),
		"an export of CloudEvents": get("/v1/events:export?filter.types=OrderCreated&format=EXPORT_FORMAT_CLOUDEVENTS"),
		"the command line":         run(t, url, "event", "list", "--types", "OrderCreated", "--with-fields", "--output", "json"),
		"the timeline":             run(t, url, "timeline", "order:"+order),
		"the timeline, as JSON":    run(t, url, "timeline", "order:"+order, "--json"),
	} {
		for _, exact := range []string{"9007199254740993", "1234567890123456.789", "-9223372036854775807"} {
			if !strings.Contains(text, exact) || strings.Contains(text, "9007199254740992") || strings.Contains(text, "1234567890123456.8") {
				t.Errorf("%s does not say %s: %s", where, exact, text)
			}
		}
	}
}

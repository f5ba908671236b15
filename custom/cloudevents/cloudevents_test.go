package cloudevents_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"muniment.dev/custom/cloudevents"
	"muniment.dev/fault"
)

type header = map[string][]string

func jsonHeader() header {
	return header{"Content-Type": {"application/cloudevents+json; charset=utf-8"}}
}

func binaryHeader(more ...string) header {
	h := header{"Content-Type": {"application/json"}, "Ce-Specversion": {"1.0"}, "Ce-Id": {"A-1"}, "Ce-Source": {"/farm"}, "Ce-Type": {"cow-milked"}}
	for i := 0; i < len(more); i += 2 {
		if h[more[i]] = []string{more[i+1]}; more[i+1] == "" {
			delete(h, more[i])
		}
	}
	return h
}

const whole = `{"specversion":"1.0","id":"A-1","source":"/farm","type":"cow-milked"`

// What is said in either mode is read as the same event (CloudEvents 1.0.2,
// HTTP protocol binding, sections 3.1 to 3.3).
func TestRead(t *testing.T) {
	at := time.Date(2026, 4, 5, 17, 31, 0, 250e6, time.UTC)
	for name, c := range map[string]struct {
		header header
		body   string
		want   []cloudevents.Event
	}{
		"structured": {jsonHeader(), whole + `,"subject":"cow/1","time":"2026-04-05T19:31:00.25+02:00","datacontenttype":"application/json","dataschema":"https://x.example/s#2",
			"data":{"litres":12345678901234567,"fat":4.10},"flag":true,"count":7,"unset":null}`,
			[]cloudevents.Event{{Subject: "cow/1", Time: at, DataSchema: "https://x.example/s#2", Data: `{"litres":12345678901234567,"fat":4.10}`, Extensions: map[string]string{"flag": "true", "count": "7"}}}},
		"structured, data in Base64": {jsonHeader(), whole + `,"data_base64":"eyJhIjoxfQ=="}`, []cloudevents.Event{{Data: `{"a":1}`}}},
		"binary":                     {binaryHeader("Ce-Subject", "cow/1", "Ce-Time", "2026-04-05T17:31:00.25Z", "Ce-Flag", "true"), `{"a":1}`, []cloudevents.Event{{Subject: "cow/1", Time: at, Data: `{"a":1}`, Extensions: map[string]string{"flag": "true"}}}},
		"binary, encoded":            {binaryHeader("Ce-Subject", "Euro%20%E2%82%AC%20%F0%9F%98%80", "Ce-Name", `"say \"50%25\""`), "", []cloudevents.Event{{Subject: "Euro € 😀", Extensions: map[string]string{"name": `say "50%"`}}}},
		"binary, not encoded":        {binaryHeader("Ce-Subject", "50% – 5%x"), "", []cloudevents.Event{{Subject: "50% – 5%x"}}},
		"binary, another JSON type":  {binaryHeader("Content-Type", "application/vnd.cow+json"), `{}`, []cloudevents.Event{{Data: `{}`}}},
		"batch":                      {header{"content-type": {"application/cloudevents-batch+json"}}, `[` + whole + `,"data":{}},` + whole + `,"subject":"b"}]`, []cloudevents.Event{{Data: "{}"}, {Subject: "b"}}},
		"an empty batch":             {header{"Content-Type": {"application/cloudevents-batch+json"}}, ` [] `, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := cloudevents.Read(c.header, []byte(c.body), 10)
			if err != nil {
				t.Fatal(err)
			}
			for i := range c.want {
				c.want[i].ID, c.want[i].Source, c.want[i].Type = "A-1", "/farm", "cow-milked"
				got[i].Time = got[i].Time.UTC()
			}
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c.want) {
				t.Errorf("read  %+v\nwant  %+v", got, c.want)
			}
		})
	}
}

// What is not a CloudEvent with JSON data is refused, and the event and the
// attribute are named.
func TestReadRefuses(t *testing.T) {
	batch := header{"Content-Type": {"application/cloudevents-batch+json"}}
	many := `[` + strings.Repeat(whole+`},`, 10) + whole + `}]`
	for name, c := range map[string]struct {
		header header
		body   string
		field  string
	}{
		"another version":        {jsonHeader(), strings.Replace(whole, "1.0", "0.3", 1) + `}`, "events[0].specversion"},
		"no version":             {jsonHeader(), `{"id":"A-1","source":"/farm","type":"x"}`, "events[0].specversion"},
		"no id":                  {jsonHeader(), `{"specversion":"1.0","source":"/farm","type":"x"}`, "events[0].id"},
		"an empty source":        {jsonHeader(), `{"specversion":"1.0","id":"1","source":"","type":"x"}`, "events[0].source"},
		"a name twice":           {jsonHeader(), whole + `,"subject":"a","subject":"b"}`, "events[0].subject"},
		"capitals":               {jsonHeader(), whole + `,"myExtension":"a"}`, "events[0].myExtension"},
		"an object as extension": {jsonHeader(), whole + `,"ext":{}}`, "events[0].ext"},
		"a fraction":             {jsonHeader(), whole + `,"ext":1.5}`, "events[0].ext"},
		"half a surrogate pair":  {jsonHeader(), whole + `,"subject":"\ud800"}`, "events[0].subject"},
		"a control character":    {jsonHeader(), whole + `,"subject":"a\u0000"}`, "events[0].subject"},
		"no time":                {jsonHeader(), whole + `,"time":"yesterday"}`, "events[0].time"},
		"data twice":             {jsonHeader(), whole + `,"data":{},"data_base64":"e30="}`, "events[0].data"},
		"bad Base64":             {jsonHeader(), whole + `,"data_base64":"?"}`, "events[0].data_base64"},
		"XML inside":             {jsonHeader(), whole + `,"datacontenttype":"text/xml","data":"<a/>"}`, "events[0].datacontenttype"},
		"more after it":          {jsonHeader(), whole + `}{}`, "events[0]"},
		"not an object":          {jsonHeader(), `[]`, "events[0]"},
		"not JSON":               {jsonHeader(), whole + `,`, "events[0]"},
		"the second of a batch":  {batch, `[` + whole + `},` + whole + `,"time":"x"}]`, "events[1].time"},
		"too many":               {batch, many, "events"},
		"a batch that is none":   {batch, whole + `}`, ""},
		"a batch cut short":      {batch, `[` + whole + `}`, ""},
		"another format":         {header{"Content-Type": {"application/cloudevents+avro"}}, whole, "Content-Type"},
		"another charset":        {header{"Content-Type": {"application/cloudevents+json; charset=latin1"}}, whole + `}`, "Content-Type"},
		"binary without version": {binaryHeader("Ce-Specversion", ""), `{}`, "events[0].specversion"},
		"binary without id":      {binaryHeader("Ce-Id", ""), `{}`, "events[0].id"},
		"binary text":            {binaryHeader("Content-Type", "text/plain"), `hello`, "Content-Type"},
		"binary of no type":      {binaryHeader("Content-Type", ""), `{}`, "Content-Type"},
		"a header twice":         {header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"a", "b"}}, ``, "events[0].id"},
		"bytes of no text":       {binaryHeader("Ce-Subject", "%C3%28"), ``, "events[0].subject"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cloudevents.Read(c.header, []byte(c.body), 10)
			f, ok := err.(*fault.Error)
			if !ok || f.Kind != fault.Invalid || f.Field != c.field {
				t.Errorf("%v, want a refusal of %q", err, c.field)
			}
		})
	}
}

// Whatever a stranger sends, it is read or refused; what is read is complete.
func FuzzRead(f *testing.F) {
	f.Add("application/cloudevents+json", whole+`,"data":{"a":[1,2.50]},"x":true}`, "a", "b")
	f.Add("application/cloudevents-batch+json", `[`+whole+`}]`, "", "")
	f.Add("application/json", `{"a":1}`, "subject", "%E2%82%AC")
	f.Add("text/plain", `x`, "id", `"\"`)
	f.Fuzz(func(t *testing.T, contentType, body, name, value string) {
		h := binaryHeader("Content-Type", contentType, "Ce-"+name, value)
		events, err := cloudevents.Read(h, []byte(body), 10)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%v: every refusal is of the kind invalid", err)
			}
			return
		}
		for _, e := range events {
			if e.ID == "" || e.Source == "" || e.Type == "" || len(events) > 10 {
				t.Fatalf("an event is not complete: %+v", e)
			}
		}
	})
}

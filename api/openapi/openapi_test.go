package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muniment.dev/api/route"
)

const descriptors = "../gen/descriptors.binpb"

// The committed documents are what the sources say.
func TestUpToDate(t *testing.T) {
	dir := t.TempDir()
	if err := run(descriptors, filepath.Join(dir, "openapi.json"), filepath.Join(dir, "reference.html")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"openapi.json", "reference.html"} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("../gen", name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the sources say (%v): go generate ./api", name, err)
		}
	}
}

func load(t *testing.T) (*source, object) {
	t.Helper()
	b, err := os.ReadFile(descriptors)
	if err != nil {
		t.Fatal(err)
	}
	s, err := readSource(b)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := s.document()
	if err != nil {
		t.Fatal(err)
	}
	var d object
	if err := json.Unmarshal(doc, &d); err != nil {
		t.Fatal(err)
	}
	return s, d
}

// Each reference of the document leads somewhere.
func TestReferences(t *testing.T) {
	_, doc := load(t)
	refs := 0
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case object:
			if r, ok := v["$ref"].(string); ok {
				refs++
				var at any = doc
				for _, part := range strings.Split(strings.TrimPrefix(r, "#/"), "/") {
					o, _ := at.(object)
					at = o[part]
				}
				if at == nil {
					t.Errorf("%s leads nowhere", r)
				}
			}
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(doc)
	if refs < 100 {
		t.Errorf("only %d references were found", refs)
	}
}

// Each REST path of the sources is in the document, once, with its parameters;
// nothing personal stands in a query; everything is explained.
func TestOperations(t *testing.T) {
	s, doc := load(t)
	ids := map[string]bool{}
	found := 0
	for _, sd := range s.services {
		routes, err := route.Of(sd)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range routes {
			item, _ := doc["paths"].(object)[r.Template].(object)
			op, _ := item[strings.ToLower(r.HTTP)].(object)
			if op == nil {
				t.Errorf("%s %s is missing", r.HTTP, r.Template)
				continue
			}
			found++
			id, _ := op["operationId"].(string)
			if id == "" || ids[id] || op["summary"] == "" || op["description"] == "" {
				t.Errorf("%s %s: operationId %q, summary %q", r.HTTP, r.Template, id, op["summary"])
			}
			ids[id] = true
			var inPath []string
			for _, p := range op["parameters"].([]any) {
				p := p.(object)
				name, _ := p["name"].(string)
				switch p["in"] {
				case "path":
					inPath = append(inPath, name)
				case "query":
					if strings.HasSuffix(name, "email") || strings.HasSuffix(name, "prefix") && !strings.Contains(name, "name") ||
						strings.HasSuffix(name, "reason") || p["description"] == "" || r.Body {
						t.Errorf("%s %s: parameter %s", r.HTTP, r.Template, name)
					}
				}
			}
			if !slices.Equal(inPath, r.Vars()) {
				t.Errorf("%s: path parameters %v", r.Template, inPath)
			}
		}
	}
	found++ // CloudEvents, which the sources do not know
	if total := func() (n int) {
		for _, item := range doc["paths"].(object) {
			n += len(item.(object))
		}
		return n
	}(); total != found || found < 50 {
		t.Errorf("%d operations, %d of them in the sources", total, found)
	}
}

// Whatever the sources define is explained there.
func TestEverythingIsExplained(t *testing.T) {
	s, _ := load(t)
	for _, sd := range s.services {
		if comment(sd) == "" {
			t.Errorf("%s is not explained", sd.FullName())
		}
		f := sd.ParentFile()
		for i := range sd.Methods().Len() {
			if comment(sd.Methods().Get(i)) == "" {
				t.Errorf("%s is not explained", sd.Methods().Get(i).FullName())
			}
		}
		for i := range f.Messages().Len() {
			for j := range f.Messages().Get(i).Fields().Len() {
				if fd := f.Messages().Get(i).Fields().Get(j); comment(fd) == "" {
					t.Errorf("%s is not explained", fd.FullName())
				}
			}
		}
	}
}

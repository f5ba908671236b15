package main

import (
	"bytes"
	"html/template"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"muniment.dev/api/field"
	"muniment.dev/api/route"
)

// reference makes a page for people who read the API: no script, one inline
// style, which the server allows by its digest.
func (s *source) reference() ([]byte, error) {
	t, err := template.New("reference").Parse(page)
	if err != nil {
		return nil, err
	}
	type section struct {
		Name, Doc string
		Methods   []methodDoc
	}
	var sections []section
	for _, sd := range s.services {
		sec := section{Name: strings.TrimSuffix(string(sd.Name()), "Service"), Doc: text(comment(sd))}
		routes, err := route.Of(sd)
		if err != nil {
			return nil, err
		}
		for i := range sd.Methods().Len() {
			sec.Methods = append(sec.Methods, document(sd.Methods().Get(i), routes))
		}
		sections = append(sections, sec)
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{"Preamble": paragraphs(s.preamble), "Sections": sections})
	return b.Bytes(), err
}

type methodDoc struct {
	Name, Full, Doc string
	Paths           []string
	Takes, Gives    []fieldDoc
}

type fieldDoc struct{ Name, Type, Doc string }

func document(m protoreflect.MethodDescriptor, routes []route.Route) methodDoc {
	d := methodDoc{
		Name: string(m.Name()), Full: string(m.FullName()), Doc: text(comment(m)),
		Takes: fields(m.Input(), "", 0), Gives: fields(m.Output(), "", 0),
	}
	for _, r := range routes {
		if r.Method == m {
			d.Paths = append(d.Paths, r.HTTP+" "+r.Template)
		}
	}
	return d
}

// fields lists the fields of a message, those of messages in it below them.
func fields(md protoreflect.MessageDescriptor, prefix string, depth int) []fieldDoc {
	var out []fieldDoc
	for i := range md.Fields().Len() {
		f := md.Fields().Get(i)
		t := typeOf(f)
		doc := text(comment(f))
		if e := f.Enum(); e != nil {
			var names []string
			for j := range e.Values().Len() {
				names = append(names, string(e.Values().Get(j).Name()))
			}
			doc += " One of " + strings.Join(names, ", ") + "."
		}
		out = append(out, fieldDoc{prefix + f.JSONName(), t, doc})
		if f.Message() != nil && f.Message().ParentFile().Package() == "muniment.v1" && depth < 2 && terse[name(f.Message())] == "" {
			out = append(out, fields(f.Message(), prefix+f.JSONName()+".", depth+1)...)
		}
	}
	return out
}

// terse are messages that the preamble explains.
var terse = map[string]string{"Change": "a change", "Read": "a read", "Text": "a text", "Actor": "an actor"}

func typeOf(f protoreflect.FieldDescriptor) string {
	if f.IsList() {
		return "list of " + field.Type(f)
	}
	return field.Type(f)
}

func paragraphs(c string) []string {
	return strings.Split(strings.TrimSpace(text(c)), "\n")
}

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Muniment API</title>
<style>
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:0 auto;padding:1rem 1rem 4rem}
h2{margin-top:3rem;border-bottom:1px solid}
h3{margin:2rem 0 .25rem}
code,td:first-child{font:.875rem/1.5 ui-monospace,monospace;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;border-bottom:1px solid color-mix(in srgb,currentColor 25%,transparent)}
summary{cursor:pointer;padding:.35rem 0}
nav a{margin-right:.75rem}
</style>
<body>
<h1>Muniment API</h1>
<p>The same methods over gRPC, gRPC-Web, Connect and REST. The whole as an <a href="/openapi.json">OpenAPI document</a>.</p>
<nav aria-label="Services">{{range .Sections}}<a href="#{{.Name}}">{{.Name}}</a> {{end}}</nav>
<main>
{{range .Preamble}}{{if .}}<p>{{.}}</p>
{{end}}{{end}}
{{range .Sections}}<h2 id="{{.Name}}">{{.Name}}</h2>
<p>{{.Doc}}</p>
{{range .Methods}}<h3 id="{{.Full}}">{{.Name}}</h3>
<p>{{range .Paths}}<code>{{.}}</code><br>{{end}}<code>{{.Full}}</code></p>
<p>{{.Doc}}</p>
{{if .Takes}}<details><summary>Takes</summary><table><thead><tr><th scope="col">Field<th scope="col">Type<th scope="col">Meaning<tbody>{{range .Takes}}<tr><td>{{.Name}}<td>{{.Type}}<td>{{.Doc}}{{end}}</table></details>{{end}}
{{if .Gives}}<details><summary>Answers</summary><table><thead><tr><th scope="col">Field<th scope="col">Type<th scope="col">Meaning<tbody>{{range .Gives}}<tr><td>{{.Name}}<td>{{.Type}}<td>{{.Doc}}{{end}}</table></details>{{end}}
{{end}}{{end}}</main>
`

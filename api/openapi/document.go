package main

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"muniment.dev/api/field"
	"muniment.dev/api/route"
)

type object = map[string]any

// document makes the OpenAPI 3.1 document (spec.openapis.org/oas/v3.1.0).
func (s *source) document() ([]byte, error) {
	schemas := object{"Problem": problem()}
	paths := object{}
	var tags []object
	for _, sd := range s.services {
		tag := strings.TrimSuffix(string(sd.Name()), "Service")
		tags = append(tags, object{"name": tag, "description": text(comment(sd))})
		routes, err := route.Of(sd)
		if err != nil {
			return nil, err
		}
		for _, r := range routes {
			item, ok := paths[r.Template].(object)
			if !ok {
				item = object{}
				paths[r.Template] = item
			}
			item[strings.ToLower(r.HTTP)] = operation(tag, r)
			collect(schemas, r.Method.Input(), true)
			collect(schemas, r.Method.Output(), false)
		}
	}
	paths["/v1/cloudevents"] = cloudEvents(schemas)
	return encode(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Muniment", "version": "1",
			"summary":     "Identity and access management whose source of truth is a verifiable event log.",
			"description": text(s.preamble),
			"license":     object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers":  []object{{"url": "/"}},
		"security": []object{{"accessToken": []string{}}},
		"tags":     tags,
		"paths":    paths,
		"components": object{
			"schemas":         schemas,
			"securitySchemes": object{"accessToken": object{"type": "http", "scheme": "bearer"}},
			"responses": object{"Problem": object{
				"description": "What went wrong (RFC 9457).",
				"content":     object{"application/problem+json": object{"schema": ref("Problem")}},
			}},
			"headers": object{"Position": object{
				"description": "The place in the log that the answer reflects, as log:position.",
				"schema":      object{"type": "string"},
			}},
			"parameters": object{
				"CommandID": object{
					"name": "Idempotency-Key", "in": "header",
					"description": "The command id: 32 hexadecimal digits or a UUID. The same as the field commandId.",
					"schema":      object{"type": "string"},
				},
				"Position": object{
					"name": "Muniment-Position", "in": "header",
					"description": "A place in the log, as log:position; the answer reflects at least this.",
					"schema":      object{"type": "string"},
				},
			},
		},
	})
}

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

func operation(tag string, r route.Route) object {
	doc := comment(r.Method)
	id := tag + "_" + string(r.Method.Name())
	if !r.Main {
		id += "_" + strings.ToLower(r.HTTP)
	}
	op := object{
		"operationId": id, "tags": []string{tag},
		"summary": sentence(doc), "description": text(doc),
		"responses": object{
			"200": object{
				"description": "Done.",
				"headers":     object{"Muniment-Position": object{"$ref": "#/components/headers/Position"}},
				"content":     content(r.Method),
			},
			"default": object{"$ref": "#/components/responses/Problem"},
		},
	}
	in := r.Method.Input()
	params := []object{}
	for _, v := range r.Vars() {
		f := in.Fields().ByName(protoreflect.Name(v))
		params = append(params, object{
			"name": v, "in": "path", "required": true, "description": text(comment(f)), "schema": value(f),
		})
	}
	if in.Fields().ByName("command_id") != nil {
		params = append(params, object{"$ref": "#/components/parameters/CommandID"})
	} else {
		params = append(params, object{"$ref": "#/components/parameters/Position"})
	}
	if r.Body {
		op["requestBody"] = object{"content": object{"application/json": object{"schema": ref(name(in))}}}
	} else {
		params = append(params, query(in, r.Vars())...)
	}
	op["parameters"] = params
	return op
}

// content is what a method answers: a message, or, if it is a stream, a file in
// parts or server-sent events whose data are what is watched.
func content(m protoreflect.MethodDescriptor) object {
	switch out := m.Output(); {
	case !m.IsStreamingServer():
		return object{"application/json": object{"schema": ref(name(out))}}
	case out.Fields().ByName("chunk") != nil:
		return object{"application/jsonl": object{}, "application/cloudevents-batch+json": object{}}
	default:
		return object{"text/event-stream": object{"schema": ref(name(out.Fields().ByNumber(1).Message()))}}
	}
}

// query lists the fields that may stand in a query: all that are not in the
// path, nor personal or secret.
func query(md protoreflect.MessageDescriptor, taken []string) []object {
	var out []object
	for _, path := range field.All(md) {
		f := path.Leaf()
		if slices.Contains(taken, string(path[0].Name())) || field.Personal(f) {
			continue
		}
		var names []string
		for _, p := range path {
			names = append(names, p.JSONName())
		}
		out = append(out, object{
			"name": strings.Join(names, "."), "in": "query", "description": text(comment(f)), "schema": schemaOf(f),
		})
	}
	return out
}

// name is the name of a message or enum among the schemas.
func name(d protoreflect.Descriptor) string {
	return strings.TrimPrefix(string(d.FullName()), "muniment.v1.")
}

// collect adds the schemas of a message and of all that it is made of.
func collect(schemas object, md protoreflect.MessageDescriptor, request bool) {
	if _, ok := schemas[name(md)]; ok || md.ParentFile().Package() != "muniment.v1" {
		return
	}
	props := object{}
	s := object{"type": "object", "properties": props}
	schemas[name(md)] = s
	if c := comment(md); c != "" {
		s["description"] = text(c)
	}
	if request {
		s["additionalProperties"] = false
	}
	for i := range md.Fields().Len() {
		f := md.Fields().Get(i)
		p := schemaOf(f)
		p["description"] = describe(f)
		if field.Personal(f) {
			p["x-personal"] = true
		}
		props[f.JSONName()] = p
		if f.Message() != nil {
			collect(schemas, f.Message(), request)
		}
		if e := f.Enum(); e != nil && e.ParentFile().Package() == "muniment.v1" {
			schemas[name(e)] = enum(e)
		}
	}
}

func describe(f protoreflect.FieldDescriptor) string {
	d := text(comment(f))
	if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
		d += fmt.Sprintf(" Exactly one field of %q is set.", o.Name())
	}
	return d
}

func schemaOf(f protoreflect.FieldDescriptor) object {
	if f.IsList() {
		return object{"type": "array", "items": value(f)}
	}
	return value(f)
}

// value is the schema of a single value, as ProtoJSON writes it.
func value(f protoreflect.FieldDescriptor) object {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.Int32Kind, protoreflect.Uint32Kind:
		return object{"type": "integer", "format": f.Kind().String()}
	case protoreflect.Uint64Kind, protoreflect.Int64Kind:
		return object{"type": "string", "pattern": "^[0-9]+$", "format": f.Kind().String()}
	case protoreflect.BytesKind:
		return object{"type": "string", "contentEncoding": "base64"}
	case protoreflect.EnumKind:
		return ref(name(f.Enum()))
	case protoreflect.MessageKind:
		switch f.Message().FullName() {
		case "google.protobuf.Timestamp":
			return object{"type": "string", "format": "date-time"}
		case "google.protobuf.Struct":
			return object{"type": "object"}
		case "google.protobuf.Value":
			return object{} // any JSON
		}
		return ref(name(f.Message()))
	}
	return object{"type": "string"}
}

func enum(e protoreflect.EnumDescriptor) object {
	var names []string
	var b strings.Builder
	b.WriteString(text(comment(e)))
	for i := range e.Values().Len() {
		v := e.Values().Get(i)
		names = append(names, string(v.Name()))
		fmt.Fprintf(&b, "\n- %s: %s", v.Name(), text(comment(v)))
	}
	return object{"type": "string", "enum": names, "description": b.String()}
}

// problem is the form of errors over REST.
func problem() object {
	str := func(d string) object { return object{"type": "string", "description": d} }
	return object{
		"type":        "object",
		"description": "An error (RFC 9457): what went wrong, for people and for programs.",
		"required":    []string{"title", "status", "detail", "kind"},
		"properties": object{
			"title":     str("Name of the HTTP status."),
			"status":    object{"type": "integer", "description": "The HTTP status."},
			"detail":    str("One sentence for a person: what was wrong and what to do."),
			"kind":      str("What sort of thing went wrong: a FaultKind in lower case, such as not_found."),
			"field":     str("The field or parameter at fault, if one is."),
			"position":  str("Position of the record that stood in the way, if one did."),
			"requestId": str("Id of the request, as in records and in the server's log."),
		},
	}
}

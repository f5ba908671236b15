package main

import "maps"

// attribute is one of a CloudEvent, with what it means here.
type attribute struct{ name, doc string }

// attributes are those of a CloudEvent (CloudEvents 1.0 §3.1), and the extensions
// that are read.
var attributes = []attribute{
	{"specversion", "1.0."},
	{"id", "The id of the event. A UUID is taken as it is; of any other one is made from source, id and the entity. Sent again, the event is answered and not recorded again."},
	{"source", "The context in which it happened, a URI. Kept, sealed."},
	{"type", "Its type, as defined."},
	{"subject", "The entity that it is about: household/UUID, or the UUID alone."},
	{"partitionkey", "Instead of subject."},
	{"time", "When it happened."},
	{"datacontenttype", "application/json."},
	{"dataschema", "Its fragment is the revision of the type: …#2."},
	{"traceparent", "W3C trace context, of which the trace id is kept."},
	{"correlationid", "Joins what belongs together across systems."},
	{"causationid", "Id of what caused it."},
	{"munimentorganization", "The organization that a new entity belongs to."},
	{"munimentexpected", "The version that the entity must be at; 0: it must not exist."},
	{"munimentreason", "Why. Sealed."},
	{"munimentsource", "Where it came from: mobile-app, web-portal, import, or another word."},
	{"munimentsession", "The publisher's own session."},
	{"munimentdevice", "The device. Sealed."},
	{"munimentlocation", "Where it was. Sealed."},
	{"munimentappversion", "Version of the application."},
	{"munimentnetwork", "State of the network."},
	{"munimentactor", "Who it was, by the publisher's own account. Sealed."},
}

// cloudEvents describes POST /v1/cloudevents, which the Protobuf sources do not
// know: it means PublishEvents.
func cloudEvents(schemas object) object {
	schemas["CloudEvent"] = cloudEvent()
	params := []object{{"$ref": "#/components/parameters/CommandID"}}
	for _, a := range attributes {
		if a.name != "datacontenttype" { // that is the Content-Type
			params = append(params, object{"name": "ce-" + a.name, "in": "header", "description": "In the binary mode: " + a.doc, "schema": object{"type": "string"}})
		}
	}
	problem := func(description string) object {
		return object{"description": description, "headers": object{"Retry-After": object{"description": "Seconds after which to send it again.", "schema": object{"type": "integer"}}},
			"content": object{"application/problem+json": object{"schema": ref("Problem")}}}
	}
	return object{"post": object{
		"operationId": "Entity_PublishCloudEvents", "tags": []string{"Entity"},
		"summary": "Records CloudEvents (CloudEvents 1.0, HTTP protocol binding), all of them or none.",
		"description": "The same as PublishEvents, in the structured mode, the binary mode, or as a batch of 1 to 500. Each refusal names the event and the attribute, such as events[0].subject or events[0].data/village. " +
			"An event that is recorded already, with the same content, is answered as repeated.",
		"parameters": params,
		"requestBody": object{"required": true, "content": object{
			"application/cloudevents+json":       object{"schema": ref("CloudEvent")},
			"application/cloudevents-batch+json": object{"schema": object{"type": "array", "minItems": 1, "maxItems": 500, "items": ref("CloudEvent")}},
			"application/json":                   object{"schema": object{"type": "object", "description": "The data, in the binary mode: the attributes are headers, ce-type and so on."}},
		}},
		"responses": object{
			"200": object{
				"description": "What became of each, in their order.",
				"headers":     object{"Muniment-Position": object{"$ref": "#/components/headers/Position"}},
				"content":     object{"application/json": object{"schema": ref("PublishEventsResponse")}},
			},
			"429":     problem("Too much is waiting; nothing was recorded."),
			"503":     problem("Nothing was recorded; try again."),
			"default": object{"$ref": "#/components/responses/Problem"},
		},
	}}
}

// cloudEvent is the schema of one in the JSON format (CloudEvents JSON 1.0 §3).
func cloudEvent() object {
	props := object{
		"data":        object{"type": "object", "description": "What it says, as its type is defined."},
		"data_base64": object{"type": "string", "contentEncoding": "base64", "description": "Instead of data: its JSON text."},
	}
	text := object{"type": "string"}
	for _, a := range attributes {
		p := maps.Clone(text)
		p["description"] = a.doc
		switch a.name {
		case "time":
			p["format"] = "date-time"
		case "specversion":
			p["const"] = "1.0"
		case "munimentexpected":
			p["type"] = []string{"string", "integer"}
		}
		props[a.name] = p
	}
	return object{"type": "object", "description": "A CloudEvent. Other extensions are not kept; one that begins with muniment and is not here is refused.",
		"required": []string{"specversion", "id", "source", "type"}, "properties": props, "additionalProperties": true}
}

// Package gen holds what is generated from the Protobuf sources of the API,
// as data: the compiled sources with their comments, the OpenAPI document and
// the reference page. The Go code is in muniment/v1.
package gen

import _ "embed"

//go:embed descriptors.binpb
var descriptors string

//go:embed openapi.json
var openAPI string

//go:embed reference.html
var reference string

// Descriptors is a google.protobuf.FileDescriptorSet with source information.
func Descriptors() []byte { return []byte(descriptors) }

// OpenAPI is the OpenAPI 3.1 document, JSON.
func OpenAPI() string { return openAPI }

// Reference is the reference page, HTML.
func Reference() string { return reference }
